package backendapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
)

// call is one request on its way to its answer.
type call struct {
	api     *API
	w       http.ResponseWriter
	r       *http.Request
	route   *route
	dialect *dialect
	// ids are those in the path, decoded.
	ids []string
	// key is the API key, or nil where user is whom a token of their own names.
	key  *apikeys.Key
	user grants.Subject
	// answered tells that the answer has begun.
	answered bool
}

// refusal is an error that knows how it is told.
type refusal struct {
	status int
	code   string // a stable word for programs
	detail string // a sentence for people, without secrets or the input
	// fields are the words for what is wrong with which field.
	fields     map[string]string
	retryAfter time.Duration
	cause      error // for the audit log, where code does not tell it
}

func (e *refusal) Error() string { return e.code }
func (e *refusal) Unwrap() error { return e.cause }

// wrongFields refuses some fields of a request.
func wrongFields(fields map[string]string) error {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request_fields", detail: "Some fields of the request are wrong.", fields: fields}
}

// wrongField refuses one field.
func wrongField(name, word string) error { return wrongFields(map[string]string{name: word}) }

// sayings are the sentences that go with the words for a wrong field.
var sayings = map[string]string{
	"required":            "This is required.",
	"not_a_string":        "This must be a string.",
	"not_a_number":        "This must be a whole number.",
	"out_of_range":        "This is out of range.",
	"too_long":            "This is too long.",
	"invalid":             "This is not valid.",
	"invalid_text":        "This must be Unicode text without control characters.",
	"unknown_value":       "This is none of the values that are taken here.",
	"reserved":            "This name is the gateway's own.",
	"grant_not_found":     "There is no such grant.",
	"incorrect_code":      "This code is not correct.",
	"challenge_not_found": "There is no such challenge.",
	"challenge_expired":   "This challenge has expired.",
	"phone_not_found":     "There is no such phone.",
}

// saying is the sentence for a word; other words are sentences' ends already.
func saying(word string) string {
	if s, ok := sayings[word]; ok {
		return s
	}
	return "This " + word + "."
}

// soon is the Retry-After while the state cannot be read or written.
const soon = 5 * time.Second

// untilUnlocked is the Retry-After of who must wait for an operator.
const untilUnlocked = 24 * time.Hour

// refusals are what the words for refusals are to callers where the call itself
// does not say. What has no word here is a failure of the store.
var refusals = map[cause.Word]refusal{
	cause.RolledBack:          {status: http.StatusServiceUnavailable, code: "store_rolled_back", detail: "The step-up service has an older copy of its data. It decides nothing until an operator has accepted it.", retryAfter: problem.UntilAccepted},
	cause.KeySuspended:        {status: errInvalidKey.status, code: errInvalidKey.code, detail: "The API key is suspended until an operator enables it."},
	cause.Disabled:            {status: http.StatusTooManyRequests, code: "too_many_attempts", detail: "Too many wrong codes: an operator must unlock this user.", retryAfter: untilUnlocked},
	cause.TooManyAttempts:     {status: http.StatusTooManyRequests, code: "too_many_attempts", detail: "Too many wrong codes: wait before the next one."},
	cause.TooManySends:        {status: http.StatusTooManyRequests, code: "too_many_sends", detail: "Too many codes were sent: wait before the next one."},
	cause.NotFound:            {status: http.StatusNotFound, code: "not_found", detail: "There is no such thing."},
	cause.Expired:             {status: http.StatusGone, code: "expired", detail: "It has expired: begin again."},
	cause.Voided:              {status: http.StatusConflict, code: "already_enrolled", detail: "The authenticators changed since this enrollment began."},
	cause.NotEnrolled:         {status: http.StatusConflict, code: "not_enrolled", detail: "The user has no authenticator."},
	cause.Enrolled:            {status: http.StatusConflict, code: "already_enrolled", detail: "The user has an authenticator already."},
	cause.HasCodes:            {status: http.StatusConflict, code: "already_issued", detail: "The user was given recovery codes already."},
	cause.InvalidCode:         wrongCode,
	cause.Cloned:              wrongCode,
	cause.MethodNotAccepted:   notAccepted,
	cause.CodesBarred:         notAccepted,
	cause.Elsewhere:           notAccepted,
	cause.NoAddress:           notAccepted,
	cause.AuthenticatorTooNew: tooNew,
	cause.WeakOrigin:          tooNew,
	cause.InviteRequired:      {status: http.StatusForbidden, code: "invite_required", detail: "An invite from the operator is needed to enroll."},
	cause.EnrollmentDenied:    {status: http.StatusForbidden, code: "enrollment_denied", detail: "Enrollment is not open here."},
	cause.ManageRequired:      {status: http.StatusForbidden, code: "forbidden", detail: "A fresh step-up is needed for this change."},
	cause.Limit:               {status: http.StatusForbidden, code: "limit_reached", detail: "The user has as many of these as allowed."},
	cause.UnknownUser:         {status: http.StatusNotFound, code: "user_not_found", detail: "There is no such user."},
	cause.DirectoryFailed:     {status: http.StatusServiceUnavailable, code: "unavailable", detail: "Whether there is such a user cannot be told now. Try again later.", retryAfter: soon},
	cause.NotSent:             {status: http.StatusBadGateway, code: "sms_not_sent", detail: "The code could not be sent. Nothing was used up: try again."},
	cause.NoSMS:               {status: http.StatusServiceUnavailable, code: "sms_not_available", detail: "Codes are not sent to phones here."},
}

