package gate

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
)

// hold takes a form that a person sent into the challenge, so that it is sent on
// once they proved who they are. Requests that a redirect repeats are not held;
// nor are those whose address a browser would not come back to, and those that need
// several proofs.
//
// It fails with heldrequest.ErrTooLarge where the form is over the limit, with
// heldrequest.ErrIncomplete where not all of it came in time, and with a
// ceremony.Busy where there is no room for it; see reserve. A form that has no room
// is not read.
func (v *visit) hold(who *ceremony.Principal, ask *ceremony.Ask) error {
	asked := v.asked()
	if v.apart || v.g.o.MaxHeld < 0 || v.r.Method == http.MethodGet || v.r.Method == http.MethodHead || !sameSitePath(asked) {
		return nil
	}
	v.keep()
	if v.r.ContentLength > v.g.o.MaxHeld {
		v.drain()
		return heldrequest.ErrTooLarge
	}
	size := v.r.ContentLength
	if size < 0 {
		size = v.g.o.MaxHeld
	}
	if err := v.g.o.Ceremony.MayHold(v.r.Context(), *who, size); err != nil {
		return err
	}
	if err := v.reserve(who); err != nil {
		return err
	}
	reading := deadline.Reading{W: v.w, R: v.r, Size: v.g.o.MaxHeld}
	reading.Begin()
	held, err := heldrequest.Capture(v.r, v.sent(), v.g.o.MaxHeld)
	if errors.Is(err, heldrequest.ErrTooLarge) {
		v.drain()
		return err
	}
	if err != nil {
		return err
	}
	reading.End()
	ask.Held, ask.ReturnTo, ask.Gate = held, asked, v.g.o.Name
	return nil
}

// sent is what the client sent. The front notes it before any handler can add to
// it; without a front there is no handler before the gate.
func (v *visit) sent() heldrequest.Sent {
	if sent, ok := v.r.Context().Value(sentKey{}).(heldrequest.Sent); ok {
		return sent
	}
	return heldrequest.Sent{Method: v.r.Method, Target: v.asked(), Header: v.r.Header}
}

// maxDrained is how much of a form that cannot be held is read for the sake of
// the answer.
const maxDrained = 32 << 20

// asked is the target as the client sent it.
func (v *visit) asked() string {
	if v.original != "" {
		return v.original
	}
	return v.r.RequestURI
}

// handleIn returns the handle by which a browser comes back for a held request,
// given the target that it sent. The parameter comes last; see
// ceremony.ResumeParam.
func handleIn(r *http.Request, target string) (handle string, ok bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || strings.IndexByte(target, '?') < 0 {
		return "", false
	}
	i := strings.LastIndex(target, ceremony.ResumeParam+"=")
	if i < 1 || target[i-1] != '&' && target[i-1] != '?' {
		return "", false
	}
	return target[i+len(ceremony.ResumeParam)+1:], true
}

// withoutHandle is a target without the handle at its end.
func withoutHandle(target string) string {
	i := strings.LastIndex(target, ceremony.ResumeParam+"=")
	if i < 1 {
		return target
	}
	return target[:i-1]
}

// unclaimed answers a request with a handle that the front did not take: it was
// used, ran out, or is not this browser's. The browser is sent to the address
// without the handle, where the rules hold as they do for any request.
func (v *visit) unclaimed() error {
	v.secure = v.g.o.Server.Secure(v.r)
	switch {
	case speculates(v.r.Header):
		v.refuse(speculative)
		return nil
	case early(v.r):
		v.tooEarly()
		return nil
	}
	return v.dropHandle()
}

// resume carries on with the held request that the front has put in the place of
// the one by which the browser came back. Only now is it known who is asking.
func (v *visit) resume(c *claim) error {
	g := v.g
	c.reached = true
	v.secure = g.o.Server.Secure(v.r)
	if c.ticket.Gate != g.o.Name {
		return v.redirectTo(c.ticket.URL) // another instance's
	}
	if refusal := v.untrusted(); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	who, err := g.o.Identify(v.r, Sent{Original: v.original})
	if refusal := v.identified(&who, err); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	v.complete(&who)
	err = g.o.Ceremony.Owns(v.r.Context(), who, c.ticket)
	switch {
	case errors.Is(err, ceremony.ErrNotFound):
		return v.redirectTo(c.ticket.URL)
	case err != nil:
		return v.failResume("reading a ticket", err)
	}
	return v.resumed(who, c)
}

// resumed is the way of a restored request: the rules are run on it again, and
// only what the ticket was given for is passed on.
func (v *visit) resumed(who ceremony.Principal, c *claim) error {
	g, ticket := v.g, c.ticket
	v.hinted = namesMethod | namesPath
	rl, err := v.lookFurther()
	if err != nil {
		v.refuseUndecided(err)
		return nil
	}
	v.rule = rl
	isTickets := func(rl *rule) bool { return rl.Demand.Action.String() == ticket.Action }
	switch {
	case rl == nil || !isTickets(rl) && !slices.ContainsFunc(v.also, isTickets):
		// The rules changed meanwhile. The person sees the page as it is now.
		return v.redirectTo(ticket.URL)
	case len(v.also) > 0:
		return v.several(who, c)
	}
	if refusal := v.bind(); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	token, _ := cookies.Get(v.r.Header, rl.cookie.On(v.secure))
	pass, err := g.o.Ceremony.CheckHeld(v.r.Context(), &who, &rl.Demand, v.request, ticket, token)
	if err != nil {
		// Held anew: a grant that ran out on the way costs a proof, not the form.
		v.ungranted(who, token != "", err)
		return nil
	}
	c.settled = true // whatever comes of it: an unknown outcome gives nothing back
	receipt, err := g.o.Ceremony.Redeem(v.r.Context(), &who, []ceremony.Pass{pass}, ticket)
	if errors.Is(err, ceremony.ErrNoGrant) {
		return v.redirectTo(ticket.URL)
	}
	if err != nil {
		return v.failResume("redeeming a ticket", err)
	}
	finish := func(err error) error { return err }
	if rl.Demand.Use == grants.TimeBased {
		e := v.ending(&pass.Grant)
		defer e.stop()
		v.w, v.r, finish = e, e.r, e.finish
	}
	back, err := v.passOnce(&who, &pass, receipt)
	if !back {
		v.forget(c)
	}
	return finish(err)
}

func (v *visit) failResume(doing string, err error) error {
	v.fail(doing, err)
	return nil
}

// dropHandle sends the browser to the same address without the handle.
func (v *visit) dropHandle() error { return v.redirectTo(withoutHandle(v.asked())) }

func (v *visit) redirectTo(target string) error {
	if !sameSitePath(target) {
		target = "/"
	}
	v.count(Refused)
	deadline.Begin(v.w, v.r)
	answersVary(v.w.Header())
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.Header().Set("Location", target)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// ownNavigation reports that one of the site's own pages sent the browser here, as
// a document of its own. Browsers that do not tell are told apart by their cookie
// alone.
func ownNavigation(h http.Header) bool {
	site, dest := h["Sec-Fetch-Site"], h["Sec-Fetch-Dest"]
	return (len(site) == 0 || len(site) == 1 && site[0] == "same-origin") &&
		(len(dest) == 0 || len(dest) == 1 && dest[0] == "document")
}
