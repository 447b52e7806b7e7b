// Package cause gives errors by which something is refused a word that they are
// known by: in the audit log, and to each face of the gateway, which has one map
// from words to what it says. An error without a word is a failure, not a refusal.
//
// Sentinels are made by [New] and [Narrow], errors with more to say implement
// [Worded]; both are told apart with errors.Is and errors.As as all errors are.
package cause

import "errors"

// Word says why. It holds no input.
type Word string

// The words. They stand in audit logs, so they stay.
const (
	AuthenticatorTooNew Word = "authenticator_too_new"
	Busy                Word = "busy"
	Cloned              Word = "cloned"
	CodesBarred         Word = "codes_barred"
	Disabled            Word = "disabled"
	Elsewhere           Word = "address_elsewhere"
	Enrolled            Word = "enrolled"
	EnrollmentDenied    Word = "enrolment_denied"
	Expired             Word = "expired"
	HasCodes            Word = "has_codes"
	InvalidCode         Word = "invalid_code"
	InvalidRequest      Word = "invalid_request"
	InviteRequired      Word = "invite_required"
	KeySuspended        Word = "key_suspended"
	Limit               Word = "limit"
	ManageRequired      Word = "manage_required"
	MethodNotAccepted   Word = "method_not_accepted"
	NoAddress           Word = "no_address"
	NoSMS               Word = "no_sms"
	NotDisownable       Word = "not_disownable"
	NotEnrolled         Word = "not_enrolled"
	NotFound            Word = "not_found"
	NotSent             Word = "not_sent"
	OpenAlready         Word = "open_already"
	RolledBack          Word = "store_rolled_back"
	StoreError          Word = "store_error" // of errors without a word
	TooManyAttempts     Word = "too_many_attempts"
	TooManySends        Word = "too_many_sends"
	Voided              Word = "voided"
	WeakOrigin          Word = "weak_origin"
)

// Worded is an error that knows its word.
type Worded interface {
	error
	Cause() Word
}

// sentinel is an error that others are compared with.
type sentinel struct {
	word    Word
	text    string
	broader error
}

func (e *sentinel) Error() string { return e.text }
func (e *sentinel) Cause() Word   { return e.word }
func (e *sentinel) Unwrap() error { return e.broader }

// New makes a sentinel.
func New(w Word, text string) error { return &sentinel{w, text, nil} }

// Narrow makes a sentinel that is broader too, and says more.
func Narrow(broader error, w Word, text string) error {
	return &sentinel{w, broader.Error() + ": " + text, broader}
}

// Of is the word of the outermost error in err that knows one; empty where none
// does.
func Of(err error) Word {
	var known Worded
	if errors.As(err, &known) {
		return known.Cause()
	}
	return ""
}

var (
	// ErrNotFound reports that there is no such thing, or none that is the
	// caller's to see.
	ErrNotFound = New(NotFound, "not found")
	// ErrLimit reports that there are as many as allowed.
	ErrLimit = New(Limit, "limit reached")
	// ErrInvalid reports that an input is out of form. See [Field].
	ErrInvalid = New(InvalidRequest, "invalid input")
)

// Field is ErrInvalid with what is wrong where.
type Field struct{ Name, Detail string }

func (e *Field) Error() string   { return e.Name + ": " + e.Detail }
func (e *Field) Is(t error) bool { return t == ErrInvalid }

// Cause is InvalidRequest.
func (e *Field) Cause() Word { return InvalidRequest }

var _ Worded = (*Field)(nil)
