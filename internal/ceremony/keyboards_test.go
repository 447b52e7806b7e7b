package ceremony_test

import (
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// wide writes ASCII as a Japanese keyboard does, and arabic its digits as an
// Arabic one.
func wide(s string) string {
	return strings.Map(func(r rune) rune { return r - '!' + '！' }, s)
}

func arabic(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return r
		}
		return r - '0' + '٠'
	}, s)
}

// A code is one code, from whatever keyboard it comes: used in one spelling, it
// is used in all.
func TestS04CodeIsOneCodeOnEveryKeyboard(t *testing.T) {
	for name, write := range map[string]func(string) string{"wide": wide, "arabic": arabic, "marked": func(s string) string { return "\u2068" + s + "\u2069" }} {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t, lax)
			alice := w.Enroll("alice")
			code := w.NextCode(alice.Key)
			want(t, "an app's code", answer(w, t, alice.Principal, grants.TOTP, write(code)), nil)
			want(t, "the same in ASCII", answer(w, t, alice.Principal, grants.TOTP, code), ceremony.ErrInvalidCode)
			w.Clock.Advance(totp.Period)
			code = w.NextCode(alice.Key)
			want(t, "the next in ASCII", answer(w, t, alice.Principal, grants.TOTP, code), nil)
			want(t, "the same from the keyboard", answer(w, t, alice.Principal, grants.TOTP, write(code)), ceremony.ErrInvalidCode)

			recovery := alice.RecoveryCodes[0]
			want(t, "a recovery code", answer(w, t, alice.Principal, grants.RecoveryCode, write(recovery)), nil)
			want(t, "the same in ASCII", answer(w, t, alice.Principal, grants.RecoveryCode, recovery), ceremony.ErrInvalidCode)
			want(t, "the same again", answer(w, t, alice.Principal, grants.RecoveryCode, write(recovery)), ceremony.ErrInvalidCode)

			bob := w.Stranger("bob")
			e, err := w.EnrollPhone(t.Context(), bob, "", number, "https://app.test", ceremony.Leave{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Confirm(t.Context(), bob, e.ID, write(lastCode(w, t, number)), ""); err != nil {
				t.Fatal("a sent code that confirms:", err)
			}
			w.Clock.Advance(2 * totp.Period)
			c, again := w.Begin(bob, view), w.Begin(bob, withdraw)
			if _, err := w.SendCode(t.Context(), bob, c.ID, ""); err != nil {
				t.Fatal(err)
			}
			sent := lastCode(w, t, number)
			_, err = w.Verify(t.Context(), bob, c.ID, ceremony.Answer{Method: grants.SMS, Code: write(sent)})
			want(t, "a sent code", err, nil)
			_, err = w.Verify(t.Context(), bob, again.ID, ceremony.Answer{Method: grants.SMS, Code: sent})
			want(t, "the same in ASCII", err, ceremony.ErrInvalidCode)
		})
	}
}
