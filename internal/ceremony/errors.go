package ceremony

import (
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

var (
	// ErrNoGrant: see grants.ErrNoGrant.
	ErrNoGrant = grants.ErrNoGrant
	// ErrNotFound tells that there is no such challenge, enrollment,
	// authenticator or grant of this subject in this browser.
	ErrNotFound = errors.New("not found")
	// ErrExpired tells that the challenge or enrollment ran out.
	ErrExpired = errors.New("expired")
	// ErrNotEnrolled tells that the subject has no authenticator yet.
	ErrNotEnrolled = errors.New("no authenticator is enrolled")
	// ErrEnrolled tells that the subject has an authenticator already.
	ErrEnrolled = errors.New("an authenticator is enrolled already")
	// ErrVoided tells that another enrollment, or a change to the
	// authenticators, came first.
	ErrVoided = errors.New("enrolment is void: the authenticators changed since it began")
	// ErrInvalidCode tells that the answer is wrong or was used before. See
	// [WrongCode] for how many are left.
	ErrInvalidCode = errors.New("the code is not valid")
	// ErrCloned is [ErrInvalidCode] of a passkey whose counter went backwards,
	// so that there may be two of it. The account tells so from then on.
	ErrCloned = fmt.Errorf("%w: the passkey may have been copied", ErrInvalidCode)
	// ErrTooManyAttempts tells that no answer is looked at now. See [Wait].
	ErrTooManyAttempts = errors.New("too many wrong codes")
	// ErrInviteRequired tells that the subject may enroll with a valid invite
	// only.
	ErrInviteRequired = errors.New("an invite from the operator is needed to enrol")
	// ErrEnrollmentDenied tells that the operator lets nobody enroll.
	ErrEnrollmentDenied = errors.New("enrolment is not allowed here")
	// ErrManageRequired tells that the change needs a fresh grant for
	// step_up.manage that is bound to it.
	ErrManageRequired = errors.New("a fresh step-up is needed for this change")
	// ErrMethodNotAccepted tells that this means of proof does not do for what
	// is asked, though it may for other things.
	ErrMethodNotAccepted = errors.New("this means of proof is not accepted here")
	// ErrAuthenticatorTooNew tells that the authenticator was added too
	// recently to remove others or to renew recovery codes, while an older one
	// exists.
	ErrAuthenticatorTooNew = errors.New("this authenticator was added too recently for that")
	// ErrOpen tells that the challenge asks for nothing any more: the browser has
	// passed another one for the same action. The answer was not looked at, and
	// does not count as wrong.
	ErrOpen = errors.New("the action is open already")
	// ErrLimit tells that the subject has as many of these as allowed.
	ErrLimit = errors.New("limit reached")
	// ErrRolledBack tells that the database is an older copy of itself, which is
	// refused until an operator accepts it; see [Service.AcceptFence].
	ErrRolledBack = store.ErrRolledBack
	// ErrBusy reports that there is no memory to read a request whole now, or that
	// its person had too many held recently. See [Busy].
	ErrBusy = errors.New("too many requests are being held")
	// ErrInvalid tells that an input is out of form. See [Field].
	ErrInvalid = errors.New("invalid input")
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

// Busy is ErrBusy with when to try again.
type Busy struct {
	For time.Duration
	// Yours tells that only the person's own requests are too many.
	Yours bool
}

func (e *Busy) Error() string   { return ErrBusy.Error() }
func (e *Busy) Is(t error) bool { return t == ErrBusy }

// Field is ErrInvalid with what is wrong where.
type Field struct{ Name, Detail string }

func (e *Field) Error() string   { return e.Name + ": " + e.Detail }
func (e *Field) Is(t error) bool { return t == ErrInvalid }
