package config

import "time"

// SentCodes is how long codes that are sent can be answered with, and how many are
// sent. Whoever sends them pays for each, or for their good name, and some earn by
// having many sent: so everything has a cap.
//
// The windows of the caps are fixed: they last from the first code that is counted
// in them, and then the count begins anew.
type SentCodes struct {
	// CodeTTL is how long a code can be answered with. 1 to 15 min. Default:
	// 5 min.
	CodeTTL Duration `json:"code_ttl,omitempty"`

	// ResendAfter is how long a person waits before another code can be asked
	// for. 10 s to 10 min. Default: 30 s.
	ResendAfter Duration `json:"resend_after,omitempty"`

	// PerSubject is how many codes one person can cause in 10 min. 1 to 20.
	// Default: 3.
	PerSubject int `json:"per_subject,omitempty"`

	// PerDestination is how many codes go to one number or address in a day,
	// whoever asks for them. Half of them, rounded up, may go to it before
	// somebody confirmed it, so that claiming one does not silence it. 1 to 200.
	// Default: 10.
	PerDestination int `json:"per_destination,omitempty"`

	// Total is how many codes are sent in an hour to all together. 1 to
	// 1,000,000. Default: 1000. Whoever is over it is told to take another
	// method.
	Total int `json:"total,omitempty"`
}

// WithDefaults returns s with everything filled in that was left out.
func (s SentCodes) WithDefaults() SentCodes {
	if s.CodeTTL == 0 {
		s.CodeTTL = Duration(5 * time.Minute)
	}
	if s.ResendAfter == 0 {
		s.ResendAfter = Duration(30 * time.Second)
	}
	if s.PerSubject == 0 {
		s.PerSubject = 3
	}
	if s.PerDestination == 0 {
		s.PerDestination = 10
	}
	if s.Total == 0 {
		s.Total = 1000
	}
	return s
}

// CheckLimits checks times and caps of the setting against their limits.
func (s SentCodes) CheckLimits(setting string) error {
	if err := Within(setting+" limits code_ttl", s.CodeTTL, Duration(time.Minute), Duration(15*time.Minute)); err != nil {
		return err
	}
	if err := Within(setting+" limits resend_after", s.ResendAfter, Duration(10*time.Second), Duration(10*time.Minute)); err != nil {
		return err
	}
	if err := between(setting+" limits per_subject", s.PerSubject, 1, 20); err != nil {
		return err
	}
	if err := between(setting+" limits per_destination", s.PerDestination, 1, 200); err != nil {
		return err
	}
	return between(setting+" limits total", s.Total, 1, 1_000_000)
}
