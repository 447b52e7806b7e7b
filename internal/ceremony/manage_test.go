package ceremony_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// begin begins the challenge for an operation.
func begin(w *ceremonytest.World, t *testing.T, p ceremony.Principal, op ceremony.Operation) ceremony.Challenge {
	t.Helper()
	c, err := w.BeginManage(t.Context(), p, op, "", "https://app.test", "/.step-up/")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// add enrolls a further authenticator app.
func add(w *ceremonytest.World, t *testing.T, who *ceremonytest.Person) *ceremonytest.Person {
	t.Helper()
	more := w.EnrollAs(who.Principal, ceremony.Leave{Manage: w.Manage(who, ceremony.AddOp)})
	if len(more.RecoveryCodes) != 0 {
		t.Fatal("recovery codes came with a further authenticator")
	}
	return more
}

// change does the operation with the token.
func change(w *ceremonytest.World, t *testing.T, p ceremony.Principal, op ceremony.Operation, token string) error {
	t.Helper()
	kind, id, _ := strings.Cut(string(op), ":")
	switch kind {
	case "add":
		_, err := w.EnrollApp(t.Context(), p, "", ceremony.Leave{Manage: token})
		return err
	case "remove":
		return w.Remove(t.Context(), p, id, token)
	case "rename":
		_, err := w.Rename(t.Context(), p, id, "new name", token)
		return err
	case "renew_recovery_codes":
		_, err := w.RenewRecoveryCodes(t.Context(), p, token)
		return err
	}
	t.Fatal(op)
	return nil
}

// A grant for one operation is good for that one only, once, in its session, for
// two minutes; no other grant is good for any.
func TestS14ChangesNeedAGrantBoundToThem(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	w.Clock.Advance(48 * time.Hour)
	second := add(w, t, alice)
	ops := []ceremony.Operation{ceremony.AddOp, ceremony.RenewOp, ceremony.RenameOp(alice.Authenticator.ID), ceremony.RenameOp(second.Authenticator.ID),
		ceremony.RemoveOp(alice.Authenticator.ID), ceremony.RemoveOp(second.Authenticator.ID)}
	unbound := ceremonytest.Demand(grants.ManageAction, grants.OneTimeUse, 2*time.Minute)
	for name, token := range map[string]string{
		"no grant":                  "",
		"another action's":          w.Win(alice, withdraw).Token.Text(),
		"of the action but unbound": w.Win(alice, unbound).Token.Text(),
	} {
		for _, op := range ops {
			want(t, fmt.Sprint(name, " for ", op), change(w, t, alice.Principal, op, token), ceremony.ErrManageRequired)
		}
	}
	for _, mine := range ops[:4] {
		token := w.Manage(alice, mine)
		for _, other := range ops {
			if other != mine {
				want(t, fmt.Sprint(mine, " for ", other), change(w, t, alice.Principal, other, token), ceremony.ErrManageRequired)
				want(t, "MayManage", w.MayManage(t.Context(), alice.Principal, other, token), ceremony.ErrManageRequired)
			}
		}
		elsewhere := alice.Principal
		elsewhere.Session[0]++
		want(t, "in another session", change(w, t, elsewhere, mine, token), ceremony.ErrManageRequired)
		want(t, "MayManage", w.MayManage(t.Context(), alice.Principal, mine, token), nil)
		want(t, string(mine), change(w, t, alice.Principal, mine, token), nil)
		want(t, "twice", change(w, t, alice.Principal, mine, token), ceremony.ErrManageRequired)
		late := w.Manage(alice, mine)
		w.Clock.Advance(2 * time.Minute)
		want(t, "too late", change(w, t, alice.Principal, mine, late), ceremony.ErrManageRequired)
	}
	mallory := w.Enroll("mallory")
	want(t, "another's grant", change(w, t, alice.Principal, ceremony.AddOp, w.Manage(mallory, ceremony.AddOp)), ceremony.ErrManageRequired)
	want(t, "another's authenticator", change(w, t, mallory.Principal, ceremony.RemoveOp(alice.Authenticator.ID),
		w.Manage(mallory, ceremony.RemoveOp(alice.Authenticator.ID))), ceremony.ErrNotFound)
	account, err := w.Account(t.Context(), alice.Principal)
	if err != nil || len(account.Authenticators) != 2 || account.Authenticators[0].Label != "new name" || account.RecoveryCodesLeft != 10 {
		t.Error(account, err)
	}
}

// Of 64 changes at once on one grant exactly one is made.
func TestS14OneGrantIsGoodForOneChange(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	w.Clock.Advance(48 * time.Hour)
	for _, op := range []ceremony.Operation{ceremony.AddOp, ceremony.RenewOp, ceremony.RenameOp(alice.Authenticator.ID)} {
		token := w.Manage(alice, op)
		var done atomic.Int64
		atOnce(64, func(int) {
			err := change(w, t, alice.Principal, op, token)
			if err == nil {
				done.Add(1)
			} else if !errors.Is(err, ceremony.ErrManageRequired) {
				t.Error(op, err)
			}
		})
		if done.Load() != 1 {
			t.Errorf("%s: %d changes", op, done.Load())
		}
		w.Reopen()
		want(t, "after a restart", change(w, t, alice.Principal, op, token), ceremony.ErrManageRequired)
	}
}

func TestS14RecoveryCodeMayOnlyAdd(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	w.Clock.Advance(48 * time.Hour)
	for i, op := range []ceremony.Operation{ceremony.RenewOp, ceremony.RenameOp(alice.Authenticator.ID), ceremony.RemoveOp(alice.Authenticator.ID)} {
		c := begin(w, t, alice.Principal, op)
		_, err := w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[i]})
		want(t, string(op), err, ceremony.ErrMethodNotAccepted)
		d, err := w.Describe(t.Context(), alice.Principal, c.ID)
		if err != nil || slices.Contains(d.Methods, grants.RecoveryCode) {
			t.Error("offered:", d.Methods, err)
		}
	}
	// Nor with a challenge that did not say what it is for.
	demand := ceremonytest.Demand(grants.ManageAction, grants.OneTimeUse, 2*time.Minute)
	c := w.Begin(alice.Principal, demand)
	won, err := w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[0]})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "unbound", change(w, t, alice.Principal, ceremony.RenewOp, won.Token.Text()), ceremony.ErrManageRequired)

	c = begin(w, t, alice.Principal, ceremony.AddOp)
	won, err = w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[1]})
	if err != nil {
		t.Fatal(err)
	}
	// The thief of a recovery code has an authenticator now, and may neither
	// remove the owner's nor take the recovery codes for 24 hours.
	thief := w.EnrollAs(alice.Principal, ceremony.Leave{Manage: won.Token.Text()})
	refused := []ceremony.Operation{ceremony.RenewOp, ceremony.RemoveOp(alice.Authenticator.ID), ceremony.RemoveOp(thief.Authenticator.ID)}
	for range 2 {
		for _, op := range refused {
			_, err := w.Verify(t.Context(), alice.Principal, begin(w, t, alice.Principal, op).ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(thief.Key)})
			want(t, string(op), err, ceremony.ErrAuthenticatorTooNew)
		}
		// Not by an authenticator that was added by it either.
		thief = add(w, t, thief)
		w.Clock.Advance(23 * time.Hour)
	}
	// The owner may.
	want(t, "owner", change(w, t, alice.Principal, refused[2], w.Manage(alice, refused[2])), nil)
	w.Clock.Advance(2 * time.Hour)
	want(t, "a day later", change(w, t, alice.Principal, ceremony.RenewOp, w.Manage(thief, ceremony.RenewOp)), nil)
}

