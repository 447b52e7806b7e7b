package ceremony_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

func device(t *testing.T) *ceremonytest.Device {
	return ceremonytest.NewDevice(t, virtualwebauthn.KeyTypeEC2)
}

// byPasskey answers the challenge with the answer to a request for a passkey.
func byPasskey(w *ceremonytest.World, t *testing.T, p ceremony.Principal, challenge, answer string) error {
	t.Helper()
	_, err := w.Verify(t.Context(), p, challenge, ceremony.Answer{Method: grants.Passkey, Code: answer})
	return err
}

// One answer passes one challenge once, also when it comes 64 times at once and
// after a restart.
func TestS04PasskeyAnswerPassesItsChallengeOnce(t *testing.T) {
	w := ceremonytest.New(t, lax)
	d := device(t)
	d.Step = 0 // so that only the challenge tells an answer from a replayed one
	alice := w.EnrollDevice(w.Stranger("alice"), d, ceremony.Leave{})
	if len(alice.RecoveryCodes) != 10 || alice.Authenticator.Type != "passkey" {
		t.Error(alice.Authenticator, len(alice.RecoveryCodes))
	}
	c := w.Begin(alice.Principal, view)
	described, err := w.Describe(t.Context(), alice.Principal, c.ID)
	if err != nil || !slices.Equal(described.Methods, []grants.Methods{grants.Passkey, grants.RecoveryCode}) {
		t.Error(described.Methods, err)
	}
	answer := w.Answer(alice, c).Code
	var passed atomic.Int64
	atOnce(64, func(int) {
		switch err := byPasskey(w, t, alice.Principal, c.ID, answer); {
		case err == nil:
			passed.Add(1)
		case !errors.Is(err, ceremony.ErrNotFound):
			t.Error(err)
		}
	})
	if passed.Load() != 1 {
		t.Error(passed.Load(), "passed")
	}
	w.Reopen()
	want(t, "replayed", byPasskey(w, t, alice.Principal, c.ID, answer), ceremony.ErrNotFound)
	for range 3 {
		want(t, "replayed at another challenge", byPasskey(w, t, alice.Principal, w.Begin(alice.Principal, view).ID, answer), ceremony.ErrInvalidCode)
		want(t, "and for another action", byPasskey(w, t, alice.Principal, w.Begin(alice.Principal, withdraw).ID, answer), ceremony.ErrInvalidCode)
	}
	won := w.Win(alice, view)
	if amr := won.Grant.Methods.AMR(); amr != "hwk user" {
		t.Error(amr)
	}
}

func TestS02PasskeyOfAnotherPersonIsRefused(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.EnrollDevice(w.Stranger("alice"), device(t), ceremony.Leave{})
	mallory := w.EnrollDevice(w.Stranger("mallory"), device(t), ceremony.Leave{})
	hers, his := w.Begin(alice.Principal, view), w.Begin(mallory.Principal, view)
	theirs := w.Asked(mallory.Principal, his)
	want(t, "her passkey at his challenge", byPasskey(w, t, mallory.Principal, his.ID, alice.Device.Answer(theirs)), ceremony.ErrInvalidCode)
	want(t, "her answer at his challenge", byPasskey(w, t, mallory.Principal, his.ID, w.Answer(alice, hers).Code), ceremony.ErrInvalidCode)
	want(t, "his answer at her challenge", byPasskey(w, t, alice.Principal, hers.ID, w.Answer(mallory, his).Code), ceremony.ErrInvalidCode)
	want(t, "her challenge", byPasskey(w, t, mallory.Principal, hers.ID, w.Answer(alice, hers).Code), ceremony.ErrNotFound)
	alice.Device.Origin = "https://app.test.evil"
	want(t, "her own passkey at another origin", byPasskey(w, t, alice.Principal, hers.ID, w.Answer(alice, hers).Code), ceremony.ErrInvalidCode)
	alice.Device.Origin = ceremonytest.Site
	want(t, "her own", byPasskey(w, t, alice.Principal, hers.ID, w.Answer(alice, hers).Code), nil)
}

// Wrong answers by passkeys count as all others do.
func TestS05PasskeyAnswersAreCounted(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.EnrollDevice(w.Stranger("alice"), device(t), ceremony.Leave{})
	c := w.Begin(alice.Principal, view)
	for range 5 {
		want(t, "wrong", byPasskey(w, t, alice.Principal, c.ID, "{}"), ceremony.ErrInvalidCode)
	}
	good := w.Answer(alice, c).Code
	want(t, "right, but too soon", byPasskey(w, t, alice.Principal, c.ID, good), ceremony.ErrTooManyAttempts)
	w.Clock.Advance(time.Minute)
	want(t, "right", byPasskey(w, t, alice.Principal, c.ID, good), nil)
}

