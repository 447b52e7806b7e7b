// Package problem writes the gateway's refusals to programs, as RFC 9457
// problem details with a stable code, and the step-up challenge of RFC 9470.
//
// It promises one shape for all of them, that none is cached, and that nothing
// a caller does not put in them is in them. It does not decide anything, and it
// logs nothing.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentType is the media type of all problems.
const ContentType = "application/problem+json"

// Code tells programs what is wrong. Codes are stable; details are for people
// and may change.
type Code string

// The codes. Each goes with one status; see [Code.Status].
const (
	Unauthenticated      Code = "unauthenticated"                  // the identity source names nobody
	StepUpRequired       Code = "insufficient_user_authentication" // RFC 9470: prove more, then try again
	Forbidden            Code = "forbidden"                        // policy does not allow it, whoever proves what
	CrossOrigin          Code = "cross_origin"                     // the request came from another site
	NotFound             Code = "not_found"                        // no such thing of this subject
	MethodNotAllowed     Code = "method_not_allowed"               // see the Allow field
	NotEnrolled          Code = "not_enrolled"                     // no authenticator yet; see enroll_url
	AlreadyEnrolled      Code = "already_enrolled"                 // another enrollment came first
	RequestRequired      Code = "request_required"                 // the grant is bound to a request: send that
	ChallengeExpired     Code = "challenge_expired"                // begin again
	RequestTooLarge      Code = "request_too_large"                // over the limit
	UnsupportedMediaType Code = "unsupported_media_type"           // not application/json
	InvalidRequest       Code = "invalid_request"                  // see errors
	InvalidCode          Code = "invalid_code"                     // see attempts_left
	TooManyAttempts      Code = "too_many_attempts"                // see Retry-After; without one, ask the operator
	TooManySends         Code = "too_many_sends"                   // no code is sent to a phone before Retry-After
	NotSent              Code = "not_sent"                         // the code could not be sent; nothing is used up
	Ambiguous            Code = "ambiguous_request"                // can be read in ways that differ
	HTTPSRequired        Code = "https_required"                   // plain HTTP, and it is not allowed
	Unreached            Code = "application_unreachable"          // nothing of the request was sent, so its proof is still good
	Unavailable          Code = "unavailable"                      // the state cannot be read or written
	RolledBack           Code = "store_rolled_back"                // the state is an older copy that no operator has accepted
)

var statuses = map[Code]int{
	Unauthenticated:      http.StatusUnauthorized,
	StepUpRequired:       http.StatusUnauthorized,
	Forbidden:            http.StatusForbidden,
	CrossOrigin:          http.StatusForbidden,
	NotFound:             http.StatusNotFound,
	MethodNotAllowed:     http.StatusMethodNotAllowed,
	NotEnrolled:          http.StatusConflict,
	AlreadyEnrolled:      http.StatusConflict,
	RequestRequired:      http.StatusConflict,
	ChallengeExpired:     http.StatusGone,
	RequestTooLarge:      http.StatusRequestEntityTooLarge,
	UnsupportedMediaType: http.StatusUnsupportedMediaType,
	InvalidRequest:       http.StatusUnprocessableEntity,
	InvalidCode:          http.StatusUnprocessableEntity,
	TooManyAttempts:      http.StatusTooManyRequests,
	TooManySends:         http.StatusTooManyRequests,
	NotSent:              http.StatusServiceUnavailable,
	Ambiguous:            http.StatusBadRequest,
	HTTPSRequired:        http.StatusForbidden,
	Unreached:            http.StatusBadGateway,
	Unavailable:          http.StatusServiceUnavailable,
	RolledBack:           http.StatusServiceUnavailable,
}

// details are the sentences of codes that nothing more is said of. They are the
// same for everybody.
var details = map[Code]string{
	CrossOrigin:     "The request came from another site. Send it from a page of this one.",
	NotFound:        "There is no such resource, or it belongs to another user.",
	InvalidCode:     "The code is wrong, has expired or was used already. Enter a new one.",
	TooManyAttempts: "There were too many wrong answers. Wait as long as Retry-After says; without it, only an operator can unlock the account.",
}

// Status is the HTTP status that goes with the code; 500 for one that does not
// exist.
func (c Code) Status() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// Field is one thing that is wrong with a request.
type Field struct {
	Name   string `json:"field"`
	Detail string `json:"detail"`
}

// Problem is one refusal. Only Code is required.
type Problem struct {
	Code   Code
	Detail string  // a sentence for people, without secrets or the input
	Errors []Field // with InvalidRequest
	// AttemptsLeft is told with InvalidCode; below zero it is not known.
	AttemptsLeft int
	// RetryAfter is sent with TooManyAttempts, TooManySends and RolledBack, rounded
	// up to seconds, where it is above zero.
	RetryAfter time.Duration
	// ID names the enrollment that was begun all the same, with TooManySends and
	// NotSent.
	ID        string
	EnrollURL string    // with NotEnrolled
	Available time.Time // with Forbidden: when it will be allowed; zero: not by waiting
	Challenge Challenge // with StepUpRequired
}

