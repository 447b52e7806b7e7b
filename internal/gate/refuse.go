package gate

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// refusal is one way to say no: a page to people, a problem to programs.
type refusal struct {
	outcome Outcome
	code    problem.Code
	page    pages.MessageKind
	detail  string
}

var (
	methodNotAllowed = &refusal{Refused, problem.MethodNotAllowed, pages.MethodNotAllowed, "This method is not known here."}
	hidden           = &refusal{Refused, problem.NotFound, pages.NotFound, "There is nothing at this address."}
	ambiguous        = &refusal{Refused, problem.Ambiguous, pages.Ambiguous, "The request can be read in ways that differ. Write its address in the plainest form."}
	twoCredentials   = &refusal{Refused, problem.Ambiguous, pages.BadRequest, "The request carries more than one credential, or one that was not checked. Send only the one that signs you in."}
	invalidIdentity  = &refusal{Refused, problem.Forbidden, pages.BadRequest, "Your user name cannot be used here: it can be spelled in more than one way. Ask whoever runs this site for help."}
	nobody           = &refusal{Refused, problem.Unauthenticated, pages.NoIdentity, "Sign in first, then try again."}
	httpsRequired    = &refusal{Refused, problem.HTTPSRequired, pages.HTTPSRequired, "This needs HTTPS: without it anybody on the way could take over the proof."}
	crossSite        = &refusal{Refused, problem.CrossOrigin, pages.CrossSite, "The form was sent from another site."}
	speculative      = &refusal{Refused, problem.Unavailable, pages.Unavailable, "This is not served ahead of time."}
	unavailable      = &refusal{Failed, problem.Unavailable, pages.Unavailable, "The step-up service cannot decide now. Try again later."}
	unreached        = &refusal{GivenBack, problem.Unreached, pages.Unavailable, "The application cannot be reached now. The proof is still good: send the request again later."}
	tooLargeToShow   = &refusal{Refused, problem.RequestTooLarge, pages.NotShown, "The request is larger than can be shown to whoever is to confirm it."}
	notShown         = &refusal{Refused, problem.Ambiguous, pages.NotShown, "What the request says cannot be shown in full to whoever is to confirm it. Send it uncompressed, as a form or as JSON in UTF-8."}
	incomplete       = &refusal{Refused, problem.InvalidRequest, pages.BadRequest, "The request ended before its end."}
	rolledBack       = &refusal{Failed, problem.RolledBack, pages.RolledBack, "The step-up service has an older copy of its data. It decides nothing until an operator has accepted it."}
	identityFailed   = &refusal{Failed, problem.Unavailable, pages.Unavailable, "It cannot be told now who is asking. Try again later."}
)

// refuseUndecided refuses a request of which it could not be told what it needs.
func (v *visit) refuseUndecided(err error) {
	switch {
	case errors.Is(err, errHidden):
		v.refuse(hidden)
	case errors.Is(err, errAmbiguous), errors.Is(err, readings.ErrTooMany):
		v.refuse(ambiguous)
	default:
		v.fail("deciding what a request needs", err)
	}
}

// fail refuses a request for a failure of the store. That it is an older copy is
// logged when that is found, and not for each request.
func (v *visit) fail(doing string, err error) {
	if errors.Is(err, ceremony.ErrRolledBack) {
		v.refuse(rolledBack)
		return
	}
	v.g.o.Failed(v.r, doing, err)
	v.refuse(unavailable)
}

// refuse answers the request, and nobody else will.
func (v *visit) refuse(why *refusal) {
	v.count(why.outcome)
	switch why {
	case httpsRequired:
		v.g.o.Lasting(v.r, PlainHTTP)
	case nobody:
		v.g.o.Lasting(v.r, Nobody)
	}
	deadline.Begin(v.w, v.r)
	h := v.w.Header()
	answersVary(h)
	if !navigates(v.r.Header) {
		problem.Write(v.w, why.problem())
		return
	}
	if why == rolledBack {
		h.Set("Retry-After", strconv.FormatInt(problem.Seconds(problem.UntilAccepted), 10))
	}
	if why == nobody {
		// RFC 9110 section 15.5.2 demands the field; Bearer makes no browser ask.
		h.Set("WWW-Authenticate", "Bearer")
	}
	if why.code == problem.Unavailable {
		problem.SoonAgain(h)
	}
	message := pages.Message{Page: v.page(), Kind: why.page}
	switch why.page {
	case pages.NoIdentity, pages.Ambiguous, pages.CrossSite:
		// Away from the address that was refused, to the front door.
		message.NextURL = v.g.o.Server.Base(v.r) + "/"
	}
	pages.Render(v.w, why.code.Status(), message)
}

func (r *refusal) problem() problem.Problem {
	p := problem.Problem{Code: r.code, Detail: r.detail}
	if r == rolledBack {
		p.RetryAfter = problem.UntilAccepted
	}
	return p
}

// tooEarly sends early data back (RFC 8470 section 5.2): the client sends the
// request again once the handshake is done.
func (v *visit) tooEarly() {
	v.count(Refused)
	deadline.Begin(v.w, v.r)
	answersVary(v.w.Header())
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(http.StatusTooEarly)
}

// answersVary says on what the answer depends, for caches that keep what they
// are told not to.
func answersVary(h http.Header) {
	h.Add("Vary", "Accept, Authorization, Cookie, Sec-Fetch-Dest, Sec-Fetch-Mode, X-Requested-With")
}

// count is told of matched requests, and of refused ones under no action.
func (v *visit) count(o Outcome) {
	action := ""
	if v.rule != nil {
		action = v.rule.Demand.Action.String()
	}
	v.g.o.Counter(action, o)()
}