// Where all authenticators are new, they do: there is no older one to ask.
func TestS14NewAuthenticatorDoesWhereThereIsNoOlder(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	second := add(w, t, alice)
	want(t, "renew", change(w, t, alice.Principal, ceremony.RenewOp, w.Manage(second, ceremony.RenewOp)), nil)
	op := ceremony.RemoveOp(second.Authenticator.ID)
	want(t, "remove", change(w, t, alice.Principal, op, w.Manage(alice, op)), nil)
	_, err := w.Verify(t.Context(), alice.Principal, w.Begin(alice.Principal, view).ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(second.Key)})
	want(t, "code of a removed authenticator", err, ceremony.ErrInvalidCode)
}

func TestRenewedRecoveryCodesReplaceTheOld(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	codes, err := w.RenewRecoveryCodes(t.Context(), alice.Principal, w.Manage(alice, ceremony.RenewOp))
	if err != nil || len(codes) != 10 {
		t.Fatal(len(codes), err)
	}
	want(t, "old", answer(w, t, alice.Principal, grants.RecoveryCode, alice.RecoveryCodes[0]), ceremony.ErrInvalidCode)
	want(t, "new", answer(w, t, alice.Principal, grants.RecoveryCode, codes[0]), nil)
}

// Removing an authenticator ends what was won with it, also where that is more
// than one Apply takes; with the last one goes everything.
func TestRemovalEndsTheGrants(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	second := add(w, t, alice)
	var lost []string
	for range store.MaxOps/2 + 10 {
		lost = append(lost, w.Win(second, ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 24*time.Hour)).Token.Text())
	}
	long := ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 24*time.Hour)
	kept := w.Win(alice, long)
	op := ceremony.RemoveOp(second.Authenticator.ID)
	want(t, "remove", change(w, t, alice.Principal, op, w.Manage(alice, op)), nil)
	for _, token := range lost {
		if err := check(w, t, alice.Principal, long, token); !errors.Is(err, ceremony.ErrNoGrant) {
			t.Fatal("a grant of the removed authenticator:", err)
		}
	}
	want(t, "of the other", check(w, t, alice.Principal, long, kept.Token.Text()), nil)
	c := w.Begin(alice.Principal, long)
	won, err := w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[0]})
	if err != nil {
		t.Fatal(err)
	}
	op = ceremony.RemoveOp(alice.Authenticator.ID)
	want(t, "remove the last", change(w, t, alice.Principal, op, w.Manage(alice, op)), nil)
	for _, token := range []string{kept.Token.Text(), won.Token.Text()} {
		want(t, "after the last", check(w, t, alice.Principal, long, token), ceremony.ErrNoGrant)
	}
	account, err := w.Account(t.Context(), alice.Principal)
	if err != nil || account.Enrolled || account.RecoveryCodesLeft != 0 || len(account.Grants) != 0 {
		t.Error(account, err)
	}
}