// Challenge is the step-up that a refusal asks for.
type Challenge struct {
	ID         string
	ActionType string
	Label      string        // the operator's name for the action, for people; may be empty
	GrantType  string        // ONE_TIME_USE or TIME_BASED
	MaxAge     time.Duration // how old the proof may be
	Methods    []string      // accepted means of proof
	VerifyURL  string        // the page for people
	APIURL     string        // the challenge in the JSON API
	Expires    time.Time
}

// body is the stored order of members: what is looked for first comes first.
type body struct {
	Status       int        `json:"status"`
	Title        string     `json:"title"`
	Code         Code       `json:"code"`
	Detail       string     `json:"detail,omitempty"`
	Errors       []Field    `json:"errors,omitempty"`
	AttemptsLeft *int       `json:"attempts_left,omitempty"`
	ID           string     `json:"id,omitempty"`
	EnrollURL    string     `json:"enroll_url,omitempty"`
	AvailableAt  *time.Time `json:"available_at,omitempty"`
	ActionType   string     `json:"action_type,omitempty"`
	ActionLabel  string     `json:"action_label,omitempty"`
	GrantType    string     `json:"grant_type,omitempty"`
	MaxAge       *int64     `json:"max_age,omitempty"`
	Methods      []string   `json:"methods,omitempty"`
	ChallengeID  string     `json:"challenge_id,omitempty"`
	VerifyURL    string     `json:"verify_url,omitempty"`
	APIURL       string     `json:"api_url,omitempty"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"`
}

// Write sends p. Headers set before are kept.
func Write(w http.ResponseWriter, p Problem) {
	status := p.Code.Status()
	// The type is about:blank, which RFC 9457 section 4.2.1 lets one leave out;
	// the title is then the status phrase.
	b := body{Status: status, Title: http.StatusText(status), Code: p.Code, Detail: p.Detail, Errors: p.Errors, ID: p.ID, EnrollURL: p.EnrollURL}
	if b.Detail == "" {
		b.Detail = details[p.Code]
	}
	h := w.Header()
	switch p.Code {
	case Unauthenticated:
		// RFC 9110 section 15.5.2 demands the field. Which scheme the identity
		// source takes is not known here; Bearer makes no browser ask.
		h.Set("WWW-Authenticate", "Bearer")
	case StepUpRequired:
		c := p.Challenge
		age, expires := int64(c.MaxAge/time.Second), c.Expires.UTC().Truncate(time.Second)
		b.ActionType, b.ActionLabel, b.GrantType, b.MaxAge, b.Methods = c.ActionType, c.Label, c.GrantType, &age, c.Methods
		b.ChallengeID, b.VerifyURL, b.APIURL, b.ExpiresAt = c.ID, c.VerifyURL, c.APIURL, &expires
		h.Set("WWW-Authenticate", authenticate(c))
	case Forbidden:
		if !p.Available.IsZero() {
			at := p.Available.UTC().Truncate(time.Second).Add(time.Second) // never too early
			b.AvailableAt = &at
		}
	case Unavailable:
		SoonAgain(h)
	case InvalidCode:
		if left := p.AttemptsLeft; left >= 0 {
			b.AttemptsLeft = &left
		}
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(Seconds(p.RetryAfter), 10))
	}
	out, err := json.Marshal(b)
	if err != nil { // strings, numbers and a time that JSON has no form for
		status, out = http.StatusInternalServerError, []byte(`{"status":500,"title":"Internal Server Error","code":"unavailable"}`)
	}
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// Nobody opens a problem on purpose: in a frame or window it may do nothing.
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

// SoonAgain sets the Retry-After of Unavailable, unless another is set: what is
// out of use is tried again all the time.
func SoonAgain(h http.Header) {
	if h.Get("Retry-After") == "" {
		h.Set("Retry-After", "5")
	}
}

// authenticate is the WWW-Authenticate field of RFC 9470 section 3. What the
// client is asked to have is named by the action type, as its acr.
func authenticate(c Challenge) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
	return `Bearer error="insufficient_user_authentication", error_description="A step-up for this action is required", ` +
		`acr_values="` + quote(c.ActionType) + `", max_age=` + strconv.FormatInt(int64(c.MaxAge/time.Second), 10)
}

// UntilAccepted is the RetryAfter of RolledBack: it takes an operator, and nobody
// knows when they come.
const UntilAccepted = time.Minute

// Seconds rounds a wait up to whole seconds, at least one, for Retry-After:
// who comes back then is never too early.
func Seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
