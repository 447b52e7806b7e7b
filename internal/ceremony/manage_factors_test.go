package ceremony_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// kinds are the kinds of authenticators, each with how it is enrolled.
var kinds = []struct {
	name   string
	enroll func(*ceremonytest.World, *testing.T, ceremony.Principal, ceremony.Leave) *ceremonytest.Person
}{
	{"app", func(w *ceremonytest.World, _ *testing.T, p ceremony.Principal, l ceremony.Leave) *ceremonytest.Person {
		return w.EnrollAs(p, l)
	}},
	{"passkey", func(w *ceremonytest.World, t *testing.T, p ceremony.Principal, l ceremony.Leave) *ceremonytest.Person {
		return w.EnrollDevice(p, device(t), l)
	}},
	{"phone", func(w *ceremonytest.World, _ *testing.T, p ceremony.Principal, l ceremony.Leave) *ceremonytest.Person {
		if l.Manage != "" {
			return w.EnrollNumber(p, "+4915123456788", l)
		}
		return w.EnrollNumber(p, number, l)
	}},
}

// pairs runs f for each kind of authenticator that a subject has, with each kind
// that is added to it.
func pairs(t *testing.T, f func(t *testing.T, w *ceremonytest.World, owner *ceremonytest.Person, add func(ceremony.Leave) *ceremonytest.Person)) {
	for _, has := range kinds {
		for _, gets := range kinds {
			t.Run(has.name+" gets "+gets.name, func(t *testing.T) {
				w := ceremonytest.New(t, lax)
				owner := has.enroll(w, t, w.Stranger("alice"), ceremony.Leave{})
				w.Clock.Advance(48 * time.Hour)
				f(t, w, owner, func(l ceremony.Leave) *ceremonytest.Person {
					added := gets.enroll(w, t, owner.Principal, l)
					added.RecoveryCodes = nil
					return added
				})
			})
		}
	}
}

// tryManage answers the challenge for an operation with what the person has in hand.
func tryManage(w *ceremonytest.World, t *testing.T, who *ceremonytest.Person, op ceremony.Operation) error {
	t.Helper()
	w.Rest(who)
	return tryPass(w, t, who, begin(w, t, who.Principal, op))
}

// tryPass answers the challenge with what the person has in hand, unless it is not
// even asked for.
func tryPass(w *ceremonytest.World, t *testing.T, who *ceremonytest.Person, c ceremony.Challenge) error {
	t.Helper()
	switch {
	case who.Device != nil:
		options, err := w.PasskeyOptions(t.Context(), who.Principal, c.ID)
		if err != nil {
			return err
		}
		return byPasskey(w, t, who.Principal, c.ID, who.Device.Answer(options))
	case who.Number != "":
		if _, err := w.SendCode(t.Context(), who.Principal, c.ID, who.Authenticator.ID); err != nil {
			return err
		}
		texts := w.Texts(who.Number)
		return answerTo(w, t, who.Principal, c.ID, texts[len(texts)-1].Code())
	}
	_, err := w.Verify(t.Context(), who.Principal, c.ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(who.Key)})
	return err
}

