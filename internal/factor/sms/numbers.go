package sms

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

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

// Parse returns a number in E.164 form. The error is a ceremony.Field, which does
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
