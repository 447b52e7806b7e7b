package gate

import (
	"errors"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

// challenge asks for a proof, in the way that who asks understands.
func (v *visit) challenge(who ceremony.Principal) {
	h := v.r.Header
	navigation, inFrame := navigates(h), framed(h)
	switch {
	case speculates(h):
		v.refuse(speculative)
		return
	case early(v.r):
		v.tooEarly()
		return
	case navigation && v.g.cross.Check(v.r) != nil:
		// Another site's form: the person did not mean to send it, and must not
		// be talked into proving for it.
		v.refuse(crossSite)
		return
	}
	if who.Browser == [32]byte{} && (navigation || browser(h)) {
		who.Browser = cookies.NewBrowser(v.w, v.secure)
	}
	ask := ceremony.Ask{Demand: v.rule.Demand, Label: v.rule.Label, Site: v.g.o.Server.Origin(v.r), Request: v.request, Show: v.shown}
	lost := false
	if navigation {
		ask.Foreign, ask.From = foreign(h, ask.Site)
		ask.ReturnTo = v.returnTarget(inFrame)
		err := v.hold(&who, &ask)
		defer v.release()
		switch lost = errors.Is(err, heldrequest.ErrTooLarge); {
		case errors.Is(err, heldrequest.ErrIncomplete):
			v.refuse(incomplete)
			return
		case err != nil && !lost:
			v.unroomy(err)
			return
		}
	}
	c, err := v.g.o.Ceremony.Begin(v.r.Context(), who, ask)
	if errors.Is(err, ceremony.ErrLimit) && ask.Held != nil {
		lost, ask.Held, ask.ReturnTo = true, nil, v.returnTarget(inFrame)
		c, err = v.g.o.Ceremony.Begin(v.r.Context(), who, ask)
	}
	if err != nil {
		v.fail("beginning a challenge", err)
		return
	}
	base := v.g.o.Server.Base(v.r) + v.g.prefix
	page := base + "challenge/" + c.ID
	deadline.Begin(v.w, v.r)
	if !navigation {
		v.challengeProgram(c, page, base+"api/challenges/"+c.ID)
		return
	}
	v.count(Challenged)
	answersVary(v.w.Header())
	if lost {
		// Nothing is lost to the person: the form is in the browser's history.
		pages.Render(v.w, http.StatusRequestEntityTooLarge, pages.Message{Page: v.page(), Kind: pages.NotHeld, NextURL: page})
		return
	}
	if v.apart && v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		v.drain()
		pages.Render(v.w, http.StatusForbidden, pages.Message{Page: v.page(), Kind: pages.Several, NextURL: page})
		return
	}
	if inFrame {
		pages.Render(v.w, http.StatusForbidden, pages.Frame{Page: v.page(), Action: v.rule.Label, URL: page})
		return
	}
	pages.ProtectHeaders(v.w.Header())
	v.w.Header().Set("Location", page)
	v.w.WriteHeader(http.StatusSeeOther)
}

// challengeProgram is the challenge of RFC 9470.
func (v *visit) challengeProgram(c ceremony.Challenge, page, api string) {
	v.count(Challenged)
	answersVary(v.w.Header())
	d := &v.rule.Demand
	problem.Write(v.w, problem.Problem{
		Code:   problem.StepUpRequired,
		Detail: "This needs a fresh proof of who you are. Pass the challenge, then send the request again.",
		Challenge: problem.Challenge{
			ID: c.ID, ActionType: d.Action.String(), Label: c.Label, GrantType: d.Use.String(), MaxAge: d.TTL, Methods: methodNames(d.Methods),
			VerifyURL: page, APIURL: api, Expires: c.Expires,
		},
	})
}

// methodNames are the means of proof that a demand takes; none named means all.
func methodNames(m grants.Methods) []string {
	if m != 0 {
		return m.Names()
	}
	for _, one := range grants.AllMethods() {
		m |= one
	}
	return m.Names()
}