// A recovery code may only add, whatever there is. Who added by one may neither
// take away nor renew for a day, nor by whatever is added then; the owner may.
func TestS14RecoveryCodeMayOnlyAddToAnyFactor(t *testing.T) {
	pairs(t, func(t *testing.T, w *ceremonytest.World, owner *ceremonytest.Person, add func(ceremony.Leave) *ceremonytest.Person) {
		mine := owner.Authenticator.ID
		recover := func(n int, op ceremony.Operation) (ceremony.Won, error) {
			return w.Verify(t.Context(), owner.Principal, begin(w, t, owner.Principal, op).ID,
				ceremony.Answer{Method: grants.RecoveryCode, Code: owner.RecoveryCodes[n]})
		}
		for _, op := range []ceremony.Operation{ceremony.RenewOp, ceremony.RenameOp(mine), ceremony.RemoveOp(mine)} {
			_, err := recover(0, op)
			want(t, string(op), err, ceremony.ErrMethodNotAccepted)
			d, err := w.Describe(t.Context(), owner.Principal, begin(w, t, owner.Principal, op).ID)
			if err != nil || slices.Contains(d.Methods, grants.RecoveryCode) || len(d.Methods) != 1 {
				t.Error(op, "offers", d.Methods, err)
			}
		}
		won, err := recover(0, ceremony.AddOp) // it was not burned
		if err != nil {
			t.Fatal(err)
		}
		thief := add(ceremony.Leave{Manage: won.Token.Text()})
		refused := []ceremony.Operation{ceremony.RenewOp, ceremony.RemoveOp(mine), ceremony.RemoveOp(thief.Authenticator.ID)}
		for _, op := range refused {
			want(t, string(op), tryManage(w, t, thief, op), ceremony.ErrAuthenticatorTooNew)
		}
		further := w.EnrollAs(owner.Principal, ceremony.Leave{Manage: w.Manage(thief, ceremony.AddOp)})
		w.Clock.Advance(20 * time.Hour)
		for _, op := range refused {
			want(t, "20 h later "+string(op), tryManage(w, t, thief, op), ceremony.ErrAuthenticatorTooNew)
			want(t, "20 h later, by a third, "+string(op), tryManage(w, t, further, op), ceremony.ErrAuthenticatorTooNew)
		}
		last := refused[2]
		want(t, "by the owner", change(w, t, owner.Principal, last, w.Manage(owner, last)), nil)
		account, err := w.Account(t.Context(), owner.Principal)
		if err != nil || len(account.Authenticators) != 2 || account.RecoveryCodesLeft != 9 {
			t.Error(account, err)
		}
	})
}

// An authenticator that is younger than 24 hours may not remove an older one, nor
// renew the recovery codes, however it came; on the dot of 24 hours it may.
func TestS14NewAuthenticatorMayNotRemoveAnOlder(t *testing.T) {
	pairs(t, func(t *testing.T, w *ceremonytest.World, owner *ceremonytest.Person, add func(ceremony.Leave) *ceremonytest.Person) {
		added := add(ceremony.Leave{Manage: w.Manage(owner, ceremony.AddOp)})
		remove, rename := ceremony.RemoveOp(owner.Authenticator.ID), ceremony.RenameOp(owner.Authenticator.ID)
		want(t, "remove", tryManage(w, t, added, remove), ceremony.ErrAuthenticatorTooNew)
		want(t, "renew", tryManage(w, t, added, ceremony.RenewOp), ceremony.ErrAuthenticatorTooNew)
		want(t, "rename", change(w, t, owner.Principal, rename, w.Manage(added, rename)), nil)
		w.Clock.Advance(added.Authenticator.CreatedAt.Add(24*time.Hour - 15*time.Minute).Sub(w.Clock.Now()))
		want(t, "just before", tryManage(w, t, added, remove), ceremony.ErrAuthenticatorTooNew)
		w.Clock.Advance(15 * time.Minute)
		if owner.Number != "" {
			// A text message vouched for it: it never removes an older one (S24).
			want(t, "a day later", tryManage(w, t, added, remove), ceremony.ErrWeakOrigin)
			return
		}
		want(t, "a day later", change(w, t, owner.Principal, remove, w.Manage(added, remove)), nil)
		w.Win(added, view)
	})
}