// A change that is made while a code is used does not bring the code back, nor
// does one change undo another.
func TestS04ChangesAtOnceLoseNothing(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	rename := ceremony.RenameOp(alice.Authenticator.ID)
	for i := range 30 {
		if i%10 == 0 {
			codes, err := w.RenewRecoveryCodes(t.Context(), alice.Principal, w.Manage(alice, ceremony.RenewOp))
			if err != nil {
				t.Fatal(err)
			}
			alice.RecoveryCodes = codes
		}
		token, label, code := w.Manage(alice, rename), fmt.Sprint("name ", i), alice.RecoveryCodes[i%10]
		c := w.Begin(alice.Principal, view)
		var errs [2]error
		atOnce(2, func(i int) {
			if i == 0 {
				_, errs[i] = w.Rename(t.Context(), alice.Principal, alice.Authenticator.ID, label, token)
			} else {
				_, errs[i] = w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.RecoveryCode, Code: code})
			}
		})
		want(t, "rename", errs[0], nil)
		want(t, "recovery code", errs[1], nil)
		account, err := w.Account(t.Context(), alice.Principal)
		if err != nil || account.Authenticators[0].Label != label || account.RecoveryCodesLeft != 9-i%10 {
			t.Fatalf("round %d: label %q, %d codes left, %v", i, account.Authenticators[0].Label, account.RecoveryCodesLeft, err)
		}
	}
}

func TestChangesAtOnceAreBothMade(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	second := add(w, t, alice)
	ids := [2]string{alice.Authenticator.ID, second.Authenticator.ID}
	for i := range 30 {
		var tokens [2]string
		for n, id := range ids {
			tokens[n] = w.Manage(alice, ceremony.RenameOp(id))
		}
		label := func(n int) string { return fmt.Sprintf("name %d of %d", i, n) }
		atOnce(2, func(n int) {
			if _, err := w.Rename(t.Context(), alice.Principal, ids[n], label(n), tokens[n]); err != nil {
				t.Error(err)
			}
		})
		account, err := w.Account(t.Context(), alice.Principal)
		if err != nil || account.Authenticators[0].Label != label(0) || account.Authenticators[1].Label != label(1) {
			t.Fatalf("round %d: %q and %q, %v", i, account.Authenticators[0].Label, account.Authenticators[1].Label, err)
		}
	}
}
