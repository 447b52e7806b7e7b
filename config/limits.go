package config

import (
	"fmt"
	"time"
)

// Limits are lifetimes and budgets. What is left out has its default.
type Limits struct {
	// ChallengeTTL is how long a person may take over one step-up. 30 s to
	// 1 h. Default: 5 min.
	ChallengeTTL Duration `json:"challenge_ttl,omitempty"`

	// PendingEnrollment is how long a scanned code waits for its
	// confirmation. 1 min to 1 day. Default: 15 min.
	PendingEnrollment Duration `json:"pending_enrollment,omitempty"`

	// RecoveryCodes is how many are handed out at a time: 5 to 20. Default: 10.
	RecoveryCodes int `json:"recovery_codes,omitempty"`

	// Attempts bounds wrong answers in a row.
	Attempts Attempts `json:"attempts,omitzero"`

	// Held bounds the forms that are kept until their step-up is passed.
	Held Held `json:"held,omitzero"`
}

// Held bounds the forms that are kept, sealed, until their step-up is passed.
// What is over a bound is not kept, and the person is told so before anything is
// lost.
type Held struct {
	// Size bounds one body, in bytes. 1 KiB to 2 MiB. Default: 1 MiB.
	Size int64 `json:"size,omitempty"`

	// PerBrowser is how many are kept for one browser; one more takes the
	// oldest one's place. 1 to 20. Default: 5.
	PerBrowser int `json:"per_browser,omitempty"`

	// Total bounds all that are kept, in bytes as stored: the body as it was
	// sent, and some hundred bytes for its address and headers. 4 MiB to 16 GiB.
	// Default: 256 MiB.
	Total int64 `json:"total,omitempty"`

	// InFlight bounds the memory, in bytes, for forms that are on their way in
	// or back out, and for bodies that are looked into as a whole. A form takes
	// four times its size, which is how many copies there are while it is stored,
	// and one person gets at most a quarter of the memory. Forms beyond wait,
	// unread, for up to 10 s, and are then refused with 503. At least what one form
	// of Size takes, at most 16 GiB. Default: 32 MiB.
	InFlight int64 `json:"in_flight,omitempty"`

	// PerMinute is how much one person may have kept in a minute, in bytes; each
	// form counts as 256 KiB at least. What is over is refused with 429. Since
	// newer forms take the place of older ones, this is what bounds how fast one
	// person makes the database write. At least 256 KiB and Size, at most 16 GiB.
	// Default: 32 MiB.
	PerMinute int64 `json:"per_minute,omitempty"`
}

const (
	defaultHeldSize = 1 << 20

	// heldCopies is how often a form is in memory while it is kept, and heldHead
	// what is counted for its address and headers.
	heldCopies = 4
	heldHead   = 4 << 10

	// LookedInto is how much of a body is looked into of anybody, and what a form
	// counts at least toward PerMinute.
	LookedInto = 256 << 10
)

// HeldCost is how much of InFlight a form of size bytes takes.
func HeldCost(size int64) int64 { return heldCopies * (size + heldHead) }

// validateFlight checks what depends on the size of one form.
func (h Held) validateFlight() error {
	size := h.Size
	if size == 0 {
		size = defaultHeldSize
	}
	size = max(size, LookedInto)
	if n, least := h.InFlight, HeldCost(size); n != 0 && (n < least || n > 16<<30) {
		return fmt.Errorf("limits held in_flight must be between %d bytes and 16GiB, not %d bytes: "+
			"a form of %d bytes takes four times its size in memory while it is kept", least, n, size)
	}
	if n := h.PerMinute; n != 0 && (n < size || n > 16<<30) {
		return fmt.Errorf("limits held per_minute must be between %d bytes, which is one form, and 16GiB, not %d bytes", size, n)
	}
	return nil
}

// Attempts bounds wrong answers in a row, per subject, across challenges and
// restarts. The budgets are kept apart, so that a stranger who knows the
// password cannot lock out the owner's own browser. A used-up budget stays so
// until an operator resets it.
type Attempts struct {
	// KnownBrowsers is the budget of browsers that passed a step-up before.
	// 5 to 1000. Default: 20.
	KnownBrowsers int `json:"known_browsers,omitempty"`

	// OtherBrowsers is the budget of all others. 5 to 1000. Default: 60.
	OtherBrowsers int `json:"other_browsers,omitempty"`

	// API is the budget of all API keys together for each user, and of a user's own
	// token: what servers guess wrong locks nobody out of their browser. 5 to 1000.
	// Default: 20.
	API int `json:"api,omitempty"`
}

func (l Limits) withDefaults() Limits {
	if l.ChallengeTTL == 0 {
		l.ChallengeTTL = Duration(5 * time.Minute)
	}
	if l.PendingEnrollment == 0 {
		l.PendingEnrollment = Duration(15 * time.Minute)
	}
	if l.RecoveryCodes == 0 {
		l.RecoveryCodes = 10
	}
	if l.Attempts.KnownBrowsers == 0 {
		l.Attempts.KnownBrowsers = 20
	}
	if l.Attempts.OtherBrowsers == 0 {
		l.Attempts.OtherBrowsers = 60
	}
	if l.Attempts.API == 0 {
		l.Attempts.API = 20
	}
	if l.Held.Size == 0 {
		l.Held.Size = defaultHeldSize
	}
	if l.Held.PerBrowser == 0 {
		l.Held.PerBrowser = 5
	}
	if l.Held.Total == 0 {
		l.Held.Total = 256 << 20
	}
	if l.Held.InFlight == 0 {
		l.Held.InFlight = 32 << 20
	}
	if l.Held.PerMinute == 0 {
		l.Held.PerMinute = 32 << 20
	}
	return l
}

// Validate returns the first thing that is wrong with l, as a sentence.
func (l Limits) Validate() error {
	if err := l.CheckEach(); err != nil {
		return err
	}
	return l.Held.validateFlight()
}

// CheckEach is Validate without what depends on other settings, which may be yet
// to come while l is read.
func (l Limits) CheckEach() error {
	if err := Within("limits challenge_ttl", l.ChallengeTTL, Duration(30*time.Second), Duration(time.Hour)); err != nil {
		return err
	}
	if err := Within("limits pending_enrollment", l.PendingEnrollment, Duration(time.Minute), Duration(day)); err != nil {
		return err
	}
	if err := between("limits recovery_codes", l.RecoveryCodes, 5, 20); err != nil {
		return err
	}
	if err := between("limits attempts known_browsers", l.Attempts.KnownBrowsers, 5, 1000); err != nil {
		return err
	}
	if err := between("limits attempts other_browsers", l.Attempts.OtherBrowsers, 5, 1000); err != nil {
		return err
	}
	if err := between("limits attempts api", l.Attempts.API, 5, 1000); err != nil {
		return err
	}
	if n := l.Held.Size; n != 0 && (n < 1<<10 || n > 2<<20) {
		return fmt.Errorf("limits held size must be between 1KiB and 2MiB, not %d bytes", n)
	}
	if n := l.Held.Total; n != 0 && (n < 4<<20 || n > 16<<30) {
		return fmt.Errorf("limits held total must be between 4MiB and 16GiB, not %d bytes", n)
	}
	return between("limits held per_browser", l.Held.PerBrowser, 1, 20)
}

// between checks n against its limits. Zero stands for "left out" and passes.
func between(setting string, n, low, high int) error {
	if n != 0 && (n < low || n > high) {
		return fmt.Errorf("%s must be between %d and %d, not %d", setting, low, high, n)
	}
	return nil
}