// Of 64 changes at once on one grant exactly one is made, whatever proved it and
// whatever it adds.
func TestS14OneGrantIsGoodForOneChangeByAnyFactor(t *testing.T) {
	for _, has := range kinds {
		t.Run(has.name, func(t *testing.T) {
			w := ceremonytest.New(t, lax)
			owner := has.enroll(w, t, w.Stranger("alice"), ceremony.Leave{})
			w.Clock.Advance(48 * time.Hour)
			id := owner.Authenticator.ID
			adds := []func(leave ceremony.Leave) error{
				func(l ceremony.Leave) error {
					_, err := w.EnrollApp(t.Context(), owner.Principal, "", l)
					return err
				},
				func(l ceremony.Leave) error {
					_, err := w.EnrollPasskey(t.Context(), owner.Principal, "", ceremonytest.Site, l)
					return err
				},
				func(l ceremony.Leave) error {
					e, err := w.EnrollPhone(t.Context(), owner.Principal, "", number, ceremonytest.Site, l)
					if e.ID != "" {
						return nil // it stands, also where no code can be sent yet
					}
					return err
				},
			}
			ops := []ceremony.Operation{ceremony.AddOp, ceremony.RenameOp(id), ceremony.RenewOp, ceremony.RemoveOp(id)}
			for _, op := range ops { // the removal last, since nothing is left to prove with then
				token := w.Manage(owner, op)
				var done atomic.Int64
				atOnce(64, func(i int) {
					var err error
					if op == ceremony.AddOp {
						err = adds[i%len(adds)](ceremony.Leave{Manage: token})
					} else {
						err = change(w, t, owner.Principal, op, token)
					}
					switch {
					case err == nil:
						done.Add(1)
					case errors.Is(err, ceremony.ErrNotFound) && op == ceremony.RemoveOp(id): // it is gone
					case !errors.Is(err, ceremony.ErrManageRequired):
						t.Error(op, err)
					}
				})
				if done.Load() != 1 {
					t.Errorf("%s: %d changes", op, done.Load())
				}
				w.Reopen()
				want(t, string(op)+" after a restart", change(w, t, owner.Principal, op, token), ceremony.ErrManageRequired)
			}
		})
	}
}

// Whoever was let in by a recovery code is out again when the owner renews the
// codes, or the operator ends the grants: with an enrollment under way too, and with
// a grant that was not used yet.
func TestS14RenewalAndRevocationEndWhatARecoveryCodeBegan(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	w.Clock.Advance(48 * time.Hour)
	thief := *alice
	thief.Principal = browser(alice.Principal, 1)
	byCode := func(n int, op ceremony.Operation) string {
		t.Helper()
		c, err := w.BeginManage(t.Context(), thief.Principal, op, "", ceremonytest.Site, "/")
		if err != nil {
			t.Fatal(err)
		}
		won, err := w.Verify(t.Context(), thief.Principal, c.ID, ceremony.Answer{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[n]})
		if err != nil {
			t.Fatal(err)
		}
		return won.Token.Text()
	}
	begin := func(token string) ceremony.Enrollment {
		t.Helper()
		e, err := w.EnrollApp(t.Context(), thief.Principal, "", ceremony.Leave{Manage: token})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	confirm := func(e ceremony.Enrollment) error {
		_, err := w.Confirm(t.Context(), thief.Principal, e.ID, w.NextCode(e.Key), "")
		return err
	}
	e, unused := begin(byCode(0, ceremony.AddOp)), byCode(1, ceremony.AddOp)
	codes, err := w.RenewRecoveryCodes(t.Context(), alice.Principal, w.Manage(alice, ceremony.RenewOp))
	if err != nil || len(codes) != 10 {
		t.Fatal(len(codes), err)
	}
	alice.RecoveryCodes = codes
	want(t, "begun before the renewal", confirm(e), ceremony.ErrVoided)
	_, err = w.EnrollApp(t.Context(), thief.Principal, "", ceremony.Leave{Manage: unused})
	want(t, "won before the renewal", err, ceremony.ErrManageRequired)

	for n, action := range []string{"", "step_up.manage"} {
		e = begin(byCode(n, ceremony.AddOp))
		if _, err := w.Revoke(t.Context(), alice.Subject, action); err != nil {
			t.Fatal(err)
		}
		want(t, "begun before the revocation of "+action, confirm(e), ceremony.ErrNotFound)
	}
	e = begin(byCode(2, ceremony.AddOp))
	if _, err := w.Revoke(t.Context(), alice.Subject, "VIEW_REPORTS"); err != nil {
		t.Fatal(err)
	}
	want(t, "another action's", confirm(e), nil)
}
