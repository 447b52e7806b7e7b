//go:build components

package components

import (
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// views draws every page in every state that looks different, by name.
func views(t *testing.T) map[string]func(pages.Page) pages.View {
	t.Helper()
	const uri = "otpauth://totp/Old%20Bank:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Old%20Bank&algorithm=SHA1&digits=6&period=30"
	code, err := pages.NewQR(uri)
	if err != nil {
		t.Fatal(err)
	}
	// offered are ways to prove, the first one selected.
	offered := func(names ...string) (all []pages.Method) {
		for n, name := range names {
			all = append(all, pages.Method{Name: name, URL: "/" + name, Selected: n == 0})
		}
		return all
	}
	challenge := func(p pages.Page, edit func(*pages.Challenge)) pages.View {
		c := pages.Challenge{
			Page: p, Action: "Transfer money", OneTime: true, Hold: 2 * time.Minute, AttemptsLeft: -1,
			Methods: offered(pages.MethodTOTP, pages.MethodPasskey, pages.MethodSMS, pages.MethodRecovery),
			FormURL: "/verify", CancelURL: "/cancel", SendURL: "/send", Phones: []pages.Phone{{ID: "1", Suffix: "42"}},
			PasskeyOptions: `{"publicKey":{"challenge":"AAAA","userVerification":"required"}}`,
		}
		edit(&c)
		return c
	}
	start := func(p pages.Page) pages.EnrolStart {
		return pages.EnrolStart{Page: p, First: true, For: "Transfer money", FormURL: "/enrol", CancelURL: "/home"}
	}
	enrol := func(p pages.Page) pages.Enrol {
		return pages.Enrol{
			Page: p, QR: code, Secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", OTPAuthURI: uri, Label: "Phone", Digits: 6,
			Expires: p.Now.Add(15 * time.Minute), AttemptsLeft: -1, FormURL: "/confirm", CancelURL: "/home",
		}
	}
	phone := func(p pages.Page) pages.EnrolPhone {
		return pages.EnrolPhone{Page: p, SendURL: "/send", FormURL: "/confirm", CancelURL: "/home", ChangeURL: "/number", AttemptsLeft: -1}
	}
	saved := []string{"abcde-fghjk", "mnpqr-stuvw", "23456-789ab", "cdefg-hjkmn", "pqrst-uvwxy", "z2345-6789a", "bcdef-ghjkm", "npqrs-tuvwx", "yz234-56789", "abcde-fghjm"}
	all := map[string]func(pages.Page) pages.View{
		"challenge": func(p pages.Page) pages.View { return challenge(p, func(*pages.Challenge) {}) },
		"challenge-wrong": func(p pages.Page) pages.View {
			return challenge(p, func(c *pages.Challenge) { c.Error, c.AttemptsLeft = pages.WrongCode, 3 })
		},
		"challenge-waits": func(p pages.Page) pages.View {
			return challenge(p, func(c *pages.Challenge) { c.RetryAfter = 4 * time.Minute })
		},
		"challenge-held": func(p pages.Page) pages.View { return challenge(p, func(c *pages.Challenge) { c.Held = true }) },
		"challenge-shows": func(p pages.Page) pages.View {
			return challenge(p, func(c *pages.Challenge) {
				c.Show = []pages.Shown{{Name: "amount", Value: "12.50"}, {Name: "payee"}, {Name: "note", Value: strings.Repeat("longer", 40), Cut: true}}
			})
		},
		"challenge-long-name": func(p pages.Page) pages.View {
			p.User = strings.Repeat("alice", 30)
			return challenge(p, func(c *pages.Challenge) { c.Action = strings.Repeat("Transfer", 20) })
		},
		"challenge-recovery": func(p pages.Page) pages.View {
			return challenge(p, func(c *pages.Challenge) {
				c.Methods, c.Error = offered(pages.MethodRecovery, pages.MethodTOTP), pages.WrongRecovery
			})
		},
		"challenge-passkey": func(p pages.Page) pages.View {
			return challenge(p, func(c *pages.Challenge) { c.Methods = offered(pages.MethodPasskey, pages.MethodTOTP) })
		},
		"challenge-send": func(p pages.Page) pages.View {
			return challenge(p, func(c *pages.Challenge) { c.Methods = offered(pages.MethodSMS, pages.MethodTOTP) })
		},
		"challenge-send-where": func(p pages.Page) pages.View {
			return challenge(p, func(c *pages.Challenge) {
				c.Methods, c.Phones, c.Error = offered(pages.MethodSMS), []pages.Phone{{ID: "1", Suffix: "42"}, {ID: "2", Suffix: "23"}}, pages.NotSent
			})
		},
		"challenge-sent": func(p pages.Page) pages.View {
			return challenge(p, func(c *pages.Challenge) {
				c.Methods, c.SentTo, c.ResendAfter = offered(pages.MethodSMS), c.Phones[0], 30*time.Second
			})
		},
		"passed":      func(p pages.Page) pages.View { return pages.Passed{Page: p, Action: "Transfer money", URL: "/"} },
		"left":        func(p pages.Page) pages.View { return pages.Left{Page: p, URL: "/"} },
		"enrol-start": func(p pages.Page) pages.View { return start(p) },
		"enrol-kinds": func(p pages.Page) pages.View {
			e := start(p)
			e.Kinds = []string{pages.MethodPasskey, pages.MethodTOTP, pages.MethodSMS}
			return e
		},
		"enrol-invite": func(p pages.Page) pages.View {
			e := start(p)
			e.NeedsInvite, e.Error = true, pages.WrongInvite
			return e
		},
		"enrol": func(p pages.Page) pages.View { return enrol(p) },
		"enrol-clock": func(p pages.Page) pages.View {
			e := enrol(p)
			e.Error, e.ClockOff = pages.WrongClock, 7*time.Minute
			return e
		},
		"enrol-phone": func(p pages.Page) pages.View { return phone(p) },
		"enrol-phone-bad": func(p pages.Page) pages.View {
			e := phone(p)
			e.Number, e.Error = "12", pages.BadPhone
			return e
		},
		"enrol-phone-sent": func(p pages.Page) pages.View {
			e := phone(p)
			e.SentTo, e.ResendAfter = "42", 30*time.Second
			return e
		},
		"enrol-passkey": func(p pages.Page) pages.View {
			return pages.EnrolPasskey{Page: p, CreationOptions: `{"challenge":"AAAA"}`, Label: "Laptop", Expires: p.Now.Add(time.Minute), FormURL: "/confirm", OtherURL: "/other", CancelURL: "/home"}
		},
		"codes": func(p pages.Page) pages.View {
			return pages.RecoveryCodes{Page: p, Enrolled: true, Codes: saved, ContinueURL: "/", ContinueFor: "Transfer money"}
		},
		"codes-added":    func(p pages.Page) pages.View { return pages.RecoveryCodes{Page: p, Enrolled: true, ContinueURL: "/"} },
		"security-empty": func(p pages.Page) pages.View { return pages.Security{Page: p, AddURL: "/enrol"} },
		"security": func(p pages.Page) pages.View {
			day := 24 * time.Hour
			s := pages.Security{Page: p, Done: pages.Added, RecoveryLeft: 2, AddURL: "/enrol", RenewURL: "/renew", SiteURL: "/"}
			for n, kind := range []string{pages.MethodTOTP, pages.MethodPasskey, pages.MethodSMS} {
				s.Authenticators = append(s.Authenticators, pages.Authenticator{
					Kind: kind, Label: strings.Repeat("Telephone ", 1+3*n), Suffix: "42", Synced: n == 1, Cloned: n == 1,
					Added: p.Now.Add(-40 * day), LastUsed: p.Now.Add(-3 * time.Minute), RenameURL: "/rename", RemoveURL: "/remove",
				})
			}
			s.Grants = []pages.Grant{
				{Action: "Administration", Expires: p.Now.Add(7 * time.Minute), RevokeURL: "/end"},
				{Change: pages.ChangeAny, OneTime: true, Expires: p.Now.Add(time.Minute), RevokeURL: "/end"},
			}
			for n, kind := range []pages.ActivityKind{pages.ActivityPassed, pages.ActivityRefused, pages.ActivityAdded, pages.ActivitySent, pages.ActivityUnlock} {
				s.Activity = append(s.Activity, pages.Activity{
					Time: p.Now.Add(-time.Duration(n) * day), Kind: kind, Method: pages.MethodTOTP, Action: "Administration", Address: "2001:db8:1111:2222:3333:4444:5555:6666",
				})
			}
			return s
		},
		"remove": func(p pages.Page) pages.View {
			return pages.Confirm{Page: p, Kind: pages.ConfirmRemove, Label: "Phone", Last: true, FormURL: "/do", CancelURL: "/home"}
		},
		"renew": func(p pages.Page) pages.View {
			return pages.Confirm{Page: p, Kind: pages.ConfirmRenew, FormURL: "/do", CancelURL: "/home"}
		},
		"rename": func(p pages.Page) pages.View {
			return pages.Rename{Page: p, Label: "Phone", Error: pages.BadLabel, FormURL: "/do", CancelURL: "/home"}
		},
		"frame": func(p pages.Page) pages.View { return pages.Frame{Page: p, Action: "Administration", URL: "/"} },
		"no-identity": func(p pages.Page) pages.View {
			p.User, p.HomeURL = "", ""
			return pages.Message{Page: p, Kind: pages.NoIdentity, NextURL: "/"}
		},
	}
	for _, kind := range []pages.MessageKind{pages.NotFound, pages.Ambiguous, pages.TooManyAttempts, pages.Disabled, pages.TooNew, pages.Unavailable} {
		all[strings.ReplaceAll(string(kind), ".", "-")] = func(p pages.Page) pages.View {
			return pages.Message{Page: p, Kind: kind, NextURL: "/", RetryAfter: 2 * time.Minute}
		}
	}
	return all
}
