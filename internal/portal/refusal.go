package portal

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
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
	if !v.api && errors.Is(err, ceremony.ErrExpired) && v.lapsed() {
		return
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

// problems are what the words for refusals are in the JSON API. What has no word
// here is a failure of the store.
var problems = map[cause.Word]problem.Problem{
	cause.RolledBack:          {Code: problem.RolledBack, RetryAfter: problem.UntilAccepted, Detail: "The step-up service has an older copy of its data. It decides nothing until an operator has accepted it."},
	cause.InvalidRequest:      {Code: problem.InvalidRequest},
	cause.InvalidCode:         {Code: problem.InvalidCode, AttemptsLeft: -1},
	cause.Cloned:              {Code: problem.InvalidCode, AttemptsLeft: -1},
	cause.Disabled:            {Code: problem.TooManyAttempts, Detail: "No answer is accepted until an operator unlocks you."},
	cause.TooManyAttempts:     {Code: problem.TooManyAttempts},
	cause.TooManySends:        {Code: problem.TooManySends},
	cause.NotSent:             {Code: problem.NotSent, Detail: "The code could not be sent. Nothing is used up by that; try again."},
	cause.NoSMS:               {Code: problem.Forbidden, Detail: "Codes of this kind are not sent here."},
	cause.NoAddress:           {Code: problem.Forbidden, Detail: "Your sign-in gives no e-mail address, so no codes can be sent to you. Ask the site’s administrator."},
	cause.Elsewhere:           {Code: problem.Forbidden, Detail: "Your sign-in no longer gives the e-mail address that this was set up for. Set it up again."},
	cause.NotFound:            {Code: problem.NotFound},
	cause.Expired:             {Code: problem.ChallengeExpired},
	cause.NotEnrolled:         {Code: problem.NotEnrolled},
	cause.Voided:              {Code: problem.AlreadyEnrolled, Detail: "The authenticators changed since this enrollment began."},
	cause.CodesBarred:         {Code: problem.Forbidden, Detail: "Your recovery codes are not accepted, since the step-up service was restored from a backup. Use another sign-in method and renew them, or ask the site’s administrator."},
	cause.MethodNotAccepted:   {Code: problem.InvalidRequest, Errors: []problem.Field{{Name: "method", Detail: "is not accepted for this action"}}},
	cause.InviteRequired:      {Code: problem.Forbidden, Detail: "A valid invite is needed to enroll."},
	cause.EnrollmentDenied:    {Code: problem.Forbidden, Detail: "Enrollment is not open here."},
	cause.WeakOrigin:          {Code: problem.Forbidden, Detail: "This authenticator was added with a recovery code or a code that was sent, so it does not remove older ones. Use one of those, or ask the operator for a reset."},
	cause.AuthenticatorTooNew: {Code: problem.Forbidden, Detail: "This authenticator was added too recently for that; use an older one, or wait."},
	cause.NotDisownable:       {Code: problem.Forbidden, Detail: "Only an authenticator of the last 7 days beside an older one is suspended this way."},
	cause.Limit:               {Code: problem.Forbidden, Detail: "You have as many authenticators as you can have."},
}

// problemOf tells what an error is to the person.
func problemOf(err error) problem.Problem {
	var known *refusal
	switch {
	case errors.As(err, &known):
		return known.Problem
	case errors.Is(err, ErrNobody):
		return problem.Problem{Code: problem.Unauthenticated}
	case errors.Is(err, ErrAmbiguous):
		return problem.Problem{Code: problem.Ambiguous}
	case errors.Is(err, ErrInvalid):
		return problem.Problem{Code: problem.Forbidden, Detail: "Your user name cannot be used here: it can be spelled in more than one way. Ask whoever runs this site for help."}
	}
	p, ok := problems[ceremony.CauseOf(err)]
	if !ok {
		return problem.Problem{Code: problem.Unavailable}
	}
	return withDetails(p, err)
}

// withDetails adds to a problem what the error says beyond its word.
func withDetails(p problem.Problem, err error) problem.Problem {
	var field *ceremony.Field
	var wrong *ceremony.WrongCode
	var wait *ceremony.Wait
	var sends *quota.Wait
	var clock *ceremony.ClockOff
	var young *ceremony.TooNew
	switch {
	case errors.As(err, &field):
		p.Errors = []problem.Field{{Name: field.Name, Detail: field.Detail}}
	case errors.As(err, &wrong):
		p.AttemptsLeft = wrong.AttemptsLeft
	case errors.As(err, &wait) && !wait.Disabled:
		p.RetryAfter = max(wait.For, time.Second)
	case errors.As(err, &sends):
		p.RetryAfter = max(sends.For, time.Second)
	case errors.As(err, &clock):
		p.Detail = clockDetail(clock.By)
	case errors.As(err, &young):
		p.Available = young.Until
	}
	return p
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

// place is where the one button of a page leads.
type place uint8

const (
	nowhere  place = iota
	toSite         // the application
	toHome         // the security page
	toEnroll       // where enrollment begins
	toHere         // the same page again, where it was only read
)

// told is the page for a refusal.
type told struct {
	kind pages.MessageKind
	next place
}

// causePages are the pages for the words that say more than their problem's code.
var causePages = map[cause.Word]told{
	cause.EnrollmentDenied:    {pages.EnrollDenied, toSite},
	cause.WeakOrigin:          {pages.WeakOrigin, toHome},
	cause.Elsewhere:           {pages.Elsewhere, toHome},
	cause.AuthenticatorTooNew: {pages.TooNew, toHome},
	cause.Limit:               {pages.TooMany, toHome},
	cause.Voided:              {pages.Expired, toEnroll},
	cause.Disabled:            {pages.Disabled, toSite},
}

// codePages are the pages for a problem's code; for others it is a bad request.
var codePages = map[problem.Code]told{
	problem.Unauthenticated:  {pages.NoIdentity, toSite},
	problem.NotFound:         {pages.NotFound, toHome},
	problem.ChallengeExpired: {pages.Expired, toSite},
	problem.MethodNotAllowed: {pages.MethodNotAllowed, toHome},
	problem.CrossOrigin:      {pages.CrossSite, toSite},
	problem.HTTPSRequired:    {pages.HTTPSRequired, nowhere},
	problem.Ambiguous:        {pages.Ambiguous, nowhere},
	problem.RequestTooLarge:  {pages.TooLarge, nowhere},
	problem.TooManyAttempts:  {pages.TooManyAttempts, nowhere},
	problem.TooManySends:     {pages.TooManyAttempts, nowhere},
	problem.Unavailable:      {pages.Unavailable, toHere},
	problem.NotSent:          {pages.Unavailable, toHere},
	problem.RolledBack:       {pages.RolledBack, toHere},
}

// kindOf is the page for a refusal, and where its one button leads.
func (v *visit) kindOf(code problem.Code, err error) (kind pages.MessageKind, next string) {
	page, ok := causePages[cause.Of(err)]
	if !ok {
		page, ok = codePages[code]
	}
	if !ok {
		return pages.BadRequest, ""
	}
	switch page.next {
	case toSite:
		next = v.site.Base + "/"
	case toHome:
		next = v.url("")
	case toEnroll:
		next = v.url("enroll")
	case toHere:
		if v.r.Method == http.MethodGet {
			next = v.site.Base + v.r.URL.EscapedPath()
		}
	}
	return page.kind, next
}
