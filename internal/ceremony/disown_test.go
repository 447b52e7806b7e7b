package ceremony_test

import (
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Disowning suspends a new authenticator with all that it added and renewed, and
// ends every grant and pending enrollment. It reaches nothing that is old, or that
// has no older one beside it; and only an older one takes it back.
func TestS24DisowningOnlyTakesAway(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	want(t, "the first of all", w.Disown(t.Context(), alice.Principal, alice.Authenticator.ID), ceremony.ErrNotDisownable)
	w.Clock.Advance(8 * 24 * time.Hour)
	thief := w.EnrollAs(alice.Principal, ceremony.Leave{Manage: byRecovery(w, t, alice.Principal, ceremony.AddOp, alice.RecoveryCodes[0])})
	further := add(w, t, thief)
	grant, mine := w.Win(thief, view), w.Win(alice, view)
	pending, err := w.EnrollApp(t.Context(), alice.Principal, "", ceremony.Leave{Manage: w.Manage(thief, ceremony.AddOp)})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(25 * time.Hour)
	codes, err := w.RenewRecoveryCodes(t.Context(), alice.Principal, w.Manage(thief, ceremony.RenewOp))
	if err != nil {
		t.Fatal(err)
	}
	grant = w.Win(thief, view)
	want(t, "the old one", w.Disown(t.Context(), alice.Principal, alice.Authenticator.ID), ceremony.ErrNotDisownable)
	bob := w.Enroll("bob")
	want(t, "another's", w.Disown(t.Context(), bob.Principal, thief.Authenticator.ID), ceremony.ErrNotFound)
	want(t, "the new one", w.Disown(t.Context(), alice.Principal, thief.Authenticator.ID), nil)
	w.Reopen()
	for name, token := range map[string]string{"its grant": grant.Token.Text(), "all grants": mine.Token.Text()} {
		want(t, name, check(w, t, alice.Principal, view, token), ceremony.ErrNoGrant)
	}
	_, err = w.Confirm(t.Context(), alice.Principal, pending.ID, w.NextCode(pending.Key), "")
	if err == nil {
		t.Error("its pending enrollment is confirmed")
	}
	for name, who := range map[string]*ceremonytest.Person{"it": thief, "what it added": further} {
		want(t, name, answer(w, t, alice.Principal, grants.TOTP, w.NextCode(who.Key)), ceremony.ErrInvalidCode)
		_, err = prove(w, t, server(alice.Principal), view, w.NextCode(who.Key))
		want(t, name+" over the API", err, ceremony.ErrInvalidCode)
	}
	if err := answer(w, t, alice.Principal, grants.RecoveryCode, codes[0]); err == nil {
		t.Error("a code that it renewed")
	}
	// A newer one does not take it back; an older one does, and then it is worth
	// what it was.
	newer := add(w, t, alice)
	w.Clock.Advance(25 * time.Hour)
	op := ceremony.VouchOp(thief.Authenticator.ID)
	want(t, "by a newer one", tryManage(w, t, newer, op), ceremony.ErrMethodNotAccepted)
	if _, err := w.Vouch(t.Context(), alice.Principal, thief.Authenticator.ID, w.Manage(alice, op)); err != nil {
		t.Fatal(err)
	}
	w.Win(thief, view)
	// With the last that is not suspended everything goes.
	for _, gone := range []*ceremonytest.Person{newer, thief, alice} {
		op := ceremony.RemoveOp(gone.Authenticator.ID)
		want(t, "remove", change(w, t, alice.Principal, op, w.Manage(alice, op)), nil)
	}
	u, err := w.User(t.Context(), alice.Subject)
	if err != nil || u.State != records.StateReset || len(u.Authenticators) != 0 {
		t.Error(u.State, u.Authenticators, err)
	}
}

// Records of before there were origins are full strength; an enrollment that was
// pending then is not.
func TestS24RecordsWithoutAnOrigin(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	w.Clock.Advance(48 * time.Hour)
	only := ceremonytest.Demand("WITHDRAW_FUNDS", grants.OneTimeUse, 2*time.Minute, grants.TOTP)
	old := add(w, t, alice)
	h := w.DB.Holder(alice.Subject)
	strip := func(edit func(*records.Account)) {
		t.Helper()
		row, err := w.DB.Accounts.Get(t.Context(), h, nil)
		if err != nil {
			t.Fatal(err)
		}
		edit(&row.Value)
		op, err := w.DB.Accounts.Update(row, row.Value, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.DB.Apply(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	strip(func(a *records.Account) { a.Authenticators[1].Origin = nil })
	w.Win(old, only)

	begun, err := w.EnrollApp(t.Context(), alice.Principal, "", ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := w.DB.Pendings.List(t.Context(), h, nil, 10)
	if err != nil || len(rows) != 1 {
		t.Fatal(len(rows), err)
	}
	rows[0].Value.Origin = nil
	op, err := w.DB.Pendings.Update(rows[0], rows[0].Value, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DB.Apply(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	done, err := w.Confirm(t.Context(), alice.Principal, begun.ID, w.NextCode(begun.Key), "")
	if err != nil || done.Authenticator.FullAt.IsZero() {
		t.Fatal(done.Authenticator, err)
	}
	fresh := &ceremonytest.Person{Principal: alice.Principal, Authenticator: done.Authenticator, Key: begun.Key}
	want(t, "begun before", tryPass(w, t, fresh, w.Begin(alice.Principal, only)), ceremony.ErrAuthenticatorTooNew)
}
