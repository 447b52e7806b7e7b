package config

import (
	"errors"
	"time"
)

// The policies for a subject's first authenticator.
const (
	// EnrollFirstUse lets whoever is signed in enroll. Who steals a password
	// before its owner enrolled can enroll in their place: set Until.
	EnrollFirstUse = "first_use"
	// EnrollInvite asks for the one-time code that `caddy step-up invite`
	// makes.
	EnrollInvite = "invite"
	// EnrollDeny lets nobody enroll.
	EnrollDeny = "deny"
)

// Enrollment is who may enroll a first authenticator. It is checked when an
// enrollment begins and again when it is confirmed.
type Enrollment struct {
	// Policy is first_use: everyone who is signed in may enroll; invite: only with
	// the one-time code that `caddy step-up invite` makes; or deny: nobody.
	// Default: invite.
	Policy string `json:"policy,omitempty"`

	// Until ends first_use; from then on an invite is asked for. A date such
	// as 2026-12-31, which counts up to its last second UTC, or a time such as
	// 2026-12-31T18:00:00+01:00. Default: no end.
	Until string `json:"until,omitempty"`
}

func (e Enrollment) withDefaults() Enrollment {
	if e.Policy == "" {
		e.Policy = EnrollInvite
	}
	return e
}

// Validate returns the first thing that is wrong with e, as a sentence.
func (e Enrollment) Validate() error {
	switch e.Policy {
	case EnrollFirstUse:
		_, err := e.Deadline()
		return err
	case "", EnrollInvite, EnrollDeny:
		if e.Until != "" {
			return errors.New("until belongs to enrollment first_use only: write `enrollment first_use until 2026-12-31`")
		}
		return nil
	}
	return oneOf("enrollment", e.Policy, EnrollFirstUse, EnrollInvite, EnrollDeny)
}

// Deadline returns the first moment at which first_use no longer holds, or the
// zero time where it has no end.
func (e Enrollment) Deadline() (time.Time, error) {
	if e.Until == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, e.Until); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	if t, err := time.Parse(time.RFC3339, e.Until); err == nil {
		return t.UTC(), nil
	}
	return time.Time{}, errors.New("until must be a date such as 2026-12-31, or a time such as 2026-12-31T18:00:00Z")
}
