package ceremony_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/mail"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

const (
	alicesMail = "alice@example.com"
	othersMail = "mallory@example.net"
)

// mailWorld is a service that sends codes by mail too.
func mailWorld(t *testing.T) *ceremonytest.World {
	w := ceremonytest.New(t)
	w.Also(func(c sentcode.Codes) ceremony.Factor { return mail.New(c) })
	return w
}

// by is the person as the identity source names them, with an address.
func by(p ceremony.Principal, address string) ceremony.Principal {
	p.Email = address
	return p
}

func lastMail(t *testing.T, w *ceremonytest.World, to string) string {
	t.Helper()
	texts := w.Texts(to)
	if len(texts) == 0 {
		t.Fatalf("no mail to %s", to)
	}
	return texts[len(texts)-1].Code()
}

// enrollMail sets up codes by mail for p.
func enrollMail(t *testing.T, w *ceremonytest.World, p ceremony.Principal, leave ceremony.Leave) ceremony.Confirmed {
	t.Helper()
	if w.Clock.Advance(31 * time.Second); leave.Manage == "" {
		w.Clock.Advance(11 * time.Minute)
	}
	begun, err := w.Service.Enroll(t.Context(), p, ceremony.Setup{Kind: grants.Email, Site: ceremonytest.Site}, leave)
	if err != nil {
		t.Fatal("enrolling:", err)
	}
	done, err := w.Confirm(t.Context(), p, begun.ID, lastMail(t, w, p.Email), "")
	if err != nil {
		t.Fatal("confirming:", err)
	}
	w.Clock.Advance(11 * time.Minute)
	return done
}

var anyMethod = grants.Demand{Action: grants.MustAction("WITHDRAW"), Use: grants.OneTimeUse, TTL: time.Minute}

func emailAnswer(code string) ceremony.Answer {
	return ceremony.Answer{Method: grants.Email, Code: code}
}

