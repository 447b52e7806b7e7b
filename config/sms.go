package config

import (
	"errors"
	"fmt"

	"github.com/nyaruka/phonenumbers"
)

// SMS is how codes are sent to telephones: to which countries, and how often. Where
// it is left out there is no such method. Somebody has to pay for each text, and
// whoever earns a share of that asks for many (toll fraud, "SMS pumping"): so
// countries are named, and everything has a cap.
type SMS struct {
	// Country is where numbers without a country code belong, in two letters
	// of ISO 3166-1, such as DE. Default: numbers must begin with +.
	Country string `json:"country,omitempty"`

	// Countries are those whose numbers are accepted, in two letters each. To
	// all others nothing is sent. Default: Country alone; one of the two is
	// required.
	Countries []string `json:"countries,omitempty"`

	SentCodes
}

// maxCountries is more than there are.
const maxCountries = 300

// WithDefaults returns s with everything filled in that was left out.
func (s SMS) WithDefaults() SMS {
	if len(s.Countries) == 0 && s.Country != "" {
		s.Countries = []string{s.Country}
	}
	s.SentCodes = s.SentCodes.WithDefaults()
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
	return s.CheckLimits("sms")
}

// CheckCountries checks the configured countries against the known ones.
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
			return fmt.Errorf("sms countries names %s twice: remove one of them", c)
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
		return fmt.Errorf("sms %s: write GB, which is the United Kingdom in ISO 3166-1", setting)
	case len(code) != 2 || phonenumbers.GetCountryCodeForRegion(code) == 0:
		return fmt.Errorf("sms %s: %q is no country with telephone numbers: write two letters of ISO 3166-1, in capitals, such as DE", setting, code)
	}
	return nil
}
