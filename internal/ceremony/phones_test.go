package ceremony_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

func TestDescribeTellsOfCodesOnTheirWay(t *testing.T) {
	w := ceremonytest.New(t)
	w.Clock.Tick()
	alice := withPhone(w, t, "alice", number)
	w.Clock.Advance(10 * time.Minute)
	first, other := w.Begin(alice, view), w.Begin(alice, withdraw)
	texts := func(id string) ceremony.Texts {
		t.Helper()
		d, err := w.Describe(t.Context(), alice, id)
		if err != nil {
			t.Fatal(err)
		}
		return d.Asked(grants.SMS).Texts
	}
	got := texts(first.ID)
	if len(got.Phones) != 1 || got.Phones[0].Suffix != "6789" || got.To != "" || got.ResendAt.After(w.Clock.Now()) {
		t.Fatalf("before: %+v", got)
	}
	w.Network(errors.New("down"))
	_, err := w.SendCode(t.Context(), alice, first.ID, "")
	want(t, "network down", err, ceremony.ErrNotSent)
	if got := texts(first.ID); got.To != "" || got.ResendAt.After(w.Clock.Now()) {
		t.Errorf("not sent: %+v", got)
	}
	w.Network(nil)
	sent, err := w.SendCode(t.Context(), alice, first.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if now := texts(first.ID); now.To != got.Phones[0].ID || !now.ResendAt.Equal(sent.ResendAt) {
		t.Errorf("sent: %+v", now)
	}
	// Another challenge has to wait too, though nothing was sent for it.
	if now := texts(other.ID); now.To != "" || !now.ResendAt.Equal(sent.ResendAt) {
		t.Errorf("another challenge: %+v", now)
	}
	only := w.Begin(alice, ceremonytest.Demand("ONLY_TOTP", grants.OneTimeUse, time.Minute, grants.TOTP))
	if now := texts(only.ID); now.Phones != nil {
		t.Errorf("a rule that takes no messages: %+v", now)
	}
	w.Clock.Advance(4*time.Minute + 59*time.Second)
	if now := texts(first.ID); now.To == "" {
		t.Errorf("a second before its end: %+v", now)
	}
}

func TestAccountTellsPhonesByTheirLastDigits(t *testing.T) {
	w := ceremonytest.New(t)
	alice := withPhone(w, t, "alice", number)
	a, err := w.Account(t.Context(), alice)
	if err != nil || len(a.Authenticators) != 1 || a.Authenticators[0].Suffix != "6789" {
		t.Errorf("%+v %v", a.Authenticators, err)
	}
	if offers := w.Offers(ceremony.Principal{}, "https://app.test"); offers&(grants.TOTP|grants.SMS) != grants.TOTP|grants.SMS || offers&grants.RecoveryCode != 0 {
		t.Error(offers)
	}
}

func TestPendingPhoneTellsWhetherACodeIsOnItsWay(t *testing.T) {
	w := ceremonytest.New(t)
	w.Clock.Tick()
	bob := w.Stranger("bob")
	w.Network(errors.New("down"))
	e, err := w.EnrollPhone(t.Context(), bob, "", number, "", ceremony.Leave{})
	want(t, "network down", err, ceremony.ErrNotSent)
	look := func() ceremony.Sent {
		t.Helper()
		e, err := w.Pending(t.Context(), bob, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		return e.Sent
	}
	if s := look(); s.Suffix != "6789" || !s.Expires.IsZero() || s.ResendAt.After(w.Clock.Now()) {
		t.Errorf("not sent: %+v", s)
	}
	w.Network(nil)
	sent, err := w.SendFirstCode(t.Context(), bob, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if s := look(); s != sent && (!s.Expires.Equal(sent.Expires) || !s.ResendAt.Equal(sent.ResendAt)) {
		t.Errorf("sent: %+v, want %+v", s, sent)
	}
}
