package ceremony_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

var (
	view     = ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 10*time.Minute)
	withdraw = ceremonytest.Demand("WITHDRAW_FUNDS", grants.OneTimeUse, 2*time.Minute)
)

// want fails the test unless err is the one wanted; nil wants none.
func want(t *testing.T, what string, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Errorf("%s: got %v, want %v", what, err, wanted)
	}
}

func check(w *ceremonytest.World, t testing.TB, p ceremony.Principal, d grants.Demand, token string) error {
	_, err := w.Check(t.Context(), &p, &d, [32]byte{}, token)
	return err
}

func TestS02OtherUsesOfAGrantGetOneAnswer(t *testing.T) {
	w := ceremonytest.New(t)
	alice, bob := w.Enroll("alice"), w.Enroll("bob")
	won := w.Win(alice, view)
	token := won.Token.Text()
	if err := check(w, t, alice.Principal, view, token); err != nil {
		t.Fatal(err)
	}
	_, stranger := grants.Issue(view, grants.Holder{}, grants.Binding{}, grants.TOTP, w.Clock.Now())

	for _, test := range []struct {
		name, cause string
		change      func(p *ceremony.Principal, d *grants.Demand, token *string)
	}{
		{"another user", "other_subject", func(p *ceremony.Principal, _ *grants.Demand, _ *string) { p.User = "bob" }},
		{"another tenant", "other_subject", func(p *ceremony.Principal, _ *grants.Demand, _ *string) { p.Tenant = "other" }},
		{"another session", "other_session", func(p *ceremony.Principal, _ *grants.Demand, _ *string) { p.Session[0]++ }},
		{"no session", "other_session", func(p *ceremony.Principal, _ *grants.Demand, _ *string) { p.Session = [32]byte{} }},
		{"another action", "other_action", func(_ *ceremony.Principal, d *grants.Demand, _ *string) { d.Action = withdraw.Action }},
		{"another use", "other_grant_type", func(_ *ceremony.Principal, d *grants.Demand, _ *string) { d.Use = grants.OneTimeUse }},
		{"another method", "method_not_accepted", func(_ *ceremony.Principal, d *grants.Demand, _ *string) { d.Methods = grants.RecoveryCode }},
		{"another token", "absent", func(_ *ceremony.Principal, _ *grants.Demand, s *string) { *s = stranger.Text() }},
		{"no token", "absent", func(_ *ceremony.Principal, _ *grants.Demand, s *string) { *s = "" }},
		{"the grant's id", "absent", func(_ *ceremony.Principal, _ *grants.Demand, s *string) { *s = ceremony.GrantID(won.ID) }},
	} {
		p, d, s := alice.Principal, view, token
		test.change(&p, &d, &s)
		// From the cache, and from the store after a restart.
		for range 2 {
			err := check(w, t, p, d, s)
			if !errors.Is(err, ceremony.ErrNoGrant) || err.Error() != ceremony.ErrNoGrant.Error() {
				t.Errorf("%s: %v", test.name, err)
			}
			if got := grants.CauseOf(err); got != test.cause && got != "absent" {
				t.Errorf("%s: cause %q", test.name, got)
			}
			w.Reopen()
		}
	}
	if _, err := w.Check(t.Context(), &alice.Principal, &view, [32]byte{1}, token); grants.CauseOf(err) != "other_request" {
		t.Error("an unbound grant passed a bound request:", err)
	}
	want(t, "of bob", check(w, t, bob.Principal, view, token), ceremony.ErrNoGrant)
	w.Clock.Advance(10*time.Minute - 1)
	want(t, "at its end", check(w, t, alice.Principal, view, token), nil)
	w.Clock.Advance(1)
	want(t, "after its end", check(w, t, alice.Principal, view, token), ceremony.ErrNoGrant)
	w.Reopen()
	want(t, "after its end and a restart", check(w, t, alice.Principal, view, token), ceremony.ErrNoGrant)
}

// Of 64 who spend one grant at once exactly one succeeds, each time, and a
// restart does not bring it back.
func TestS03OneTimeMeansOne(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	var last ceremony.Pass
	for range 50 {
		won := w.Win(alice, withdraw)
		pass, err := w.Check(t.Context(), &alice.Principal, &withdraw, [32]byte{}, won.Token.Text())
		if err != nil {
			t.Fatal(err)
		}
		if n := spendAtOnce(t, w, alice, pass); n != 1 {
			t.Fatalf("%d of 64 passed", n)
		}
		err = check(w, t, alice.Principal, withdraw, won.Token.Text())
		want(t, "checked again", err, ceremony.ErrNoGrant)
		if grants.CauseOf(err) != "spent" {
			t.Error("cause:", grants.CauseOf(err))
		}
		last = pass
	}
	w.Reopen()
	_, err := w.Spend(t.Context(), &alice.Principal, &last)
	want(t, "spent again after a restart", err, ceremony.ErrNoGrant)
}

