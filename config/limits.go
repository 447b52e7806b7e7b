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

	// Total bounds all that are kept, in bytes as stored, which is a third
	// more than was sent. 4 MiB to 16 GiB. Default: 256 MiB.
	Total int64 `json:"total,omitempty"`
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

	// API is the budget of each API key for each user, and of a user's own
	// token: what a server guesses wrong locks nobody out of their browser.
	// 5 to 1000. Default: 20.
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
		l.Held.Size = 1 << 20
	}
	if l.Held.PerBrowser == 0 {
		l.Held.PerBrowser = 5
	}
	if l.Held.Total == 0 {
		l.Held.Total = 256 << 20
	}
	return l
}

// Validate returns the first thing that is wrong with l, as a sentence.
func (l Limits) Validate() error {
	if err := within("limits challenge_ttl", l.ChallengeTTL, Duration(30*time.Second), Duration(time.Hour)); err != nil {
		return err
	}
	if err := within("limits pending_enrollment", l.PendingEnrollment, Duration(time.Minute), Duration(day)); err != nil {
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

// between holds n against its limits. Zero stands for "left out" and passes.
func between(setting string, n, low, high int) error {
	if n != 0 && (n < low || n > high) {
		return fmt.Errorf("%s must be between %d and %d, not %d", setting, low, high, n)
	}
	return nil
}