var (
	wrongCode   = refusal{status: http.StatusBadRequest, code: "invalid_code", detail: "The code is wrong or was used before."}
	notAccepted = refusal{status: http.StatusBadRequest, code: "method_not_accepted", detail: "This means of proof is not accepted here."}
	tooNew      = refusal{status: http.StatusForbidden, code: "authenticator_too_new", detail: "A weaker proof added this authenticator less than a day ago. It is not accepted here yet."}
)

// refusalOf tells what an error is to the caller.
func refusalOf(err error) *refusal {
	var known *refusal
	var field *ceremony.Field
	var wait *ceremony.Wait
	var sends *quota.Wait
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &field):
		errors.As(wrongField(field.Name, field.Detail), &known)
		return known
	case errors.Is(err, ErrNobody):
		return errInvalidKey
	case errors.Is(err, ErrAmbiguous):
		return &refusal{status: http.StatusBadRequest, code: "ambiguous_request", detail: "The request does not say clearly who is asking."}
	}
	told, ok := refusals[ceremony.CauseOf(err)]
	switch {
	case !ok:
		told = refusal{status: http.StatusServiceUnavailable, code: "unavailable", detail: "This cannot be done now. Try again later.", retryAfter: soon}
	case errors.As(err, &wait) && !wait.Disabled:
		told.retryAfter = max(wait.For, time.Second)
	case errors.As(err, &sends):
		told.retryAfter = max(sends.For, time.Second)
	}
	return &told
}

// fail answers with an error, in the dialect's shape.
func (c *call) fail(err error) {
	e := refusalOf(err)
	if e.code == "unavailable" {
		c.api.o.Failed(c.r.Context(), err)
	}
	h := c.w.Header()
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 section 15.5.2 demands the field
	}
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(problem.Seconds(e.retryAfter), 10))
	}
	_ = c.answer(e.status, c.dialect.tell(c, e))
}

// answer sends JSON. The error is always nil: a call ends with it.
func (c *call) answer(status int, body any) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)                 // addresses are copied out of answers that nothing decoded
	if err := enc.Encode(body); err != nil { // never happens: bodies hold strings, numbers and lists of them
		status = http.StatusInternalServerError
		out.Reset()
		out.WriteString(`{"error":"unavailable","error_code":"unavailable","code":"unavailable"}`)
	}
	return c.send(status, "application/json", bytes.TrimSuffix(out.Bytes(), []byte("\n")))
}

func (c *call) send(status int, mediaType string, body []byte) error {
	c.answered = true
	h := c.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body)
	}
	return nil
}

// recoverPanic makes a refusal of a panic (S01). Its value may hold what was sent,
// so only its type is told, or what the runtime says.
func (c *call) recoverPanic() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler || c.answered {
		panic(p)
	}
	err := fmt.Errorf("panic serving a request: %T", p)
	if known, ok := p.(runtime.Error); ok {
		err = fmt.Errorf("panic serving a request: %w", known)
	}
	c.fail(err)
}