// A rule that names passkeys takes nothing else, recovery codes included; and a
// grant that was won with something else does not open it.
func TestS02RuleForPasskeysTakesNothingElse(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	key := w.EnrollDevice(alice.Principal, device(t), ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
	phone := w.EnrollNumber(alice.Principal, number, ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
	w.Clock.Advance(24 * time.Hour) // an app vouched for the passkey (S24)
	only := ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 10*time.Minute, grants.Passkey)
	c := w.Begin(alice.Principal, only)
	described, err := w.Describe(t.Context(), alice.Principal, c.ID)
	if err != nil || !slices.Equal(described.Methods, []grants.Methods{grants.Passkey}) || len(described.Asked(grants.SMS).Texts.Phones) != 0 {
		t.Error(described.Methods, described.Asked(grants.SMS).Texts, err)
	}
	for _, a := range []ceremony.Answer{
		{Method: grants.TOTP, Code: w.NextCode(alice.Key)},
		{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[0]},
		{Method: grants.SMS, Code: "123456"},
	} {
		_, err := w.Verify(t.Context(), alice.Principal, c.ID, a)
		want(t, a.Method.String(), err, ceremony.ErrMethodNotAccepted)
	}
	any := only
	any.Methods = 0
	for _, who := range []*ceremonytest.Person{alice, phone} {
		want(t, "a grant by other means", check(w, t, alice.Principal, only, w.Win(who, any).Token.Text()), ceremony.ErrNoGrant)
	}
	want(t, "a grant by a passkey", check(w, t, alice.Principal, only, w.Win(key, any).Token.Text()), nil)
	want(t, "won for it", check(w, t, alice.Principal, only, w.Win(key, only).Token.Text()), nil)
	// Who has no passkey cannot pass it.
	bob := w.Enroll("bob")
	c = w.Begin(bob.Principal, only)
	if _, err := w.PasskeyOptions(t.Context(), bob.Principal, c.ID); !errors.Is(err, ceremony.ErrMethodNotAccepted) {
		t.Error(err)
	}
	want(t, "without a passkey", byPasskey(w, t, bob.Principal, c.ID, key.Device.Answer(w.Asked(alice.Principal, w.Begin(alice.Principal, only)))), ceremony.ErrInvalidCode)
}

// Of two copies of a passkey the one that is behind is refused, and its owner is
// told, also after a restart.
func TestPasskeyThatWasCopiedIsRefusedAndTold(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.EnrollDevice(w.Stranger("alice"), device(t), ceremony.Leave{})
	thief := *alice
	stolen := *alice.Device
	thief.Device = &stolen
	w.Win(alice, view)
	w.Win(alice, view)
	c := w.Begin(thief.Principal, withdraw)
	err := byPasskey(w, t, thief.Principal, c.ID, w.Answer(&thief, c).Code)
	want(t, "the copy", err, ceremony.ErrCloned)
	want(t, "the copy is a wrong answer", err, ceremony.ErrInvalidCode)
	var wrong *ceremony.WrongCode
	if !errors.As(err, &wrong) || err.Error() != ceremony.ErrInvalidCode.Error() {
		t.Error("told to whoever has the copy:", err)
	}
	events := w.Events()
	if last := events[len(events)-1]; last.Outcome != "refused" || last.Cause != "cloned" {
		t.Errorf("%+v", last)
	}
	w.Reopen()
	account, err := w.Account(t.Context(), alice.Principal)
	if err != nil || len(account.Authenticators) != 1 || !account.Authenticators[0].Suspect {
		t.Error(account, err)
	}
	w.Win(alice, view)
}

func TestPasskeyIsEnrolledOnce(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Stranger("alice")
	one, err := w.EnrollPasskey(t.Context(), alice, "", ceremonytest.Site, ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := w.EnrollPasskey(t.Context(), alice, "", ceremonytest.Site, ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	d := device(t)
	answer := d.Create(one.Options)
	_, err = w.Confirm(t.Context(), alice, two.ID, answer, "")
	want(t, "at another enrollment", err, ceremony.ErrInvalidCode)
	shown, err := w.Pending(t.Context(), alice, one.ID)
	if err != nil || string(shown.Options) != string(one.Options) {
		t.Error("shown again:", string(shown.Options), err)
	}
	// What enrolls a first passkey passes the challenge that led there.
	c := w.Begin(alice, view)
	done, err := w.Confirm(t.Context(), alice, one.ID, answer, c.ID)
	if err != nil || done.Won == nil || done.Won.Grant.Methods != grants.BoundPasskey {
		t.Fatal(done, err)
	}
	_, err = w.Confirm(t.Context(), alice, one.ID, answer, "")
	want(t, "replayed", err, ceremony.ErrNotFound)
	person := &ceremonytest.Person{Principal: alice, Authenticator: done.Authenticator, Device: d}
	again, err := w.EnrollPasskey(t.Context(), alice, "", ceremonytest.Site, ceremony.Leave{Manage: w.Manage(person, ceremony.AddOp)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Confirm(t.Context(), alice, again.ID, answer, "")
	want(t, "replayed at another enrollment", err, ceremony.ErrInvalidCode)
	// A browser that does not heed what is excluded.
	heedless := again.Options
	_, err = w.Confirm(t.Context(), alice, again.ID, d.CreateAgain(heedless), "")
	want(t, "an excluded passkey", err, ceremony.ErrInvalidCode)

	// Several of one person: each passes, and with one go its own grants.
	other := device(t)
	if done, err = w.Confirm(t.Context(), alice, again.ID, other.Create(again.Options), ""); err != nil {
		t.Fatal(err)
	}
	second := &ceremonytest.Person{Principal: alice, Authenticator: done.Authenticator, Device: other}
	if second.Authenticator.Label != "Passkey (2)" {
		t.Error(second.Authenticator.Label)
	}
	kept, lost := w.Win(person, view), w.Win(second, view)
	remove := ceremony.RemoveOp(second.Authenticator.ID)
	want(t, "remove", change(w, t, alice, remove, w.Manage(person, remove)), nil)
	want(t, "of the other", check(w, t, alice, view, kept.Token.Text()), nil)
	want(t, "of the removed", check(w, t, alice, view, lost.Token.Text()), ceremony.ErrNoGrant)
	c = w.Begin(alice, withdraw)
	want(t, "the removed", byPasskey(w, t, alice, c.ID, other.Answer(w.Asked(alice, c))), ceremony.ErrInvalidCode)
}

// Where there can be no passkey, nothing is spent on one.
func TestPasskeyNeedsASiteThatCanHaveIt(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	token := w.Manage(alice, ceremony.AddOp)
	for _, site := range []string{"", "http://app.test", "https://192.0.2.1"} {
		_, err := w.EnrollPasskey(t.Context(), alice.Principal, "", site, ceremony.Leave{Manage: token})
		want(t, fmt.Sprintf("%q", site), err, ceremony.ErrMethodNotAccepted)
	}
	key := w.EnrollDevice(alice.Principal, device(t), ceremony.Leave{Manage: token})
	// Elsewhere it is not asked for.
	elsewhere := alice.Principal
	elsewhere.Site = "https://other.test"
	c, err := w.Service.Begin(t.Context(), elsewhere, ceremony.Ask{Demand: view, Site: elsewhere.Site, ReturnTo: "/"})
	if err != nil {
		t.Fatal(err)
	}
	described, err := w.Describe(t.Context(), elsewhere, c.ID)
	if err != nil || slices.Contains(described.Methods, grants.Passkey) {
		t.Error(described.Methods, err)
	}
	answer := key.Device.Answer(w.Asked(alice.Principal, w.Begin(alice.Principal, view)))
	want(t, "at another site", byPasskey(w, t, elsewhere, c.ID, answer), ceremony.ErrInvalidCode)
}

// A challenge is found on its own site only, as by its own session and browser.
func TestS09ChallengeIsOfItsSite(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.EnrollNumber(w.Stranger("alice"), number, ceremony.Leave{})
	w.Rest(alice)
	c := w.Begin(alice.Principal, view)
	elsewhere := alice.Principal
	elsewhere.Site = "https://other.test"
	_, err := w.Describe(t.Context(), elsewhere, c.ID)
	want(t, "described", err, ceremony.ErrNotFound)
	_, err = w.Ask(t.Context(), elsewhere, c.ID, grants.SMS)
	want(t, "asked", err, ceremony.ErrNotFound)
	_, err = w.SendCode(t.Context(), elsewhere, c.ID, "")
	want(t, "sent", err, ceremony.ErrNotFound)
	_, err = w.Verify(t.Context(), elsewhere, c.ID, w.Answer(alice, c))
	want(t, "verified", err, ceremony.ErrNotFound)
	want(t, "cancelled", w.Cancel(t.Context(), elsewhere, c.ID), nil)
	if _, err := w.Describe(t.Context(), alice.Principal, c.ID); err != nil {
		t.Error("gone after another site cancelled it:", err)
	}
}
