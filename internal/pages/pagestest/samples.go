package pagestest

import (
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// Samples are all pages. They follow a person's way: the challenge, enrollment,
// recovery codes, the security page, and what is told instead.
func Samples(f Fill) []Sample {
	p := page(f)
	return slices.Concat(challenges(f, p), enrollments(f, p), settings(f, p), messages(f, p))
}

// edit gives a changed copy.
func edit[V any](v V, change func(*V)) V {
	change(&v)
	return v
}

// offered are ways to prove, the first one selected.
func offered(names ...string) []pages.Method {
	var all []pages.Method
	for n, name := range names {
		all = append(all, pages.Method{Name: name, URL: "/.step-up/challenge/abc?method=" + name, Selected: n == 0})
	}
	return all
}

func challenges(f Fill, p pages.Page) []Sample {
	challenge := pages.Challenge{
		Page: p, Action: f.Action, OneTime: true, Hold: 2 * time.Minute, AttemptsLeft: -1,
		Methods: offered(pages.MethodTOTP, pages.MethodPasskey, pages.MethodSMS, pages.MethodRecovery),
		FormURL: "/.step-up/challenge/abc", CancelURL: "/.step-up/challenge/abc/cancel", CancelTo: f.ID, SendURL: "/.step-up/challenge/abc/send",
		PasskeyOptions: `{"publicKey":{"challenge":"AAAA","userVerification":"required","rpId":"` + strings.ReplaceAll(f.ID, `"`, `\"`) + `"}}`,
	}
	with := func(change func(*pages.Challenge)) pages.View { return edit(challenge, change) }
	by := func(method string, change func(*pages.Challenge)) pages.View {
		return with(func(c *pages.Challenge) {
			c.Methods = offered(method, pages.MethodTOTP, pages.MethodRecovery)
			if method == pages.MethodSMS {
				c.Phones = []pages.Phone{{ID: f.ID, Suffix: "42"}}
			}
			change(c)
		})
	}
	return []Sample{
		{"challenge", with(func(c *pages.Challenge) { c.Held, c.Left = true, 4*time.Minute })},
		{"challenge-alone", with(func(c *pages.Challenge) {
			c.Methods, c.OneTime, c.Hold, c.User, c.CancelURL, c.Opens = offered(pages.MethodTOTP), false, 10*time.Minute, "", "", "REPORTS"
		})},
		{"challenge-wrong", with(func(c *pages.Challenge) { c.Error, c.AttemptsLeft = pages.WrongCode, 3 })},
		{"challenge-late", with(func(c *pages.Challenge) { c.Error, c.ClockOff, c.AttemptsLeft = pages.LateCode, 3*time.Minute, 4 })},
		{"challenge-waits", with(func(c *pages.Challenge) { c.RetryAfter = 4 * time.Minute })},
		{"challenge-shows", with(func(c *pages.Challenge) {
			c.Held = true
			c.Show = []pages.Shown{{Name: "amount", Label: f.Action, Value: f.Value}, {Name: f.ID, Value: f.Label}, {Name: "payee"}, {Name: "note", Value: strings.Repeat("for the roof ", 20), Cut: true}}
		})},
		{"challenge-leads", with(func(c *pages.Challenge) {
			c.Held, c.Address = true, "https://"+f.Host+"/transfer?to=mallory&amount=1000&memo="+strings.Repeat("roof", 30)
		})},
		{"challenge-foreign", with(func(c *pages.Challenge) {
			c.Foreign, c.From, c.Address = true, f.Host, "https://"+f.Host+"/transfer?to="+f.Value
		})},
		{"challenge-foreign-unknown", with(func(c *pages.Challenge) { c.Foreign, c.Address = true, "https://"+f.Host+"/transfer" })},
		{"challenge-recovery", with(func(c *pages.Challenge) {
			c.Methods, c.Error = offered(pages.MethodRecovery, pages.MethodTOTP), pages.WrongRecovery
		})},
		{"challenge-passkey", by(pages.MethodPasskey, func(c *pages.Challenge) { c.Held = true })},
		{"challenge-passkey-wrong", by(pages.MethodPasskey, func(c *pages.Challenge) { c.Error, c.AttemptsLeft = pages.WrongPasskey, 2 })},
		{"challenge-send", by(pages.MethodSMS, func(*pages.Challenge) {})},
		{"challenge-send-where", by(pages.MethodSMS, func(c *pages.Challenge) {
			c.Phones = append(c.Phones, pages.Phone{ID: "p2", Suffix: "17"})
			c.ResendAfter, c.Error = 20*time.Second, pages.NotSent
		})},
		{"challenge-sent", by(pages.MethodSMS, func(c *pages.Challenge) { c.SentTo, c.ResendAfter = c.Phones[0], 30*time.Second })},
		{"challenge-mail", by("email", func(c *pages.Challenge) { c.Phones = []pages.Phone{{ID: f.ID, Suffix: "a…@example.com"}} })},
		{"challenge-mail-sent", by("email", func(c *pages.Challenge) {
			c.Phones = []pages.Phone{{ID: f.ID, Suffix: "a…@example.com"}}
			c.SentTo, c.Error, c.AttemptsLeft = c.Phones[0], pages.WrongAnswer("email"), 2
		})},
		{"challenge-sent-wrong", by(pages.MethodSMS, func(c *pages.Challenge) { c.SentTo, c.Error, c.AttemptsLeft = c.Phones[0], pages.WrongSMS, 2 })},
		{"challenge-elsewhere", with(func(c *pages.Challenge) { c.Elsewhere = []string{f.Label} })},
		{"challenge-change", with(func(c *pages.Challenge) { c.Change, c.Action = pages.ChangeRemove, f.Label })},
		{"challenge-branded", with(func(c *pages.Challenge) { c.Brand = brand(f.Label) })},
		{"passed", pages.Passed{Page: p, Action: f.Action, Opens: "TRANSFER", URL: "/transfer"}},
		{"passed-foreign", pages.Passed{Page: p, Action: f.Action, URL: "/transfer", Lead: pages.Lead{Foreign: true, From: f.Host, Address: "https://" + f.Host + "/transfer?to=" + f.Value}}},
		{"passed-foreign-unknown", pages.Passed{Page: p, Action: f.Action, URL: "/transfer", Lead: pages.Lead{Foreign: true, Address: "https://" + f.Host + "/transfer"}}},
		{"passed-elsewhere", pages.Passed{Page: p, Action: f.Action}},
		{"lapsed", pages.Lapsed{Page: p, Action: f.Action, AgainURL: "/.step-up/challenge/abc/again", Lead: pages.Lead{Address: "https://" + f.Host + "/reports?of=" + f.Value}}},
		{"lapsed-held", pages.Lapsed{Page: p, Action: f.Action, Kept: Now.Add(55 * time.Minute), AgainURL: "/.step-up/challenge/abc/again"}},
		{"lapsed-lost", pages.Lapsed{Page: p, Action: f.Action, Lost: true, BackURL: "/transfer"}},
		{"lapsed-window", pages.Lapsed{Page: p, Action: f.Label, Change: pages.ChangeRemove}},
		{"lapsed-foreign", pages.Lapsed{Page: p, Action: f.Action, AgainURL: "/.step-up/challenge/abc/again", Lead: pages.Lead{Foreign: true, From: f.Host, Address: "https://" + f.Host + "/transfer?to=" + f.Value}}},
		{"left", pages.Left{Page: p, URL: "/transfer"}},
		{"frame", pages.Frame{Page: pages.Page{Lang: f.Lang, Host: f.Host, Now: Now}, Action: f.Action, URL: "/.step-up/challenge/abc"}},
	}
}

// keyURI is what the QR code holds; keySecret is in it.
const (
	keySecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	keyURI    = "otpauth://totp/Old%20Bank:alice?secret=" + keySecret + "&issuer=Old%20Bank&algorithm=SHA1&digits=6&period=30"
)

func enrollments(f Fill, p pages.Page) []Sample {
	code, err := pages.NewQR(keyURI)
	if err != nil {
		panic(err)
	}
	start := pages.EnrollStart{Page: p, First: true, For: f.Action, FormURL: "/.step-up/enroll", Challenge: f.ID, CancelURL: "/.step-up/"}
	begin := func(change func(*pages.EnrollStart)) pages.View { return edit(start, change) }
	totp := pages.Enroll{
		Page: p, QR: code, Secret: keySecret, OTPAuthURI: keyURI, Label: f.Label, Digits: 6, Expires: Now.Add(15 * time.Minute),
		AttemptsLeft: -1, Challenge: f.ID, FormURL: "/.step-up/enroll/abc/confirm", CancelURL: "/.step-up/",
	}
	app := func(change func(*pages.Enroll)) pages.View { return edit(totp, change) }
	phone := pages.EnrollPhone{
		Page: p, SendURL: "/send", FormURL: "/.step-up/enroll/abc/confirm", CancelURL: "/.step-up/", AttemptsLeft: -1,
		Label: f.Label, Invite: f.ID, Challenge: f.ID,
	}
	sms := func(change func(*pages.EnrollPhone)) pages.View { return edit(phone, change) }
	passkey := pages.EnrollPasskey{
		Page: p, CreationOptions: `{"challenge":"AAAA"}`, Label: f.Label, Expires: Now.Add(15 * time.Minute), Challenge: f.ID,
		FormURL: "/.step-up/enroll/abc/confirm", OtherURL: "/.step-up/enroll", CancelURL: "/.step-up/",
	}
	codes := pages.RecoveryCodes{
		Page: p, Enrolled: true, ContinueURL: "/.step-up/challenge/abc", ContinueFor: f.Action, Opens: "REPORTS",
		Codes: strings.Fields("abcde-fghjk mnpqr-stuvw 23456-789ab cdefg-hjkmn pqrst-uvwxy z2345-6789a bcdef-ghjkm npqrs-tuvwx yz234-56789 abcde-fghjm"),
	}
	return []Sample{
		{"enroll-start", start},
		{"enroll-invite", begin(func(e *pages.EnrollStart) {
			e.NeedsInvite, e.Error, e.Label, e.For = true, pages.WrongInvite, f.Label, ""
		})},
		{"enroll-kinds", begin(func(e *pages.EnrollStart) {
			e.Kinds = []string{pages.MethodPasskey, pages.MethodTOTP, pages.MethodSMS}
		})},
		{"enroll-only-passkey", begin(func(e *pages.EnrollStart) { e.Kinds, e.Brand = []string{pages.MethodPasskey}, brand(f.Label) })},
		{"enroll", totp},
		{"enroll-wrong", app(func(e *pages.Enroll) { e.Error, e.AttemptsLeft = pages.WrongCode, 1 })},
		{"enroll-clock", app(func(e *pages.Enroll) { e.Error, e.ClockOff = pages.WrongClock, 7*time.Minute })},
		{"enroll-waits", app(func(e *pages.Enroll) { e.RetryAfter = time.Minute })},
		{"enroll-phone", phone},
		{"enroll-phone-bad", sms(func(e *pages.EnrollPhone) { e.Number, e.Error, e.ResendAfter = f.Value, pages.BadPhone, 30*time.Second })},
		{"enroll-phone-sent", sms(func(e *pages.EnrollPhone) {
			e.SentTo, e.ResendAfter, e.ChangeURL = "42", 30*time.Second, "/.step-up/number"
		})},
		{"enroll-mail-sent", sms(func(e *pages.EnrollPhone) {
			e.Kind, e.SentTo, e.ResendAfter = "email", "a…@example.com", 30*time.Second
		})},
		{"enroll-mail-missing", begin(func(e *pages.EnrollStart) {
			e.Kinds, e.Missing = []string{pages.MethodTOTP, pages.MethodSMS}, []string{"email"}
		})},
		{"enroll-passkey", passkey},
		{"codes", codes},
		{"codes-renewed", edit(codes, func(c *pages.RecoveryCodes) { c.Enrolled, c.ContinueFor = false, "" })},
		{"codes-foreign", edit(codes, func(c *pages.RecoveryCodes) {
			c.Lead = pages.Lead{Foreign: true, From: f.Host, Address: "https://" + f.Host + "/transfer?to=" + f.Value}
		})},
		{"codes-added", pages.RecoveryCodes{Page: p, Enrolled: true, Kind: pages.MethodPasskey, ContinueURL: "/.step-up/"}},
	}
}

func settings(f Fill, p pages.Page) []Sample {
	ago := func(d time.Duration) time.Time { return Now.Add(-d) }
	const day = 24 * time.Hour
	security := pages.Security{
		Page: p, Done: pages.Added, RecoveryLeft: 2, AddURL: "/.step-up/enroll", RenewURL: "/.step-up/recovery-codes/renew", SiteURL: "/",
		Authenticators: []pages.Authenticator{
			{Label: f.Label, Kind: pages.MethodTOTP, Added: ago(40 * day), LastUsed: ago(3 * time.Minute), RenameURL: "/r", RemoveURL: "/d"},
			{Label: "MacBook", Kind: pages.MethodPasskey, Added: ago(time.Second), Synced: true, RenameURL: "/r", RemoveURL: "/d",
				Recent: true, NotMeURL: "/n", Fresh: Now.Add(23 * time.Hour), VouchedBy: []string{pages.MethodRecovery}, VouchURL: "/v"},
			{Label: "Security key in the drawer", Kind: pages.MethodPasskey, Added: ago(400 * day), LastUsed: ago(26 * time.Hour), Cloned: true, RenameURL: "/r", RemoveURL: "/d"},
			{Label: "هاتفي", Kind: pages.MethodSMS, Added: ago(time.Hour), Suffix: "42", RenameURL: "/r", RemoveURL: "/d"},
		},
		Grants: []pages.Grant{
			{Action: f.Action, Expires: Now.Add(7 * time.Minute), RevokeURL: "/g1"},
			{Change: pages.ChangeAny, OneTime: true, Expires: Now.Add(80 * time.Second), RevokeURL: "/g2"},
		},
	}
	for i, kind := range activityKinds {
		what := f.Action
		switch kind {
		case pages.ActivityAdded, pages.ActivityRenamed, pages.ActivityRemoved, pages.ActivityVouched, pages.ActivityDisowned:
			what = f.Label
		case pages.ActivityRenewed, pages.ActivitySent, pages.ActivityReset, pages.ActivityUnlock:
			what = ""
		}
		label := ""
		switch kind {
		case pages.ActivityPassed, pages.ActivitySent:
			label = f.Label
		}
		security.Activity = append(security.Activity, pages.Activity{
			Label: label,
			Time:  ago(time.Duration(i*i) * time.Hour), Kind: kind, Method: methods[i%len(methods)], Action: what, Address: []string{"192.0.2.7", "2001:db8:85a3:1111:2222:8a2e:370:7334"}[i%2], Key: []string{"", "", "key_7Qm2xT"}[i%3],
		})
	}
	security.Activity = append(security.Activity, pages.Activity{Time: Now, Kind: pages.ActivityReset})
	return []Sample{
		{"security", security},
		{"security-mail", pages.Security{Page: p, AddURL: "/.step-up/enroll", Authenticators: []pages.Authenticator{
			{Label: "Work mail", Kind: "email", Added: ago(30 * day), Suffix: "a…@example.com", Elsewhere: true, RenameURL: "/r", RemoveURL: "/d"},
		}}},
		{"security-empty", pages.Security{Page: p, AddURL: "/.step-up/enroll"}},
		{"remove", pages.Confirm{Page: p, Kind: pages.ConfirmRemove, Label: f.Label, Last: true, FormURL: "/f", CancelURL: "/c"}},
		{"vouch", pages.Confirm{Page: p, Kind: pages.ConfirmVouch, Label: f.Label, FormURL: "/f", CancelURL: "/c"}},
		{"renew", pages.Confirm{Page: p, Kind: pages.ConfirmRenew, FormURL: "/f", CancelURL: "/c"}},
		{"rename", pages.Rename{Page: p, Label: f.Label, FormURL: "/f", CancelURL: "/c"}},
		{"rename-wrong", pages.Rename{Page: p, Label: f.Label, Error: pages.BadLabel, FormURL: "/f", CancelURL: "/c"}},
	}
}

var activityKinds = []pages.ActivityKind{
	pages.ActivityPassed, pages.ActivityRefused, pages.ActivityAdded, pages.ActivityRenamed, pages.ActivityRemoved, pages.ActivityRenewed,
	pages.ActivityRevoked, pages.ActivitySent, pages.ActivityReset, pages.ActivityUnlock, pages.ActivityVouched, pages.ActivityDisowned,
}

var methods = []string{pages.MethodTOTP, pages.MethodPasskey, pages.MethodSMS, pages.MethodRecovery}

func messages(f Fill, p pages.Page) []Sample {
	var all []Sample
	for _, kind := range messageKinds {
		m := pages.Message{Page: p, Kind: kind, NextURL: "/"}
		switch kind {
		case pages.MustAdd:
			m.Takes = []string{pages.MethodPasskey, pages.MethodTOTP}
		case pages.NotYet:
			m.Label, m.Until = f.Label, Now.Add(23*time.Hour)
		case pages.TooManyAttempts:
			m.RetryAfter = 2 * time.Minute
		case pages.Busy, pages.TooManyForms:
			m.RetryAfter, m.NextURL = 2*time.Minute, ""
		case pages.NoIdentity, pages.HTTPSRequired:
			// Nobody is known yet.
			m.Page = pages.Page{Lang: f.Lang, Issuer: p.Issuer, Host: f.Host, Now: Now}
		}
		all = append(all, Sample{strings.NewReplacer(".", "-", "_", "-").Replace(string(kind)), m})
	}
	return all
}

var messageKinds = []pages.MessageKind{
	pages.NotFound, pages.Expired, pages.NoIdentity, pages.HTTPSRequired, pages.Ambiguous, pages.CrossSite, pages.StaleForm, pages.NoCookies, pages.NotADocument,
	pages.MethodNotAllowed, pages.TooLarge, pages.NotShown, pages.Several, pages.NotHeld, pages.Busy, pages.TooManyForms, pages.BadRequest, pages.TooManyAttempts, pages.Disabled,
	pages.NoMethod, pages.MustAdd, pages.TooMany, pages.TooNew, pages.NotYet, pages.WeakOrigin, pages.Elsewhere, pages.EnrollDenied, pages.Unavailable, pages.RolledBack,
}
