package ceremony_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
)

// holds begins a challenge that holds a form of size bytes.
func holds(t *testing.T, w *ceremonytest.World, p ceremony.Principal, size int) (ceremony.Challenge, error) {
	t.Helper()
	r := &http.Request{Method: "POST", ContentLength: int64(size), Body: io.NopCloser(bytes.NewReader(make([]byte, size)))}
	held, err := heldrequest.Capture(r, heldrequest.Sent{Method: "POST", Target: "/pay", Header: http.Header{}}, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	return w.Service.Begin(t.Context(), p, ceremony.Ask{Demand: withdraw, Label: "Pay", Site: ceremonytest.Site, ReturnTo: "/pay", Held: held, Gate: "g"})
}

// Whoever was called away begins again with what they sent; nobody else does, and
// it goes on once.
func TestS03ChallengeThatRanOutBeginsAgain(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	c, err := holds(t, w, alice.Principal, 1000)
	if err != nil {
		t.Fatal(err)
	}
	again := func(p ceremony.Principal) error {
		_, err := w.BeginAgain(t.Context(), p, c.ID)
		return err
	}
	if _, err := w.Lapsed(t.Context(), alice.Principal, c.ID); !errors.Is(err, ceremony.ErrNotFound) {
		t.Error("before it ran out:", err)
	}
	want(t, "before it ran out", again(alice.Principal), ceremony.ErrNotFound)
	w.Clock.Advance(50 * time.Minute)
	l, err := w.Lapsed(t.Context(), alice.Principal, c.ID)
	if err != nil || l.ReturnTo != c.ReturnTo || l.Kept.Sub(w.Clock.Now()) != 15*time.Minute {
		t.Fatalf("%+v %v", l, err)
	}
	for name, change := range map[string]func(*ceremony.Principal){
		"another person":  func(p *ceremony.Principal) { p.User = "bob" },
		"another tenant":  func(p *ceremony.Principal) { p.Tenant = "other" },
		"another browser": func(p *ceremony.Principal) { p.Browser[0]++ },
		"no browser":      func(p *ceremony.Principal) { p.Browser = [32]byte{} },
		"another session": func(p *ceremony.Principal) { p.Session[0]++ },
		"another site":    func(p *ceremony.Principal) { p.Site = "https://other.test" },
	} {
		p := alice.Principal
		change(&p)
		want(t, name, again(p), ceremony.ErrNotFound)
		if _, err := w.Lapsed(t.Context(), p, c.ID); !errors.Is(err, ceremony.ErrNotFound) {
			t.Error(name, err)
		}
	}
	next, err := w.BeginAgain(t.Context(), alice.Principal, c.ID)
	if err != nil || next.ID == c.ID || next.ReturnTo != c.ReturnTo || next.Label != "Pay" || !next.Held {
		t.Fatalf("%+v %v", next, err)
	}
	want(t, "twice", again(alice.Principal), ceremony.ErrNotFound)
	// It runs out again, and the last moment still has all its time.
	w.Clock.Advance(14 * time.Minute)
	if next, err = w.BeginAgain(t.Context(), alice.Principal, next.ID); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(4 * time.Minute)
	w.Rest(alice)
	w.Pass(alice, next)
	ticket, err := w.Ticket(t.Context(), alice.Browser, c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if ticket, err = w.Claim(t.Context(), ticket); err != nil {
		t.Fatal(err)
	}
	pass, err := w.CheckHeld(t.Context(), &alice.Principal, &withdraw, [32]byte{}, ticket, "")
	if err != nil {
		t.Fatal("the grant does not pass what was held:", err)
	}
	if held, err := w.HeldRequest(t.Context(), ticket); err != nil || len(held.Body) != 1000 {
		t.Fatal(len(held.Body), err)
	}
	for i, want := range []error{nil, ceremony.ErrNoGrant} {
		if _, err := w.Redeem(t.Context(), &alice.Principal, []ceremony.Pass{pass}, ticket); !errors.Is(err, want) {
			t.Error(i, err)
		}
	}
	want(t, "after it was passed", again(alice.Principal), ceremony.ErrNotFound)
}

// What was held is not kept for longer than an hour, nor after it was cancelled; the
// address is known for a day.
func TestChallengeThatRanOutIsForgotten(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	c, err := holds(t, w, alice.Principal, 10)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(66 * time.Minute)
	if l, err := w.Lapsed(t.Context(), alice.Principal, c.ID); err != nil || !l.Kept.IsZero() || !l.Held {
		t.Errorf("%+v %v", l, err)
	}
	_, err = w.BeginAgain(t.Context(), alice.Principal, c.ID)
	want(t, "after an hour", err, ceremony.ErrNotFound)

	plain := w.Begin(alice.Principal, view)
	w.Clock.Advance(23 * time.Hour)
	if _, err := w.BeginAgain(t.Context(), alice.Principal, plain.ID); err != nil {
		t.Error("without anything held:", err)
	}
	if c, err = holds(t, w, alice.Principal, 10); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(10 * time.Minute)
	if err := w.Cancel(t.Context(), alice.Principal, c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Lapsed(t.Context(), alice.Principal, c.ID); !errors.Is(err, ceremony.ErrNotFound) {
		t.Error(err)
	}
	if _, err := w.Ticket(t.Context(), alice.Browser, c.ID); !errors.Is(err, ceremony.ErrNotFound) {
		t.Error("cancelled and still held:", err)
	}
}

// What ran out makes room for what others send; what is waited for does not.
func TestS26WhatRanOutMakesRoom(t *testing.T) {
	w := ceremonytest.New(t, func(s *ceremony.Settings) { s.HeldInAll = 10_000 })
	alice, bob := w.Enroll("alice"), w.Enroll("bob")
	first, err := holds(t, w, alice.Principal, 4000)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(4 * time.Minute)
	second, err := holds(t, w, alice.Principal, 4000)
	if err != nil {
		t.Fatal(err)
	}
	_, err = holds(t, w, bob.Principal, 4000)
	want(t, "with both waited for", err, ceremony.ErrLimit)
	w.Clock.Advance(4 * time.Minute)
	if _, err = holds(t, w, bob.Principal, 4000); err != nil {
		t.Fatal("with one that ran out:", err)
	}
	if _, err := w.Ticket(t.Context(), alice.Browser, first.ID); !errors.Is(err, ceremony.ErrNotFound) {
		t.Error("the one that ran out is still held:", err)
	}
	if l, err := w.Lapsed(t.Context(), alice.Principal, first.ID); err != nil || !l.Kept.IsZero() {
		t.Errorf("%+v %v", l, err)
	}
	if _, err := w.Ticket(t.Context(), alice.Browser, second.ID); err != nil {
		t.Error("the one that is waited for is gone:", err)
	}
	_, err = holds(t, w, bob.Principal, 4000)
	want(t, "with none that ran out", err, ceremony.ErrLimit)
}
