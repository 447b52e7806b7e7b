package portal

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

// refusal is an error that knows how it is told.
type refusal struct{ problem.Problem }

func (e *refusal) Error() string { return string(e.Code) }

// invalid refuses one field of a request.
func invalid(field, detail string) error {
	return &refusal{problem.Problem{Code: problem.InvalidRequest, Errors: []problem.Field{{Name: field, Detail: detail}}}}
}

// fail tells an error to whom it concerns, in the form that the call speaks.
func (v *visit) fail(err error) {
	p := problemOf(err)
	if p.Code == problem.Unavailable {
		v.portal.o.Failed(v.r.Context(), err)
	}
	if v.api {
		if p.Code == problem.NotEnrolled {
			p.EnrollURL = v.url("enroll")
		}
		problem.Write(v.w, p)
		return
	}
	if p.Code == problem.Unavailable {
		problem.SoonAgain(v.w.Header())
	}
	kind, next := v.kindOf(p.Code, err)
	if p.RetryAfter > 0 {
		v.w.Header().Set("Retry-After", strconv.FormatInt(problem.Seconds(p.RetryAfter), 10))
	}
	v.render(p.Code.Status(), pages.Message{Page: v.page(), Kind: kind, RetryAfter: p.RetryAfter, NextURL: next})
}

// refuse tells a code by itself.
func (v *visit) refuse(code problem.Code) { v.fail(&refusal{problem.Problem{Code: code}}) }

// message shows why there is nothing else to show.
func (v *visit) message(status int, kind pages.MessageKind, next string) {
	v.render(status, pages.Message{Page: v.page(), Kind: kind, NextURL: next})
}

func (v *visit) render(status int, view pages.View) { pages.Render(v.w, status, view) }

// problemOf tells what an error is to the person. What is none of ceremony's
// errors is a failure of the store.
func problemOf(err error) problem.Problem {
	var known *refusal
	var field *ceremony.Field
	var wrong *ceremony.WrongCode
	var wait *ceremony.Wait
	var sends *ceremony.SendWait
	var clock *ceremony.ClockOff
	var young *ceremony.TooNew
	switch {
	case errors.As(err, &known):
		return known.Problem
	case errors.Is(err, ceremony.ErrRolledBack):
		return problem.Problem{Code: problem.RolledBack, RetryAfter: problem.UntilAccepted, Detail: "The step-up service has an older copy of its data. It decides nothing until an operator has accepted it."}
	case errors.As(err, &field):
		return problem.Problem{Code: problem.InvalidRequest, Errors: []problem.Field{{Name: field.Name, Detail: field.Detail}}}
	case errors.As(err, &wrong):
		return problem.Problem{Code: problem.InvalidCode, AttemptsLeft: wrong.AttemptsLeft}
	case errors.As(err, &wait) && wait.Disabled:
		return problem.Problem{Code: problem.TooManyAttempts, Detail: "No answer is accepted until an operator unlocks you."}
	case errors.As(err, &wait):
		return problem.Problem{Code: problem.TooManyAttempts, RetryAfter: max(wait.For, time.Second)}
	case errors.As(err, &sends):
		return problem.Problem{Code: problem.TooManySends, RetryAfter: max(sends.For, time.Second)}
	case errors.Is(err, ceremony.ErrNotSent):
		return problem.Problem{Code: problem.NotSent, Detail: "The code could not be sent. Nothing is used up by that; try again."}
	case errors.Is(err, ceremony.ErrNoSMS):
		return problem.Problem{Code: problem.Forbidden, Detail: "Codes are not sent to phones here."}
	case errors.As(err, &clock):
		return problem.Problem{Code: problem.InvalidCode, AttemptsLeft: -1, Detail: clockDetail(clock.By)}
	case errors.Is(err, ErrNobody):
		return problem.Problem{Code: problem.Unauthenticated}
	case errors.Is(err, ErrAmbiguous):
		return problem.Problem{Code: problem.Ambiguous}
	case errors.Is(err, ErrInvalid):
		return problem.Problem{Code: problem.Forbidden, Detail: "Your user name cannot be used here: it can be spelled in more than one way. Ask whoever runs this site for help."}
	case errors.Is(err, ceremony.ErrInvalidCode):
		return problem.Problem{Code: problem.InvalidCode, AttemptsLeft: -1}
	case errors.Is(err, ceremony.ErrNotFound):
		return problem.Problem{Code: problem.NotFound}
	case errors.Is(err, ceremony.ErrExpired):
		return problem.Problem{Code: problem.ChallengeExpired}
	case errors.Is(err, ceremony.ErrNotEnrolled):
		return problem.Problem{Code: problem.NotEnrolled}
	case errors.Is(err, ceremony.ErrVoided):
		return problem.Problem{Code: problem.AlreadyEnrolled, Detail: "The authenticators changed since this enrolment began."}
	case errors.Is(err, ceremony.ErrCodesBarred):
		return problem.Problem{Code: problem.Forbidden, Detail: "Your recovery codes are not accepted, since the step-up service was restored from a backup. Use another sign-in method and renew them, or ask the site’s administrator."}
	case errors.Is(err, ceremony.ErrMethodNotAccepted):
		return problem.Problem{Code: problem.InvalidRequest, Errors: []problem.Field{{Name: "method", Detail: "is not accepted for this action"}}}
	case errors.Is(err, ceremony.ErrInviteRequired):
		return problem.Problem{Code: problem.Forbidden, Detail: "A valid invite is needed to enrol."}
	case errors.Is(err, ceremony.ErrEnrollmentDenied):
		return problem.Problem{Code: problem.Forbidden, Detail: "Enrolment is not open here."}
	case errors.Is(err, ceremony.ErrWeakOrigin):
		return problem.Problem{Code: problem.Forbidden, Detail: "This authenticator was added with a recovery code or a text message, so it does not remove older ones. Use one of those, or ask the operator for a reset."}
	case errors.As(err, &young):
		return problem.Problem{Code: problem.Forbidden, Available: young.Until, Detail: "This authenticator was added too recently for that; use an older one, or wait."}
	case errors.Is(err, ceremony.ErrNotDisownable):
		return problem.Problem{Code: problem.Forbidden, Detail: "Only an authenticator of the last 7 days beside an older one is suspended this way."}
	case errors.Is(err, ceremony.ErrLimit):
		return problem.Problem{Code: problem.Forbidden, Detail: "You have as many authenticators as you can have."}
	}
	return problem.Problem{Code: problem.Unavailable}
}

