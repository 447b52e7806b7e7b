package sender

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"
)

const (
	number = "+4915112345678"
	text   = "481632 is your code for Acme."
	secret = "f2a9c03c8d7b41e5a6c1d9e8b7f60514"
)

// noLeak searches an error for what belongs in no log (S13).
func noLeak(t *testing.T, err error, further ...string) {
	t.Helper()
	if err == nil {
		t.Error("there is no error")
		return
	}
	message := strings.ToLower(err.Error())
	for _, private := range append(further, number, strings.TrimPrefix(number, "+"), "15112345678", text, "481632", secret) {
		b := []byte(private)
		for _, form := range []string{
			private, url.QueryEscape(private), url.PathEscape(private), hex.EncodeToString(b),
			base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
		} {
			if strings.Contains(message, strings.ToLower(form)) {
				t.Errorf("the error has %q in it: %v", form, err)
			}
		}
	}
}

func TestS19Messages(t *testing.T) {
	for _, tt := range []struct {
		name, to, text string
		want           error
	}{
		{"as it should be", number, text, nil},
		{"two lines", number, "481632 is your code.\nDo not tell it to anybody.", nil},
		{"the longest number", "+123456789012345", text, nil},
		{"without a plus", "4915112345678", text, ErrNumber},
		{"too long a number", "+1234567890123456", text, ErrNumber},
		{"too short a number", "+110110", text, ErrNumber},
		{"a zero in front", "+04915112345678", text, ErrNumber},
		{"blanks", "+49 151 12345678", text, ErrNumber},
		{"other digits", "+4915112345٦78", text, ErrNumber},
		{"an address in the number", "+4915112345678@evil.example", text, ErrNumber},
		{"a line end in the number", "+4915112345678\r\nBcc: a@b.example", text, ErrNumber},
		{"no number", "", text, ErrNumber},
		{"no text", number, "", ErrText},
		{"too long a text", number, strings.Repeat("a", MaxText+1), ErrText},
		{"no UTF-8", number, "caf\xe9", ErrText},
		{"a zero byte", number, "a\x00b", ErrText},
		{"a carriage return", number, "a\rb", ErrText},
	} {
		if err := check(tt.to, tt.text); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(number)
	f.Add("+1@evil.example")
	f.Fuzz(func(t *testing.T, to string) {
		if check(to, text) == nil && !isAddress(strings.TrimPrefix(to, "+")+"@sms.example.com") {
			t.Errorf("%q is let through, and no part of an address", to)
		}
	})
}
