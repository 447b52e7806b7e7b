package ceremony

import (
	"cmp"
	"errors"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var (
	// ErrNoGrant: see grants.ErrNoGrant.
	ErrNoGrant = grants.ErrNoGrant
	// ErrNotFound tells that there is no such challenge, enrollment,
	// authenticator or grant of this subject in this browser.
	ErrNotFound = cause.ErrNotFound
	// ErrExpired tells that the challenge or enrollment ran out.
	ErrExpired = cause.New(cause.Expired, "expired")
	// ErrNotEnrolled tells that the subject has no authenticator yet.
	ErrNotEnrolled = cause.New(cause.NotEnrolled, "no authenticator is enrolled")
	// ErrEnrolled tells that the subject has an authenticator already.
	ErrEnrolled = cause.New(cause.Enrolled, "an authenticator is enrolled already")
	// ErrVoided tells that another enrollment, or a change to the
	// authenticators, came first.
	ErrVoided = cause.New(cause.Voided, "enrollment is void: the authenticators changed since it began")
	// ErrInvalidCode tells that the answer is wrong or was used before. See
	// [WrongCode] for how many are left.
	ErrInvalidCode = cause.New(cause.InvalidCode, "the code is not valid")
	// ErrCloned is [ErrInvalidCode] of a passkey whose counter went backwards,
	// so that there may be two of it. The account tells so from then on.
	ErrCloned = cause.Narrow(ErrInvalidCode, cause.Cloned, "the passkey may have been copied")
	// ErrTooManyAttempts tells that no answer is looked at now. See [Wait].
	ErrTooManyAttempts = cause.New(cause.TooManyAttempts, "too many wrong codes")
	// ErrInviteRequired tells that the subject may enroll with a valid invite
	// only.
	ErrInviteRequired = cause.New(cause.InviteRequired, "an invite from the operator is needed to enroll")
	// ErrEnrollmentDenied tells that the operator lets nobody enroll.
	ErrEnrollmentDenied = cause.New(cause.EnrollmentDenied, "enrollment is not allowed here")
	// ErrManageRequired tells that the change needs a fresh grant for
	// step_up.manage that is bound to it.
	ErrManageRequired = cause.New(cause.ManageRequired, "a fresh step-up is needed for this change")
	// ErrMethodNotAccepted tells that this means of proof does not do for what
	// is asked, though it may for other things.
	ErrMethodNotAccepted = cause.New(cause.MethodNotAccepted, "this means of proof is not accepted here")
	// ErrAuthenticatorTooNew tells that the authenticator was added too
	// recently to remove others or to renew recovery codes, while an older one
	// exists.
	ErrAuthenticatorTooNew = cause.New(cause.AuthenticatorTooNew, "this authenticator was added too recently for that")
	// ErrOpen tells that the challenge asks for nothing any more: the browser has
	// passed another one for the same action. The answer was not looked at, and
	// does not count as wrong.
	ErrOpen = cause.New(cause.OpenAlready, "the action is open already")
	// ErrLimit tells that the subject has as many of these as allowed.
	ErrLimit = cause.ErrLimit
	// ErrRolledBack tells that the database is an older copy of itself, which is
	// refused until an operator accepts it; see [Service.AcceptFence].
	ErrRolledBack = store.ErrRolledBack
	// ErrBusy reports that there is no memory to read a request whole now, or that
	// its person had too many held recently. See [Busy].
	ErrBusy = cause.New(cause.Busy, "too many requests are being held")
	// ErrInvalid tells that an input is out of form. See [Field].
	ErrInvalid = cause.ErrInvalid
)

// WrongCode is ErrInvalidCode with what is left.
type WrongCode struct {
	AttemptsLeft int
	// cause may be ErrCloned, for the audit. The text does not tell it:
	// whoever has the copy would learn that it is known.
	cause error
}

func (e *WrongCode) Error() string   { return ErrInvalidCode.Error() }
func (e *WrongCode) Is(t error) bool { return t == ErrInvalidCode }
func (e *WrongCode) Unwrap() error   { return e.cause }

// Cause is cause.InvalidCode, or cause.Cloned.
func (e *WrongCode) Cause() cause.Word { return cmp.Or(cause.Of(e.cause), cause.InvalidCode) }

// Wait is ErrTooManyAttempts with what to wait for.
type Wait struct {
	// For is the time until the next answer is looked at; it is meaningless
	// when Disabled.
	For time.Duration
	// Disabled tells that the budget is used up until an operator unlocks it.
	Disabled bool
}

func (e *Wait) Error() string   { return ErrTooManyAttempts.Error() }
func (e *Wait) Is(t error) bool { return t == ErrTooManyAttempts }

// Cause is cause.TooManyAttempts, or cause.Disabled.
func (e *Wait) Cause() cause.Word {
	if e.Disabled {
		return cause.Disabled
	}
	return cause.TooManyAttempts
}

// Busy is ErrBusy with when to try again.
type Busy struct {
	For time.Duration
	// Yours tells that only the person's own requests are too many.
	Yours bool
}

func (e *Busy) Error() string   { return ErrBusy.Error() }
func (e *Busy) Is(t error) bool { return t == ErrBusy }

// Cause is cause.Busy.
func (e *Busy) Cause() cause.Word { return cause.Busy }

// Field is ErrInvalid with what is wrong where.
type Field = cause.Field

// CauseOf is the word for an error, cause.StoreError for one that is no refusal.
func CauseOf(err error) cause.Word {
	switch w := cause.Of(err); {
	case w != "":
		return w
	case errors.Is(err, ErrRolledBack):
		return cause.RolledBack
	}
	return cause.StoreError
}

// causeOf is CauseOf as the audit log has it.
func causeOf(err error) string { return string(CauseOf(err)) }
