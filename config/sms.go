package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/nyaruka/phonenumbers"
)

// SMS is how codes are sent to telephones: to which countries, and how often. Where
// it is left out there is no such method. Somebody has to pay for each text, and
// whoever earns a share of that asks for many (toll fraud, "SMS pumping"): so
// countries are named, and everything has a cap.
//
// The windows of the caps are fixed: they last from the first text that is counted
// in them, and then the count begins anew.
type SMS struct {
	// Country is where numbers without a country code belong, in two letters
	// of ISO 3166-1, such as DE. Default: numbers must begin with +.
	Country string `json:"country,omitempty"`

	// Countries are those whose numbers are accepted, in two letters each. To
	// all others nothing is sent. Default: Country alone; one of the two is
	// required.
	Countries []string `json:"countries,omitempty"`

	// CodeTTL is how long a code can be answered with. 1 to 15 min. Default:
	// 5 min.
	CodeTTL Duration `json:"code_ttl,omitempty"`

	// ResendAfter is how long a person waits before another code can be asked
	// for. 10 s to 10 min. Default: 30 s.
	ResendAfter Duration `json:"resend_after,omitempty"`

	// PerSubject is how many texts one person can cause in 10 min. 1 to 20.
	// Default: 3.
	PerSubject int `json:"per_subject,omitempty"`

	// PerDestination is how many texts go to one number in a day, whoever
	// asks for them. Half of them, rounded up, may go to it before somebody
	// confirmed it, so that claiming a number does not silence it. 1 to 200.
	// Default: 10.
	PerDestination int `json:"per_destination,omitempty"`

	// Total is how many texts are sent in an hour to all numbers together. 1
	// to 1,000,000. Default: 1000. Whoever is over it is told to take another
	// method.
	Total int `json:"total,omitempty"`
}

// The windows of the caps.
const (
	SMSSubjectWindow     = 10 * time.Minute
	SMSDestinationWindow = day
	SMSTotalWindow       = time.Hour
)

// maxCountries is more than there are.
const maxCountries = 300

// WithDefaults returns s with everything filled in that was left out.
func (s SMS) WithDefaults() SMS {
	if len(s.Countries) == 0 && s.Country != "" {
		s.Countries = []string{s.Country}
	}
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

// Validate returns the first thing that is wrong with s, as a sentence.
func (s SMS) Validate() error {
	if err := s.CheckCountries(); err != nil {
		return err
	}
	if len(s.Countries) == 0 && s.Country == "" {
		return errors.New("sms does not say to which countries texts may go, and numbers of every country would invite those who earn by texts that you pay for: write `country DE`, or `countries DE AT CH`")
	}
	return s.CheckLimits()
}

// CheckCountries holds the countries that are said against what there is.
func (s SMS) CheckCountries() error {
	if len(s.Countries) > maxCountries {
		return fmt.Errorf("sms countries names more than %d", maxCountries)
	}
	listed := make(map[string]bool, len(s.Countries))
	for _, c := range s.Countries {
		if err := checkCountry("countries", c); err != nil {
			return err
		}
		if listed[c] {
			return fmt.Errorf("sms countries names %s twice", c)
		}
		listed[c] = true
	}
	if s.Country == "" {
		return nil
	}
	if err := checkCountry("country", s.Country); err != nil {
		return err
	}
	if len(s.Countries) > 0 && !listed[s.Country] {
		return fmt.Errorf("sms takes numbers without a country code for numbers of %s, which is not among countries: add it there, or take out country", s.Country)
	}
	return nil
}

// checkCountry refuses what has no numbers of its own.
func checkCountry(setting, code string) error {
	switch {
	case code == "UK":
		return fmt.Errorf("sms %s: the United Kingdom is GB in ISO 3166-1", setting)
	case len(code) != 2 || phonenumbers.GetCountryCodeForRegion(code) == 0:
		return fmt.Errorf("sms %s: %q is no country with telephone numbers: write two letters of ISO 3166-1, in capitals, such as DE", setting, code)
	}
	return nil
}

// CheckLimits holds times and caps against their limits.
func (s SMS) CheckLimits() error {
	if err := within("sms limits code_ttl", s.CodeTTL, Duration(time.Minute), Duration(15*time.Minute)); err != nil {
		return err
	}
	if err := within("sms limits resend_after", s.ResendAfter, Duration(10*time.Second), Duration(10*time.Minute)); err != nil {
		return err
	}
	if err := between("sms limits per_subject", s.PerSubject, 1, 20); err != nil {
		return err
	}
	if err := between("sms limits per_destination", s.PerDestination, 1, 200); err != nil {
		return err
	}
	return between("sms limits total", s.Total, 1, 1_000_000)
}
