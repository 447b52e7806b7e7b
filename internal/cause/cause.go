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
	AuthenticatorTooNew Word = "authenticator_too_new" // the authenticator was added by something weaker less than 24 hours ago
	BadKey              Word = "bad_key"               // what was sent is no API key that there is, and no user's token
	Busy                Word = "busy"                  // too many requests are being held
	Cloned              Word = "cloned"                // the counter of the passkey went backwards: it may have been copied
	CodesBarred         Word = "codes_barred"          // the recovery codes may have been used before the database was restored
	CrossOrigin         Word = "cross_origin"          // a page of another site sent the call
	DirectoryFailed     Word = "directory_failed"      // the directory of users gave no answer
	Disabled            Word = "disabled"              // the attempts are used up until an operator unlocks the user
	Elsewhere           Word = "address_elsewhere"     // the identity source gives another mail address than the one that was confirmed
	Enrolled            Word = "enrolled"              // an authenticator is enrolled already
	EnrollmentDenied    Word = "enrolment_denied"      // `enrollment deny` is configured
	Expired             Word = "expired"               // the challenge, enrollment or grant ran out
	HasCodes            Word = "has_codes"             // recovery codes were given already
	InvalidCode         Word = "invalid_code"          // the code is wrong, or was used before
	InvalidRequest      Word = "invalid_request"       // an input is out of form
	InviteRequired      Word = "invite_required"       // an invite of the operator is needed
	KeyMissing          Word = "key_missing"           // no API key was sent
	KeyScope            Word = "key_scope"             // the API key has not the scope, or not the action type, for the call
	KeySuspended        Word = "key_suspended"         // the API key is suspended until an operator enables it
	Limit               Word = "limit"                 // there are as many as allowed
	ManageRequired      Word = "manage_required"       // the change needs a step-up of its own
	MethodNotAccepted   Word = "method_not_accepted"   // the rule does not take this method
	NoAddress           Word = "no_address"            // the identity source gives no mail address
	NoSMS               Word = "no_sms"                // codes of this kind are not sent here
	NotDisownable       Word = "not_disownable"        // this authenticator cannot be suspended
	NotEnrolled         Word = "not_enrolled"          // no authenticator is enrolled
	NotFound            Word = "not_found"             // there is none, or none that the caller may see
	NotSent             Word = "not_sent"              // the sender failed
	OpenAlready         Word = "open_already"          // the action is open already
	RolledBack          Word = "store_rolled_back"     // an older copy of the database was put back; see `caddy step-up fence`
	StoreError          Word = "store_error"           // the database failed
	TooManyAttempts     Word = "too_many_attempts"     // too many wrong answers: this one was not looked at
	TooManyBadKeys      Word = "too_many_bad_keys"     // so many bad keys came from the address that the key was not looked at
	TooManySends        Word = "too_many_sends"        // too many codes were sent
	UnknownUser         Word = "unknown_user"          // the directory has no such user
	Voided              Word = "voided"                // the authenticators changed since the enrollment began
	WeakOrigin          Word = "weak_origin"           // an authenticator that goes back to a recovery code or a code that was sent removes no older ones
	WrongTenant         Word = "wrong_tenant"          // the call is for another tenant than that of the API key or token
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
