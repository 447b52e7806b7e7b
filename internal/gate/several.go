package gate

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
)

// needed is one of the rules whose grants a request needs, and what came of it.
type needed struct {
	*rule
	offered bool // a grant came with the request
	err     error
}

// several is the way of a request that may be several actions, or is: it needs the
// grants for all of them. Those that are missing are asked for one after the other,
// time-based ones first, since a one-time grant is the sooner over. Grants that are
// good for one request are used up together, once none is missing.
//
// A form is held only while one grant is missing and no more than one of all is
// good for one request: that one is then bound to the form, and what the person
// proves next must not be lost with it. In all other cases the person proves, and
// sends the form again; see visit.apart.
//
// c is the claim of a held request, nil elsewhere.
func (v *visit) several(who ceremony.Principal, c *claim) error {
	first := v.rule
	all := make([]needed, 0, 1+len(v.also))
	for _, rl := range append([]*rule{first}, v.also...) {
		all = append(all, needed{rule: rl})
	}
	slices.SortStableFunc(all, func(a, b needed) int { return cmp.Compare(a.once(), b.once()) })
	passes := make([]ceremony.Pass, len(all))
	once, missing := 0, -1
	for i := range all {
		one := &all[i]
		v.rule = one.rule
		if refusal := v.bind(); refusal != nil {
			v.refuse(refusal)
			return nil
		}
		token, _ := cookies.Get(v.r.Header, one.cookie.On(v.secure))
		one.offered = token != ""
		if c != nil && one.Demand.Action.String() == c.ticket.Action {
			passes[i], one.err = v.g.o.Ceremony.CheckHeld(v.r.Context(), &who, &one.Demand, v.request, c.ticket, token)
		} else {
			passes[i], one.err = v.g.o.Ceremony.Check(v.r.Context(), &who, &one.Demand, v.request, token)
		}
		once += one.once()
		switch {
		case one.err == nil:
		case missing < 0:
			missing = i
		default:
			v.apart = true
		}
	}
	v.apart = v.apart || once > 1
	if missing >= 0 {
		return v.lacks(who, &all[missing])
	}
	receipt, ok := v.spendAll(who, c, all, passes)
	if !ok {
		return nil
	}
	finish := func(err error) error { return err }
	if i := soonest(all, passes); i >= 0 {
		v.rule = all[i].rule
		e := v.ending(&passes[i].Grant)
		defer e.stop()
		v.w, v.r, finish = e, e.r, e.finish
	}
	var pass *ceremony.Pass
	for i := range all {
		if v.rule = all[i].rule; v.rule == first {
			pass = &passes[i]
		} else if all[i].once() == 1 {
			v.count(Spent)
		} else {
			v.count(Passed)
		}
	}
	v.rule = first
	if once == 0 && c == nil {
		v.count(Passed)
		cookies.Strip(v.r.Header)
		v.announce(&who, &pass.Grant, nil)
		v.handOver()
		return finish(v.pass(v.w, v.r))
	}
	back, err := v.passOnce(&who, pass, receipt)
	if c != nil && !back {
		v.forget(c)
	}
	return finish(err)
}

// once is 1 for a rule whose grants are good for one request.
func (n *needed) once() int {
	if n.Demand.Use == grants.TimeBased {
		return 0
	}
	return 1
}

// soonest returns which of the time-based grants ends first, -1 for none.
func soonest(all []needed, passes []ceremony.Pass) int {
	least, end := -1, int64(0)
	for i := range all {
		if all[i].once() == 1 {
			continue
		}
		if until := all[i].until(&passes[i].Grant); least < 0 || until < end {
			least, end = i, until
		}
	}
	return least
}

// lacks asks for one of several grants.
func (v *visit) lacks(who ceremony.Principal, one *needed) error {
	v.rule = one.rule
	if refusal := v.bind(); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	v.ungranted(who, one.offered, one.err)
	return nil
}

// spendAll uses up what several grants and a claim have to be used up for. It is
// false where the request was answered.
func (v *visit) spendAll(who ceremony.Principal, c *claim, all []needed, passes []ceremony.Pass) (receipt ceremony.Receipt, ok bool) {
	v.complete(&who)
	last := &all[len(all)-1] // one that is good for one request, if any is
	if c != nil {
		c.settled = true // whatever comes of it: an unknown outcome gives nothing back
		receipt, err := v.g.o.Ceremony.Redeem(v.r.Context(), &who, passes, c.ticket)
		switch {
		case errors.Is(err, ceremony.ErrNoGrant):
			_ = v.redirectTo(c.ticket.URL)
		case err != nil:
			_ = v.failResume("redeeming a ticket", err)
		}
		return receipt, err == nil
	}
	switch {
	case last.once() == 1 && speculates(v.r.Header):
		v.refuse(speculative)
		return receipt, false
	case early(v.r) && (last.once() == 1 || v.mayChange()), v.early && v.mayChange():
		v.tooEarly()
		return receipt, false
	case last.once() == 0:
		return receipt, true
	}
	receipt, err := v.g.o.Ceremony.SpendAll(v.r.Context(), &who, passes)
	switch {
	case errors.Is(err, ceremony.ErrNoGrant):
		last.err = err
		_ = v.lacks(who, last)
	case err != nil:
		v.fail("spending a grant", err)
	}
	return receipt, err == nil
}

// forget removes a held request that was carried on with.
func (v *visit) forget(c *claim) {
	if err := v.g.o.Ceremony.Forget(context.WithoutCancel(v.r.Context()), c.ticket); err != nil {
		v.g.o.Failed(v.r, "forgetting a held request", err)
	}
}