func spendAtOnce(t *testing.T, w *ceremonytest.World, who *ceremonytest.Person, pass ceremony.Pass) int64 {
	t.Helper()
	var passed atomic.Int64
	atOnce(64, func(int) {
		_, err := w.Spend(t.Context(), &who.Principal, &pass)
		if err == nil {
			passed.Add(1)
		} else if !errors.Is(err, ceremony.ErrNoGrant) {
			t.Error(err)
		}
	})
	return passed.Load()
}

// atOnce runs n of f as nearly at once as can be.
func atOnce(n int, f func(i int)) {
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { <-begin; f(i) })
	}
	close(begin)
	all.Wait()
}

// A grant that is given back is good for one use again: only by whoever spent
// it, only once, and not where it was revoked meanwhile.
func TestS03GivenBackIsGoodForOneUse(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	won := w.Win(alice, withdraw)
	pass, err := w.Check(t.Context(), &alice.Principal, &withdraw, [32]byte{}, won.Token.Text())
	if err != nil {
		t.Fatal(err)
	}
	want(t, "never spent", w.GiveBack(t.Context(), &alice.Principal, ceremony.Receipt{}), ceremony.ErrNoGrant)
	spend := func() ceremony.Receipt {
		t.Helper()
		r, err := w.Spend(t.Context(), &alice.Principal, &pass)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := spend()
	w.Reopen()
	var given atomic.Int64
	atOnce(16, func(int) {
		if w.GiveBack(t.Context(), &alice.Principal, first) == nil {
			given.Add(1)
		}
	})
	if given.Load() != 1 {
		t.Fatalf("given back %d times", given.Load())
	}
	want(t, "given back", check(w, t, alice.Principal, withdraw, won.Token.Text()), nil)
	second := spend()
	want(t, "by an old receipt", w.GiveBack(t.Context(), &alice.Principal, first), ceremony.ErrNoGrant)
	if n, err := w.Revoke(t.Context(), alice.Subject, ""); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	want(t, "after a revocation", w.GiveBack(t.Context(), &alice.Principal, second), ceremony.ErrNoGrant)
	want(t, "revoked", check(w, t, alice.Principal, withdraw, won.Token.Text()), ceremony.ErrNoGrant)
}

func TestRevocation(t *testing.T) {
	w := ceremonytest.New(t)
	alice, bob := w.Enroll("alice"), w.Enroll("bob")
	first, second, third := w.Win(alice, view), w.Win(alice, withdraw), w.Win(alice, view)
	of := w.Win(bob, view)
	account, err := w.Account(t.Context(), alice.Principal)
	if err != nil || len(account.Grants) != 3 {
		t.Fatal(account.Grants, err)
	}
	want(t, "another's", w.RevokeGrant(t.Context(), bob.Principal, ceremony.GrantID(first.ID)), ceremony.ErrNotFound)
	want(t, "malformed", w.RevokeGrant(t.Context(), alice.Principal, "\n"+ceremony.GrantID(first.ID)), ceremony.ErrNotFound)
	want(t, "own", w.RevokeGrant(t.Context(), alice.Principal, ceremony.GrantID(first.ID)), nil)
	want(t, "twice", w.RevokeGrant(t.Context(), alice.Principal, ceremony.GrantID(first.ID)), ceremony.ErrNotFound)
	want(t, "first", check(w, t, alice.Principal, view, first.Token.Text()), ceremony.ErrNoGrant)
	want(t, "third", check(w, t, alice.Principal, view, third.Token.Text()), nil)
	if n, err := w.Revoke(t.Context(), alice.Subject, "VIEW_REPORTS"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	want(t, "third", check(w, t, alice.Principal, view, third.Token.Text()), ceremony.ErrNoGrant)
	want(t, "second", check(w, t, alice.Principal, withdraw, second.Token.Text()), nil)
	want(t, "bob's", check(w, t, bob.Principal, view, of.Token.Text()), nil)
	// More grants than one Apply takes.
	for range 3 {
		w.Win(alice, view)
	}
	if n, err := w.Revoke(t.Context(), alice.Subject, ""); n != 4 || err != nil {
		t.Fatal(n, err)
	}
}

// The hot path reads no database and allocates nothing.
func TestCheckOfALiveGrantAllocatesNothing(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	p, d, token := &alice.Principal, view, w.Win(alice, view).Token.Text()
	ctx := t.Context()
	if got := testing.AllocsPerRun(100, func() {
		if _, err := w.Check(ctx, p, &d, [32]byte{}, token); err != nil {
			t.Fail()
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