// clockDetail tells how far the clock of a person's device is off.
func clockDetail(by time.Duration) string {
	way := "fast"
	if by < 0 {
		way = "slow"
	}
	return fmt.Sprintf("The code is right for another time: the device's clock seems to be about %d min %s.", int(wholeMinutes(by)/time.Minute), way)
}

// wholeMinutes is how far off a clock is either way, in minutes, at least one.
func wholeMinutes(by time.Duration) time.Duration {
	return max(by.Abs().Round(time.Minute), time.Minute)
}

// kindOf is the page for a refusal, and where its one button leads.
func (v *visit) kindOf(code problem.Code, err error) (kind pages.MessageKind, next string) {
	site, home := v.site.Base+"/", v.url("")
	switch {
	case errors.Is(err, ceremony.ErrEnrollmentDenied):
		return pages.EnrollDenied, site
	case errors.Is(err, ceremony.ErrWeakOrigin):
		return pages.WeakOrigin, home
	case errors.Is(err, ceremony.ErrAuthenticatorTooNew):
		return pages.TooNew, home
	case errors.Is(err, ceremony.ErrLimit):
		return pages.TooMany, home
	case errors.Is(err, ceremony.ErrVoided):
		return pages.Expired, v.url("enroll")
	}
	if wait := (*ceremony.Wait)(nil); errors.As(err, &wait) && wait.Disabled {
		return pages.Disabled, site
	}
	switch code {
	case problem.Unauthenticated:
		return pages.NoIdentity, site
	case problem.NotFound:
		return pages.NotFound, home
	case problem.ChallengeExpired:
		return pages.Expired, site
	case problem.MethodNotAllowed:
		return pages.MethodNotAllowed, home
	case problem.CrossOrigin:
		return pages.CrossSite, site
	case problem.HTTPSRequired:
		return pages.HTTPSRequired, ""
	case problem.Ambiguous:
		return pages.Ambiguous, ""
	case problem.RequestTooLarge:
		return pages.TooLarge, ""
	case problem.TooManyAttempts, problem.TooManySends:
		return pages.TooManyAttempts, ""
	case problem.Unavailable, problem.NotSent, problem.RolledBack:
		kind, next := pages.Unavailable, ""
		if code == problem.RolledBack {
			kind = pages.RolledBack
		}
		if v.r.Method == http.MethodGet {
			next = v.site.Base + v.r.URL.EscapedPath()
		}
		return kind, next
	}
	return pages.BadRequest, ""
}
