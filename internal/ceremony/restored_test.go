package ceremony_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// Nothing that was issued before a backup is good in what is restored from it, spent or
// not; who was enrolled is.
func TestS25RestoredBackup(t *testing.T) {
	w := ceremonytest.New(t)
	ctx := t.Context()
	x := issue(t, w)
	alice, once := x.alice, x.once
	file := w.Backup()
	x.spend(t)
	code := w.Code(alice.Key)
	if done, waiting := w.Restore(file, ceremony.Restoration{Known: true}); len(done)+waiting > 0 {
		t.Error(done, waiting)
	}
	void := func() {
		t.Helper()
		used := x.use(t)
		_, used["code of an app"] = w.Verify(ctx, alice.Principal, w.Begin(alice.Principal, once).ID, ceremony.Answer{Method: grants.TOTP, Code: code})
		_, used["recovery code"] = w.Verify(ctx, alice.Principal, w.Begin(alice.Principal, once).ID, ceremony.Answer{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[0]})
		for what, err := range used {
			if err == nil {
				t.Errorf("%s is good", what)
			}
		}
	}
	void()
	w.Reopen()
	void()
	w.Clock.Advance(2 * time.Hour)
	if w.Win(alice, once).Token.Text() == "" || w.Win(x.dora, x.lasting).Token.Text() == "" {
		t.Error("nothing can be won any more")
	}
}

// What the audit log shows was taken away since the backup is taken away again; without
// the log, keys and authenticators wait for an operator.
func TestS25TakenAwaySinceTheBackup(t *testing.T) {
	for _, known := range []bool{true, false} {
		w := ceremonytest.New(t)
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		secret, hash := apikeys.NewKey()
		revoked, err := w.CreateKey(ctx, hash, apikeys.Key{Tenant: ceremonytest.Tenant, Scopes: []apikeys.Scope{apikeys.ScopeRead}})
		must(err)
		other, hash := apikeys.NewKey()
		stays, err := w.CreateKey(ctx, hash, apikeys.Key{Tenant: ceremonytest.Tenant, Scopes: []apikeys.Scope{apikeys.ScopeRead}})
		must(err)
		alice, bob, carol := w.Enroll("alice"), w.Enroll("bob"), w.Enroll("carol")
		w.Clock.Advance(25 * time.Hour)
		second := w.EnrollAs(carol.Principal, ceremony.Leave{Manage: w.Manage(carol, ceremony.AddOp)})
		w.Clock.Advance(time.Hour)
		must(w.Disown(ctx, carol.Principal, second.Authenticator.ID))
		w.Clock.Advance(time.Hour)
		file := w.Backup()
		w.Clock.Advance(time.Hour)
		must(w.RevokeKey(ctx, revoked.ID))
		must(w.Reset(ctx, alice.Subject))
		events := w.Events()
		w.Clock.Advance(time.Hour)
		r := ceremony.Restoration{Known: known}
		if known {
			r.Lost = events
		}
		done, waiting := w.Restore(file, r)
		w.Clock.Advance(2 * time.Minute)

		d := ceremonytest.Demand("PAY", grants.OneTimeUse, time.Minute)
		passes := func(who *ceremonytest.Person) error {
			_, err := w.Verify(ctx, who.Principal, w.Begin(who.Principal, d).ID, w.Answer(who, ceremony.Challenge{}))
			return err
		}
		if known {
			var lines []string
			for _, r := range done {
				if r.Applied {
					lines = append(lines, r.Did())
				}
			}
			if waiting != 0 || !slices.Equal(lines, []string{"api_key revoked", "reset done"}) {
				t.Errorf("%q, %d wait", lines, waiting)
			}
			if _, err := w.KeyOf(ctx, secret); !errors.Is(err, ceremony.ErrNotFound) {
				t.Error("a revoked key:", err)
			}
			if _, err := w.KeyOf(ctx, other); err != nil {
				t.Error("another key:", err)
			}
			if err := passes(alice); !errors.Is(err, ceremony.ErrNotEnrolled) {
				t.Error("who was reset:", err)
			}
			if err := passes(bob); err != nil {
				t.Error("who was not:", err)
			}
			continue
		}
		if waiting != 3 {
			t.Errorf("%d wait", waiting)
		}
		status, err := w.Fence(ctx)
		must(err)
		if !status.Unconfirmed || len(status.SuspendedKeys) != 2 {
			t.Errorf("%+v", status)
		}
		for _, who := range []*ceremonytest.Person{alice, bob, carol, second} {
			if err := passes(who); err == nil {
				t.Errorf("%s passes before anybody has confirmed it", who.User)
			}
		}
		if err := w.MayEnroll(ctx, bob.Principal); !errors.Is(err, ceremony.ErrManageRequired) {
			t.Error("who waits to be confirmed may enroll anew:", err)
		}
		must(w.EnableKey(ctx, stays.ID))
		if _, err := w.KeyOf(ctx, other); err != nil {
			t.Error("an enabled key:", err)
		}
		must(w.Reset(ctx, alice.Subject))
		if err := w.ConfirmAuthenticators(ctx, alice.Subject); !errors.Is(err, ceremony.ErrNotFound) {
			t.Error("who was reset has something to confirm:", err)
		}
		must(w.ConfirmAuthenticators(ctx, bob.Subject))
		waits, next, err := w.Unconfirmed(ctx, "", nil, 100)
		must(err)
		if len(waits) != 1 || waits[0] != carol.Subject || next != nil {
			t.Error(waits, next)
		}
		must(w.ConfirmAuthenticators(ctx, carol.Subject))
		must(w.AllConfirmed(ctx))
		if status, err := w.Fence(ctx); err != nil || status.Unconfirmed {
			t.Errorf("%+v, %v", status, err)
		}
		if err := passes(bob); err != nil {
			t.Error("a confirmed one:", err)
		}
		if err := passes(carol); err != nil {
			t.Error("a confirmed one:", err)
		}
		if err := passes(second); err == nil {
			t.Error("what its owner had suspended is confirmed")
		}
	}
}