func TestS04CodesByMailAreTakenOnce(t *testing.T) {
	w := mailWorld(t)
	p := by(w.Stranger("alice"), alicesMail)
	done := enrollMail(t, w, p, ceremony.Leave{})
	if a := done.Authenticator; a.Method != grants.Email || a.Suffix != "a…@example.com" || a.Elsewhere || len(done.RecoveryCodes) == 0 {
		t.Errorf("%+v", a)
	}
	c := w.Begin(p, anyMethod)
	sent, err := w.SendCode(t.Context(), p, c.ID, "")
	if err != nil || sent.Method != grants.Email || sent.Suffix != "a…@example.com" {
		t.Fatalf("%+v, %v", sent, err)
	}
	if _, err := w.SendCode(t.Context(), p, c.ID, ""); !errors.Is(err, quota.ErrTooMany) {
		t.Errorf("again at once: %v", err)
	}
	code := lastMail(t, w, alicesMail)
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for range 4 { // so that the others are not made to wait
		wg.Go(func() {
			if won, err := w.Verify(t.Context(), p, c.ID, emailAnswer(code)); err == nil && won.Grant.Methods == grants.Email {
				mu.Lock()
				passed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if passed != 1 {
		t.Errorf("%d passed", passed)
	}
	second := w.Begin(p, anyMethod)
	if _, err := w.Verify(t.Context(), p, second.ID, emailAnswer(code)); !errors.Is(err, ceremony.ErrInvalidCode) {
		t.Errorf("the code again, for another challenge: %v", err)
	}
	if rows, err := w.DB.Accounts.Find(t.Context(), w.DB.Holder(p.Subject), nil); err != nil || strings.Contains(rows.Value.Authenticators[0].Dest.Address, "alice") || len(rows.Value.Authenticators[0].Dest.Digest) != 32 {
		t.Errorf("the address is kept: %+v, %v", rows.Value.Authenticators[0].Dest, err)
	}
}

// TestS24AnotherAddressIsNotTheSecondFactor: whoever changes the address at the
// identity source, or takes it away, has no second factor by it.
func TestS24AnotherAddressIsNotTheSecondFactor(t *testing.T) {
	w := mailWorld(t)
	p := by(w.Stranger("alice"), alicesMail)
	enrollMail(t, w, p, ceremony.Leave{})
	c := w.Begin(p, anyMethod)
	if _, err := w.SendCode(t.Context(), p, c.ID, ""); err != nil {
		t.Fatal(err)
	}
	code := lastMail(t, w, alicesMail)
	for _, address := range []string{othersMail, "", "alicia@example.com", "Alice@example.com"} {
		w.Clock.Advance(31 * time.Second)
		other := by(p, address)
		d, err := w.Describe(t.Context(), other, c.ID)
		if err != nil || len(d.Elsewhere) != 1 || d.Elsewhere[0] != "Email" || strings.Contains(methodNames(d.Methods), "email") {
			t.Errorf("%q: %v %v, %v", address, d.Elsewhere, d.Methods, err)
		}
		if _, err := w.SendCode(t.Context(), other, c.ID, ""); !errors.Is(err, ceremony.ErrElsewhere) || !errors.Is(err, ceremony.ErrMethodNotAccepted) {
			t.Errorf("%q: sending: %v", address, err)
		}
		if _, err := w.Ask(t.Context(), other, c.ID, grants.Email); !errors.Is(err, ceremony.ErrElsewhere) {
			t.Errorf("%q: asking: %v", address, err)
		}
		if _, err := w.Verify(t.Context(), other, c.ID, emailAnswer(code)); !errors.Is(err, ceremony.ErrElsewhere) {
			t.Errorf("%q: the right code: %v", address, err)
		}
		if a, err := w.Account(t.Context(), other); err != nil || !a.Authenticators[0].Elsewhere {
			t.Errorf("%q: %+v, %v", address, a, err)
		}
		// It does not stand for managing either, so the new address is no way in.
		m, err := w.BeginManage(t.Context(), other, ceremony.AddOp, "", ceremonytest.Site, "/")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.SendCode(t.Context(), other, m.ID, ""); !errors.Is(err, ceremony.ErrElsewhere) {
			t.Errorf("%q: sending to manage: %v", address, err)
		}
		if _, err := w.Service.Enroll(t.Context(), other, ceremony.Setup{Kind: grants.Email, Site: ceremonytest.Site}, ceremony.Leave{}); address != "" && !errors.Is(err, ceremony.ErrManageRequired) || address == "" && !errors.Is(err, ceremony.ErrNoAddress) {
			t.Errorf("%q: enrolling: %v", address, err)
		}
	}
	if n := len(w.Texts(othersMail)); n != 0 {
		t.Errorf("%d mails to another address", n)
	}
	// The code was not used up by any of that, and the first address does again.
	if _, err := w.Verify(t.Context(), p, c.ID, emailAnswer(code)); err != nil {
		t.Errorf("the first address again: %v", err)
	}
}

func methodNames(all []grants.Methods) string {
	var names []string
	for _, m := range all {
		names = append(names, m.String())
	}
	return strings.Join(names, " ")
}

// TestS14PendingMailIsForOneAddress: what was begun for one address sends nothing to
// another, and is not confirmed under another.
func TestS14PendingMailIsForOneAddress(t *testing.T) {
	w := mailWorld(t)
	p := by(w.Stranger("alice"), alicesMail)
	begun, err := w.Service.Enroll(t.Context(), p, ceremony.Setup{Kind: grants.Email, Address: othersMail, Site: ceremonytest.Site}, ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Texts(othersMail)) != 0 {
		t.Fatal("an address of one's own choice is taken")
	}
	code := lastMail(t, w, alicesMail)
	w.Clock.Advance(31 * time.Second)
	for _, address := range []string{othersMail, ""} {
		other := by(p, address)
		if _, err := w.SendFirstCode(t.Context(), other, begun.ID); !errors.Is(err, ceremony.ErrElsewhere) {
			t.Errorf("%q: sending: %v", address, err)
		}
		if _, err := w.Confirm(t.Context(), other, begun.ID, code, ""); !errors.Is(err, ceremony.ErrElsewhere) {
			t.Errorf("%q: confirming: %v", address, err)
		}
	}
	if len(w.Texts(othersMail)) != 0 {
		t.Error("a mail was sent to another address")
	}
	if _, err := w.Confirm(t.Context(), p, begun.ID, code, ""); err != nil {
		t.Error(err)
	}
}

// TestS24MailVouchesForNothing: it opens no door that does not take it, at once or by
// a detour, and never removes what is older.
func TestS24MailVouchesForNothing(t *testing.T) {
	w := mailWorld(t)
	p := by(w.Stranger("alice"), alicesMail)
	enrollMail(t, w, p, ceremony.Leave{})
	strict := anyMethod
	strict.Methods = grants.TOTP | grants.Passkey
	c := w.Begin(p, strict)
	if _, err := w.SendCode(t.Context(), p, c.ID, ""); !errors.Is(err, ceremony.ErrMethodNotAccepted) {
		t.Errorf("sending where mail is not accepted: %v", err)
	}
	if _, err := w.Verify(t.Context(), p, c.ID, emailAnswer("123456")); !errors.Is(err, ceremony.ErrMethodNotAccepted) {
		t.Errorf("answering where mail is not accepted: %v", err)
	}
	// By a detour: mail adds an app, which is worth no more than mail for a day.
	m, err := w.BeginManage(t.Context(), p, ceremony.AddOp, "", ceremonytest.Site, "/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.SendCode(t.Context(), p, m.ID, ""); err != nil {
		t.Fatal(err)
	}
	won, err := w.Verify(t.Context(), p, m.ID, emailAnswer(lastMail(t, w, alicesMail)))
	if err != nil {
		t.Fatal(err)
	}
	app := w.EnrollAs(p, ceremony.Leave{Manage: won.Token.Text()})
	c = w.Begin(p, strict)
	w.Clock.Advance(time.Minute)
	if _, err := w.Verify(t.Context(), p, c.ID, w.Answer(app, c)); !errors.Is(err, ceremony.ErrAuthenticatorTooNew) {
		t.Errorf("an app that mail has added: %v", err)
	}
}

// TestS04CodesOfOneKindAreNoneOfAnother: neither by name nor by the address that they
// went to.
func TestS04CodesOfOneKindAreNoneOfAnother(t *testing.T) {
	w := mailWorld(t)
	p := by(w.Stranger("alice"), alicesMail)
	phone := w.EnrollNumber(p, "+49 1512 3456789", ceremony.Leave{})
	w.Clock.Advance(11 * time.Minute)
	m, err := w.BeginManage(t.Context(), p, ceremony.AddOp, "", ceremonytest.Site, "/")
	if err != nil {
		t.Fatal(err)
	}
	won, err := w.Verify(t.Context(), p, m.ID, w.Answer(phone, m))
	if err != nil {
		t.Fatal(err)
	}
	mailed := enrollMail(t, w, p, ceremony.Leave{Manage: won.Token.Text()}).Authenticator
	c := w.Begin(p, anyMethod)
	if _, err := w.SendCode(t.Context(), p, c.ID, mailed.ID); err != nil {
		t.Fatal(err)
	}
	code := lastMail(t, w, alicesMail)
	if _, err := w.Verify(t.Context(), p, c.ID, ceremony.Answer{Method: grants.SMS, Code: code}); !errors.Is(err, ceremony.ErrInvalidCode) {
		t.Errorf("a mailed code as one of a phone: %v", err)
	}
	w.Clock.Advance(time.Minute)
	if _, err := w.SendCode(t.Context(), p, c.ID, phone.Authenticator.ID); err != nil {
		t.Fatal(err)
	}
	texts := w.Texts(phone.Number)
	texted := texts[len(texts)-1].Code()
	if _, err := w.Verify(t.Context(), p, c.ID, emailAnswer(texted)); !errors.Is(err, ceremony.ErrInvalidCode) {
		t.Errorf("a code of a phone as a mailed one: %v", err)
	}
	if _, err := w.Verify(t.Context(), p, c.ID, emailAnswer(code)); !errors.Is(err, ceremony.ErrInvalidCode) {
		t.Errorf("a code that the next has replaced: %v", err)
	}
	if _, err := w.Verify(t.Context(), p, c.ID, ceremony.Answer{Method: grants.SMS, Code: texted}); err != nil {
		t.Errorf("the phone's code: %v", err)
	}
}

// TestS19MailsAreCapped: a person's by the quota of all that they are sent, and an
// address's however many accounts it belongs to.
func TestS19MailsAreCapped(t *testing.T) {
	w := mailWorld(t)
	p := by(w.Stranger("alice"), alicesMail)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			w.Service.Enroll(t.Context(), p, ceremony.Setup{Kind: grants.Email, Site: ceremonytest.Site}, ceremony.Leave{})
		})
	}
	wg.Wait()
	if n := len(w.Texts(alicesMail)); n != 1 {
		t.Errorf("%d mails at once", n)
	}
	spellings := []string{alicesMail, "Alice@example.com", "ALICE@example.com"}
	for i := range 20 {
		w.Clock.Advance(time.Minute)
		w.Service.Enroll(t.Context(), by(w.Stranger(fmt.Sprint("user", i)), spellings[i%3]), ceremony.Setup{Kind: grants.Email, Site: ceremonytest.Site}, ceremony.Leave{})
	}
	if n := len(w.Texts(alicesMail)) + len(w.Texts(spellings[1])) + len(w.Texts(spellings[2])); n != 5 {
		t.Errorf("%d mails to an address that nobody has confirmed", n)
	}
}

// TestServersSendNoMail: they know no address of a person.
func TestServersSendNoMail(t *testing.T) {
	w := mailWorld(t)
	p := by(w.Stranger("alice"), alicesMail)
	enrollMail(t, w, p, ceremony.Leave{})
	row, err := w.DB.Accounts.Find(t.Context(), w.DB.Holder(p.Subject), nil)
	if err != nil || row.Value.State != records.StateEnrolled {
		t.Fatal(err)
	}
	server := p
	server.Email, server.Client, server.Site = "", "key", ""
	c, err := w.Service.Begin(t.Context(), server, ceremony.Ask{Demand: anyMethod})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.SendCode(t.Context(), server, c.ID, ""); !errors.Is(err, ceremony.ErrElsewhere) {
		t.Errorf("%v", err)
	}
}
