package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/colour"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
)

// drawn shows the views that the flow does not come by, with scripts, in the
// languages.
func drawn(s *session, b *browser.Browser, dir string, langs []string) error {
	mux := http.NewServeMux()
	var names []string
	for _, lang := range langs {
		all, err := views(lang)
		if err != nil {
			return err
		}
		names = slices.Sorted(maps.Keys(all))
		for name, v := range all {
			mux.HandleFunc("/"+lang+"/"+name, func(w http.ResponseWriter, _ *http.Request) { pages.Render(w, http.StatusOK, v) })
		}
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	c := &camera{Window: b.Open(s, browser.Options{}), s: s, dir: dir}
	for _, name := range names {
		for _, lang := range langs {
			c.Go(strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/" + lang + "/" + name)
			c.shootAs(name, lang)
		}
		fmt.Println(name)
	}
	for _, complaint := range c.Complaints() {
		return fmt.Errorf("the browser complains: %s", complaint)
	}
	return nil
}

// views are the views in one language.
func views(lang string) (map[string]pages.View, error) {
	now := time.Now()
	p := pages.Page{
		Lang: lang, Issuer: "Old Bank", Host: "bank.example.com", User: "alice", HomeURL: "/.step-up/", CSRF: "x", Now: now, LanguageURL: "/", Path: "",
	}
	nobody := p
	nobody.User, nobody.HomeURL, nobody.CSRF = "", "", ""
	branded := p
	accents, err := colour.NewAccents(colour.RGB{R: 0x9c, G: 0x1f, B: 0x5b})
	if err != nil {
		return nil, err
	}
	logo, err := pages.NewLogo([]byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#9c1f5b"/></svg>`))
	if err != nil {
		return nil, err
	}
	branded.Brand = &pages.Brand{Name: "Acme", Logo: logo, Accent: &accents, Links: []pages.BrandLink{{Text: "Help with this", URL: "https://help.example.com/"}, {Text: "Imprint", URL: "/imprint"}}}

	challenge := func(selected string, change func(*pages.Challenge)) pages.Challenge {
		c := pages.Challenge{
			Page: p, Action: "Transfer money", OneTime: true, Hold: 2 * time.Minute, Held: true, AttemptsLeft: -1, FormURL: "/", CancelURL: "/", SendURL: "/",
			PasskeyOptions: "{}",
		}
		for _, m := range []string{pages.MethodPasskey, pages.MethodTOTP, pages.MethodSMS, pages.MethodRecovery} {
			c.Methods = append(c.Methods, pages.Method{Name: m, URL: "/", Selected: m == selected})
		}
		change(&c)
		return c
	}
	const uri = "otpauth://totp/Old%20Bank:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Old%20Bank&algorithm=SHA1&digits=6&period=30"
	qr, err := pages.NewQR(uri)
	if err != nil {
		return nil, err
	}
	enrol := pages.Enrol{
		Page: p, QR: qr, Secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", OTPAuthURI: uri, Digits: 6, Expires: now.Add(15 * time.Minute), AttemptsLeft: 4,
		Error: pages.WrongClock, ClockOff: 7 * time.Minute, FormURL: "/", CancelURL: "/",
	}
	phone := pages.EnrolPhone{Page: p, SendURL: "/", FormURL: "/", ChangeURL: "/", CancelURL: "/", AttemptsLeft: -1}
	phoneWrong, phoneSent := phone, phone
	phoneWrong.Number, phoneWrong.Error = "0151 2345", pages.BadPhone
	phoneSent.SentTo, phoneSent.ResendAfter = "42", 30*time.Second
	codes := pages.RecoveryCodes{Page: p, Enrolled: true, Kind: pages.MethodPasskey, ContinueURL: "/", ContinueFor: "Transfer money",
		Codes: strings.Fields("abcde-fghjk mnpqr-stuvw 23456-789ab cdefg-hjkmn pqrst-uvwxy z2345-6789a bcdef-ghjkm npqrs-tuvwx yz234-56789 abcde-fghjm")}
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	security := pages.Security{
		Page: p, Done: pages.Added, RecoveryLeft: 2, AddURL: "/", RenewURL: "/", SiteURL: "/",
		Authenticators: []pages.Authenticator{
			{Label: "iPhone", Kind: pages.MethodPasskey, Added: ago(40 * 24 * time.Hour), LastUsed: ago(2 * time.Minute), Synced: true, RenameURL: "/", RemoveURL: "/"},
			{Label: "Security key in the drawer", Kind: pages.MethodPasskey, Added: ago(400 * 24 * time.Hour), LastUsed: ago(26 * time.Hour), Cloned: true, RenameURL: "/", RemoveURL: "/"},
			{Label: "هاتفي", Kind: pages.MethodTOTP, Added: ago(time.Hour), RenameURL: "/", RemoveURL: "/"},
			{Label: "Mobile", Kind: pages.MethodSMS, Suffix: "42", Added: ago(time.Hour), RenameURL: "/", RemoveURL: "/"},
		},
		Grants: []pages.Grant{
			{Action: "Transfer money", OneTime: true, Expires: now.Add(90 * time.Second), RevokeURL: "/"},
			{Action: "Administration", Expires: now.Add(9 * time.Minute), RevokeURL: "/"},
		},
		Activity: []pages.Activity{
			{Time: ago(time.Minute), Kind: pages.ActivityAdded, Method: pages.MethodPasskey, Action: "iPhone", Address: "192.0.2.7"},
			{Time: ago(2 * time.Minute), Kind: pages.ActivityPassed, Method: pages.MethodTOTP, Action: "Transfer money", Address: "192.0.2.7"},
			{Time: ago(3 * time.Minute), Kind: pages.ActivityRefused, Method: pages.MethodTOTP, Action: "Transfer money", Address: "192.0.2.7"},
			{Time: ago(30 * time.Hour), Kind: pages.ActivityRenewed, Method: pages.MethodSMS, Address: "2001:db8:85a3::8a2e:370:7334"},
			{Time: ago(70 * time.Hour), Kind: pages.ActivityUnlock},
		},
	}
	all := map[string]pages.View{
		"30-invite":             pages.EnrolStart{Page: p, NeedsInvite: true, First: true, FormURL: "/", CancelURL: "/", Error: pages.WrongInvite},
		"31-passed":             pages.Passed{Page: p, Action: "Transfer money", URL: "/"},
		"32-codes-added":        pages.RecoveryCodes{Page: p, Enrolled: true, ContinueURL: "/"},
		"33-left":               pages.Left{Page: p, URL: "/"},
		"34-challenge-passkey":  challenge(pages.MethodPasskey, func(*pages.Challenge) {}),
		"35-challenge-send":     challenge(pages.MethodSMS, func(c *pages.Challenge) { c.Phones = []pages.Phone{{ID: "1", Suffix: "42"}} }),
		"36-challenge-send-two": challenge(pages.MethodSMS, func(c *pages.Challenge) { c.Phones = []pages.Phone{{ID: "1", Suffix: "42"}, {ID: "2", Suffix: "17"}} }),
		"37-challenge-sms":      challenge(pages.MethodSMS, func(c *pages.Challenge) { c.SentTo, c.ResendAfter = pages.Phone{ID: "1", Suffix: "42"}, 30*time.Second }),
		"38-challenge-wait":     challenge(pages.MethodTOTP, func(c *pages.Challenge) { c.RetryAfter = 4 * time.Minute }),
		"39-challenge-branded":  challenge(pages.MethodTOTP, func(c *pages.Challenge) { c.Page, c.Error, c.AttemptsLeft = branded, pages.WrongCode, 3 }),
		"39-challenge-shown": challenge(pages.MethodTOTP, func(c *pages.Challenge) {
			c.Show = []pages.Shown{{Name: "amount", Value: "1,250.00"}, {Name: "payee", Value: "Bob Mason"}, {Name: "note", Value: strings.Repeat("for the roof ", 20), Cut: true}}
		}),
		"60-enrol-kinds":         pages.EnrolStart{Page: p, For: "Transfer money", Kinds: []string{pages.MethodPasskey, pages.MethodTOTP, pages.MethodSMS}, First: true, FormURL: "/", CancelURL: "/"},
		"61-enrol-clock":         enrol,
		"62-enrol-phone":         phone,
		"63-enrol-phone-wrong":   phoneWrong,
		"64-enrol-phone-sent":    phoneSent,
		"65-enrol-passkey":       pages.EnrolPasskey{Page: p, CreationOptions: "{}", Label: "Laptop", Expires: now.Add(15 * time.Minute), FormURL: "/", OtherURL: "/", CancelURL: "/"},
		"66-codes":               codes,
		"67-security":            security,
		"68-enrol-start-branded": pages.EnrolStart{Page: branded, First: true, FormURL: "/", CancelURL: "/"},
	}
	for n, kind := range []pages.MessageKind{
		pages.NoIdentity, pages.HTTPSRequired, pages.CrossSite, pages.StaleForm, pages.NotADocument, pages.MethodNotAllowed,
		pages.TooLarge, pages.NotShown, pages.NotHeld, pages.BadRequest, pages.TooManyAttempts, pages.Disabled, pages.NoMethod, pages.TooMany, pages.EnrolDenied, pages.Unavailable,
	} {
		m := pages.Message{Page: p, Kind: kind, NextURL: "/"}
		switch kind {
		case pages.NoIdentity, pages.HTTPSRequired:
			m.Page = nobody
		case pages.TooManyAttempts:
			m.RetryAfter = 32 * time.Minute
		}
		all[fmt.Sprintf("%d-%s", 40+n, strings.TrimPrefix(string(kind), "message."))] = m
	}
	return all, nil
}
