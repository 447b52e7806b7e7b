package pages

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/colour"
)

// sample is one state of one page, as the tests look at it.
type sample struct {
	name string
	view View
}

// samples are those in English.
func samples(t testing.TB, text string) []sample {
	t.Helper()
	return samplesIn(t, "en", text)
}

// samplesIn is every page in every state that changes what is drawn, in a
// language. text fills each field that may come from a request, a person or the
// operator.
func samplesIn(t testing.TB, lang, text string) []sample {
	t.Helper()
	p := Page{
		Lang: lang, LanguageURL: "/.step-up/language", Path: "/.step-up/",
		Issuer: "Acme Intranet", Host: "intranet.example.com", User: text,
		HomeURL: "/.step-up/", CSRF: "mWJ0c3JmLXRva2Vu", Now: now,
	}
	uri := "otpauth://totp/Acme%20Intranet:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Acme%20Intranet&algorithm=SHA1&digits=6&period=30"
	code, err := NewQR(uri)
	if err != nil {
		t.Fatal(err)
	}
	challenge := Challenge{
		Page: p, Action: text, OneTime: true, Hold: 2 * time.Minute, AttemptsLeft: -1,
		Methods: []Method{
			{MethodTOTP, "/.step-up/challenge/abc?method=totp", true},
			{MethodRecovery, "/.step-up/challenge/abc?method=recovery_code", false},
		},
		FormURL: "/.step-up/challenge/abc", CancelURL: "/.step-up/challenge/abc/cancel",
	}
	wrong := challenge
	wrong.Error, wrong.AttemptsLeft, wrong.OneTime, wrong.Hold = WrongCode, 3, false, 10*time.Minute
	locked := challenge
	locked.RetryAfter = 4 * time.Minute
	shown := challenge
	shown.Show = []Shown{{text, text, false}, {"payee", "", false}, {"note", strings.Repeat("long ", 50), true}}
	recovery := challenge
	recovery.Methods = []Method{{MethodTOTP, "/a", false}, {MethodRecovery, "/b", true}}
	recovery.Error = WrongRecovery
	manage := challenge
	manage.Change = ChangeRemove
	start := EnrolStart{Page: p, First: true, For: text, FormURL: "/.step-up/enroll", Challenge: text, CancelURL: "/.step-up/"}
	invite := start
	invite.NeedsInvite, invite.Error, invite.Label, invite.For = true, WrongInvite, text, ""
	enrol := Enrol{
		Page: p, QR: code, Secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", OTPAuthURI: uri, Label: text, Digits: 6,
		Expires: now.Add(15 * time.Minute), AttemptsLeft: -1, Challenge: text, FormURL: "/.step-up/enroll/abc/confirm", CancelURL: "/.step-up/",
	}
	enrolWrong := enrol
	enrolWrong.Error, enrolWrong.AttemptsLeft = WrongCode, 1
	codes := RecoveryCodes{
		Page: p, Enrolled: true, ContinueURL: "/.step-up/challenge/abc", ContinueFor: text,
		Codes: []string{"abcde-fghjk", "mnpqr-stuvw", "23456-789ab", "cdefg-hjkmn", "pqrst-uvwxy", "z2345-6789a", "bcdef-ghjkm", "npqrs-tuvwx", "yz234-56789", "abcde-fghjm"},
	}
	renewed := codes
	renewed.Enrolled, renewed.ContinueFor = false, ""
	added := RecoveryCodes{Page: p, Enrolled: true, ContinueURL: "/.step-up/"}
	security := Security{
		Page: p, Done: Removed, RecoveryLeft: 2, AddURL: "/.step-up/enroll", RenewURL: "/.step-up/recovery-codes/renew", SiteURL: "/",
		Authenticators: []Authenticator{
			{Label: "Pixel 9", Kind: MethodTOTP, Added: now.Add(-40 * 24 * time.Hour), LastUsed: now.Add(-3 * time.Minute), RenameURL: "/r", RemoveURL: "/d"},
			{Label: text, Kind: MethodTOTP, Added: now.Add(-time.Second), RenameURL: "/r", RemoveURL: "/d"},
		},
		Grants: []Grant{
			{text, "", false, now.Add(7 * time.Minute), "/g1"},
			{"", ChangeAny, true, now.Add(80 * time.Second), "/g2"},
		},
	}
	passkey := challenge
	passkey.Methods = []Method{{MethodPasskey, "/a", true}, {MethodTOTP, "/b", false}, {MethodSMS, "/c", false}, {MethodRecovery, "/d", false}}
	passkey.PasskeyOptions = `{"publicKey":{"challenge":"AAAA","userVerification":"required","rpId":"` + strings.ReplaceAll(text, `"`, `\"`) + `"}}`
	passkey.CancelTo = text
	passkeyWrong := passkey
	passkeyWrong.Error = WrongPasskey
	send := challenge
	send.Methods = []Method{{MethodSMS, "/a", true}, {MethodTOTP, "/b", false}}
	send.Phones, send.SendURL = []Phone{{"p1", "42"}}, "/send"
	sendTwo := send
	sendTwo.Phones, sendTwo.ResendAfter, sendTwo.Error = []Phone{{"p1", "42"}, {text, text}}, 20*time.Second, NotSent
	sms := send
	sms.SentTo, sms.ResendAfter = Phone{"p1", "42"}, 30*time.Second
	smsAgain := sms
	smsAgain.ResendAfter, smsAgain.Error, smsAgain.AttemptsLeft = 0, WrongSMS, 2
	kinds := start
	kinds.Kinds = []string{MethodPasskey, MethodTOTP, MethodSMS}
	onlyPasskey := start
	onlyPasskey.Kinds = []string{MethodPasskey}
	enrolClock := enrol
	enrolClock.Error, enrolClock.ClockOff = WrongClock, 7*time.Minute
	enrolLocked := enrol
	enrolLocked.RetryAfter = time.Minute
	phone := EnrolPhone{Page: p, SendURL: "/send", FormURL: "/f", CancelURL: "/c", AttemptsLeft: -1, Label: text, Invite: text, Challenge: text}
	phoneBad := phone
	phoneBad.Number, phoneBad.Error, phoneBad.ResendAfter = text, BadPhone, 30*time.Second
	phoneSent := phone
	phoneSent.SentTo, phoneSent.ResendAfter, phoneSent.ChangeURL = "42", 30*time.Second, "/n"
	enrolPasskey := EnrolPasskey{Page: p, CreationOptions: `{"challenge":"AAAA"}`, Label: text, Expires: now.Add(15 * time.Minute), Challenge: text, FormURL: "/f", OtherURL: "/o", CancelURL: "/c"}
	full := security
	full.Authenticators = append(slices.Clone(full.Authenticators),
		Authenticator{Label: "Key", Kind: MethodPasskey, Added: now.Add(-time.Hour), Cloned: true, RenameURL: "/r", RemoveURL: "/d"},
		Authenticator{Label: "Laptop", Kind: MethodPasskey, Added: now.Add(-time.Hour), Synced: true, RenameURL: "/r", RemoveURL: "/d"},
		Authenticator{Label: "Phone", Kind: MethodSMS, Added: now.Add(-time.Hour), Suffix: "42", RenameURL: "/r", RemoveURL: "/d"})
	for i, k := range activityKinds {
		full.Activity = append(full.Activity, Activity{now.Add(-time.Duration(i*i) * time.Hour), k, methods[i%len(methods)], text, "2001:db8::" + strings.Repeat("1", 1+i%4)})
	}
	full.Activity = append(full.Activity, Activity{Time: now, Kind: ActivityReset})
	full.Activity = append(full.Activity, full.Activity...)
	branded := challenge
	accents, err := colour.NewAccents(colour.RGB{R: 0xc2, G: 0x18, B: 0x5b})
	if err != nil {
		t.Fatal(err)
	}
	logo, err := NewLogo([]byte("<svg xmlns='http://www.w3.org/2000/svg'/>"))
	if err != nil {
		t.Fatal(err)
	}
	branded.Brand = &Brand{Name: text, Logo: logo, Accent: &accents, Links: []BrandLink{{text, "/imprint"}, {"Help", "https://help.example.com/"}}}
	all := []sample{
		{"challenge-passkey", passkey}, {"challenge-passkey-wrong", passkeyWrong}, {"challenge-send", send}, {"challenge-send-two", sendTwo},
		{"challenge-sms", sms}, {"challenge-sms-again", smsAgain}, {"left", Left{p, "/transfer"}},
		{"enrol-kinds", kinds}, {"enrol-only-passkey", onlyPasskey}, {"enrol-clock", enrolClock}, {"enrol-locked", enrolLocked},
		{"enrol-phone", phone}, {"enrol-phone-bad", phoneBad}, {"enrol-phone-sent", phoneSent}, {"enrol-passkey", enrolPasskey},
		{"security-full", full}, {"branded", branded},
		{"challenge", challenge}, {"challenge-wrong", wrong}, {"challenge-shown", shown}, {"challenge-locked", locked}, {"challenge-recovery", recovery}, {"challenge-manage", manage}, {"passed", Passed{p, text, "/transfer"}},
		{"enrol-start", start}, {"enrol-start-invite", invite}, {"enrol", enrol}, {"enrol-wrong", enrolWrong},
		{"codes", codes}, {"codes-renewed", renewed}, {"codes-added", added},
		{"security", security}, {"security-empty", Security{Page: p, AddURL: "/.step-up/enroll"}},
		{"confirm-remove", Confirm{p, ConfirmRemove, text, true, "/f", "/c"}},
		{"confirm-renew", Confirm{p, ConfirmRenew, "", false, "/f", "/c"}},
		{"rename", Rename{p, text, BadLabel, "/f", "/c"}},
		{"frame", Frame{Page{Lang: lang, Host: p.Host, Now: now}, text, "/.step-up/challenge/abc"}},
	}
	for _, k := range messageKinds {
		m := Message{Page: p, Kind: k, NextURL: "/"}
		if k == TooManyAttempts {
			m.RetryAfter = 2 * time.Minute
		}
		all = append(all, sample{strings.ReplaceAll(string(k), ".", "-"), m})
	}
	return all
}

var messageKinds = []MessageKind{
	NotFound, Expired, NoIdentity, HTTPSRequired, Ambiguous, CrossSite, StaleForm, NotADocument, MethodNotAllowed, NotHeld,
	TooLarge, NotShown, BadRequest, TooManyAttempts, Disabled, NoMethod, TooMany, TooNew, EnrolDenied, Unavailable,
}

var fieldErrors = []FieldError{
	WrongCode, WrongClock, WrongRecovery, WrongSMS, WrongPasskey, MalformedCode, WrongInvite, MissingInvite,
	BadLabel, BadPhone, PhoneNotAllowed, NotSent, TooManySends, TooManyPending,
}

var activityKinds = []ActivityKind{
	ActivityPassed, ActivityRefused, ActivityAdded, ActivityRenamed, ActivityRemoved, ActivityRenewed,
	ActivityRevoked, ActivitySent, ActivityReset, ActivityUnlock,
}

var methods = []string{MethodTOTP, MethodPasskey, MethodSMS, MethodRecovery}
