package gate

import (
	"errors"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// lookFurther decides again, by as much of the body as may be held, now that it is
// known who asks: before, it could not be told what a body holds that is larger
// than what is looked through of a stranger's. A body larger still may be several
// actions: those besides the rule that it gives are in v.also.
func (v *visit) lookFurther() (*rule, error) {
	limit := max(maxBody, int(v.g.o.MaxHeld))
	if v.rule != nil && v.r.ContentLength > int64(limit) {
		return v.rule, nil // it would not be told then either
	}
	d := v.g.deciding(v.r, v.original)
	d.body.peek = readings.NewPeek(v.r, limit)
	j, err := d.decide(v.r, v.original, v.hinted)
	v.also = j.also
	return j.rule, err
}

// alsoGranted tells whether a request that may be several actions has the grants
// for all of them, and uses up those besides the first that are good for one
// request. Where one is missing it is asked for; when that is won, the client
// sends the request again, since none of this size is held. None is used up where
// another is missing.
func (v *visit) alsoGranted(who *ceremony.Principal) bool {
	first := v.rule
	passes := make([]ceremony.Pass, 0, 1+len(v.also))
	for _, rl := range append([]*rule{first}, v.also...) {
		v.rule = rl
		if refusal := v.bind(); refusal != nil {
			v.refuse(refusal)
			return false
		}
		token, _ := cookies.Get(v.r.Header, rl.cookie.On(v.secure))
		pass, err := v.g.o.Ceremony.Check(v.r.Context(), who, &rl.Demand, v.request, token)
		if err != nil {
			v.ungranted(*who, token != "", err)
			return false
		}
		passes = append(passes, pass)
	}
	switch {
	case speculates(v.r.Header):
		v.refuse(speculative)
		return false
	case early(v.r):
		v.tooEarly()
		return false
	}
	v.complete(who)
	for i, rl := range v.also {
		if rl.Demand.Use == grants.TimeBased {
			continue
		}
		v.rule = rl
		_, err := v.g.o.Ceremony.Spend(v.r.Context(), who, &passes[i+1])
		switch {
		case errors.Is(err, ceremony.ErrNoGrant):
			v.challenge(*who)
			return false
		case err != nil:
			v.g.o.Failed(v.r, "spending a grant", err)
			v.refuse(unavailable)
			return false
		}
		v.count(Spent)
	}
	v.rule = first
	return true
}
