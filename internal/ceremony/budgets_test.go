package ceremony_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Keys that guess lock out the API for their subject, all together at 20 guesses
// however many keys there are, and not the person's browsers. With those it takes
// 100 in all (NIST SP 800-63B section 3.2.2).
func TestS05BudgetOfTheAPIDoesNotGrowWithKeys(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	key := func(n int) ceremony.Principal {
		return ceremony.ServerPrincipal(alice.Subject, fmt.Sprint("key_", n), "")
	}
	guesses, asked := 0, 0
	for {
		asked++
		_, err := prove(w, t, key(asked), view, w.WrongCode(alice.Key))
		var wait *ceremony.Wait
		if errors.As(err, &wait) {
			if wait.Disabled {
				break
			}
			w.Clock.Advance(wait.For)
			continue
		}
		want(t, "guess", err, ceremony.ErrInvalidCode)
		guesses++
	}
	if b := ceremony.DefaultBudgets(); guesses != 20 || b.API+b.Browser+b.Device > 100 {
		t.Error(guesses, "guesses of", b)
	}
	w.Reopen()
	_, err := prove(w, t, server(alice.Principal), view, w.NextCode(alice.Key))
	want(t, "the right code, after a restart", err, ceremony.ErrTooManyAttempts)
	want(t, "a browser", answer(w, t, alice.Principal, grants.TOTP, w.NextCode(alice.Key)), nil)
	_, err = prove(w, t, ceremony.ServerPrincipal(alice.Subject, "key_2", ""), view, w.NextCode(alice.Key))
	want(t, "another key", err, ceremony.ErrTooManyAttempts)
	u, err := w.User(t.Context(), alice.Subject)
	if err != nil || len(u.Locked) != 1 || u.Locked[0] != "api" {
		t.Error(u.Locked, err)
	}
	if err := w.Unlock(t.Context(), alice.Subject); err != nil {
		t.Fatal(err)
	}
	_, err = prove(w, t, server(alice.Principal), view, w.NextCode(alice.Key))
	want(t, "unlocked", err, nil)
}

// What was counted on each key's own, before there was one budget, counts on; and
// it can be forgiven however many keys there were.
func TestS05BudgetsOfOldAreOne(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	h := w.DB.Holder(alice.Subject)
	for n := range 300 {
		op, err := w.DB.Attempts.Set(h, []byte(fmt.Sprint("api key_", n)), records.Attempts{Wrong: map[string]int{"totp": 1}}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.DB.Apply(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	_, err := prove(w, t, server(alice.Principal), view, w.NextCode(alice.Key))
	want(t, "used up", err, ceremony.ErrTooManyAttempts)
	if u, err := w.User(t.Context(), alice.Subject); err != nil || !slices.Equal(u.Locked, []string{"api"}) {
		t.Error(u.Locked, err)
	}
	if err := w.Unlock(t.Context(), alice.Subject); err != nil {
		t.Fatal("unlocking:", err)
	}
	_, err = prove(w, t, server(alice.Principal), view, w.NextCode(alice.Key))
	want(t, "unlocked", err, nil)
}

// The browser in which somebody has just set up their first authenticator is a
// known one: what others guess elsewhere does not stand before its first proof.
func TestS05BrowserThatEnrolledIsKnown(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Stranger("alice")
	e, err := w.EnrollApp(t.Context(), alice, "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Confirm(t.Context(), alice, e.ID, w.Code(e.Key), ""); err != nil {
		t.Fatal(err)
	}
	thief := browser(alice, 1)
	for range 5 {
		want(t, "a guess", answer(w, t, thief, grants.TOTP, w.WrongCode(e.Key)), ceremony.ErrInvalidCode)
	}
	want(t, "the thief", answer(w, t, thief, grants.TOTP, w.WrongCode(e.Key)), ceremony.ErrTooManyAttempts)
	want(t, "the first proof", answer(w, t, alice, grants.TOTP, w.NextCode(e.Key)), nil)
}
