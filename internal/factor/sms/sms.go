// Package sms is the step-up by a code that is sent to a phone, an out-of-band
// authenticator that NIST SP 800-63B section 3.1.3.3 restricts: offer it to those
// who have nothing better.
//
// [Numbers] reads phone numbers and refuses those of countries that the operator
// did not name. What is sent, how often, and by whom is package ceremony's and
// the sender's.
package sms

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Factor takes the codes that were sent to the account's phones.
type Factor struct{}

// Method is grants.SMS.
func (Factor) Method() grants.Methods { return grants.SMS }

// Ready tells whether the account has a phone.
func (Factor) Ready(a *records.Account, _ string) bool {
	return slices.ContainsFunc(a.Authenticators, func(x records.Authenticator) bool { return x.Phone != nil })
}

// Match uses up the code.
func (Factor) Match(db *records.DB, a *records.Account, try ceremony.Attempt) (ceremony.Proof, error) {
	id, err := ceremony.AnswerSMS(db, a, try)
	if err != nil {
		return ceremony.Proof{}, err
	}
	return ceremony.Proof{Method: grants.SMS, Authenticator: id}, nil
}

// Numbers reads phone numbers.
type Numbers struct {
	// Country is where a number without a country code is from, as ISO 3166-1
	// alpha-2; empty takes none without.
	Country string
	// Countries are those to which codes are sent; there must be one.
	Countries []string
}

// maxNumber is longer than every phone number, however it is written, in
// characters.
const maxNumber = 40

// Parse gives a number in E.164 form. The error is a ceremony.Field, which does
// not hold the number.
func (n Numbers) Parse(text string) (string, error) {
	if utf8.RuneCountInString(text) > maxNumber {
		return "", &ceremony.Field{Name: "phone_number", Detail: "is too long"}
	}
	number, err := phonenumbers.Parse(strings.TrimSpace(text), n.Country)
	if err != nil || !phonenumbers.IsValidNumber(number) || number.GetExtension() != "" {
		return "", &ceremony.Field{Name: "phone_number", Detail: "is not a phone number; write it with + and the country code"}
	}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.PREMIUM_RATE, phonenumbers.SHARED_COST, phonenumbers.UAN, phonenumbers.PAGER, phonenumbers.VOICEMAIL, phonenumbers.TOLL_FREE:
		return "", refused("is not a person's number")
	}
	if !slices.Contains(n.Countries, phonenumbers.GetRegionCodeForNumber(number)) {
		return "", refused("is of a country to which no codes are sent")
	}
	return phonenumbers.Format(number, phonenumbers.E164), nil
}

// refused is the error for what is a phone number, and yet not taken.
func refused(why string) error {
	return fmt.Errorf("%w: %w", ceremony.ErrNumberRefused, &ceremony.Field{Name: "phone_number", Detail: why})
}

var _ ceremony.Factor = Factor{}
