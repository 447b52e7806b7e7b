package ceremony_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

func policy(e ceremony.EnrollPolicy) func(*ceremony.Settings) {
	return func(s *ceremony.Settings) { s.Enrollment, s.Until = e, time.Time{} }
}

func until(when time.Time) func(*ceremony.Settings) {
	return func(s *ceremony.Settings) { s.Enrollment, s.Until = ceremony.FirstUse, when }
}

// invited makes an invite for the name that holds for an hour.
func invited(w *ceremonytest.World, t *testing.T, name string) string {
	t.Helper()
	code, hash := invite.New()
	if err := w.Invite(t.Context(), w.Stranger(name).Subject, hash, w.Clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	return code
}

// Each policy at begin, and each that it may have become at confirm.
func TestS15PolicyAtBeginAndAgainAtConfirm(t *testing.T) {
	noon := ceremonytest.New(t).Clock.Now()
	type step struct {
		name   string
		policy func(*ceremony.Settings)
	}
	first, byInvite, deny := step{"first_use", policy(ceremony.FirstUse)}, step{"invite", policy(ceremony.ByInvite)}, step{"deny", policy(ceremony.Deny)}
	open, ended := step{"until tomorrow", until(noon.Add(24 * time.Hour))}, step{"until yesterday", until(noon.Add(-24 * time.Hour))}
	ends := step{"until now", until(noon)}
	for _, test := range []struct {
		begin, confirm   step
		invited          bool
		atBegin, atConfm error
	}{
		{first, first, false, nil, nil},
		{first, byInvite, false, nil, ceremony.ErrInviteRequired},
		{first, deny, false, nil, ceremony.ErrEnrollmentDenied},
		{first, ended, false, nil, ceremony.ErrInviteRequired},
		{open, open, false, nil, nil},
		{open, ends, false, nil, ceremony.ErrInviteRequired},
		{ends, ends, false, ceremony.ErrInviteRequired, nil},
		{ended, ended, false, ceremony.ErrInviteRequired, nil},
		{ended, ended, true, nil, nil},
		{byInvite, byInvite, false, ceremony.ErrInviteRequired, nil},
		{byInvite, byInvite, true, nil, nil},
		{byInvite, first, true, nil, nil},
		{byInvite, deny, true, nil, ceremony.ErrEnrollmentDenied},
		{deny, deny, false, ceremony.ErrEnrollmentDenied, nil},
		{deny, deny, true, ceremony.ErrEnrollmentDenied, nil},
	} {
		t.Run(test.begin.name+", then "+test.confirm.name, func(t *testing.T) {
			w := ceremonytest.New(t, test.begin.policy)
			alice := w.Stranger("alice")
			var leave ceremony.Leave
			if test.invited {
				w.Configure(policy(ceremony.ByInvite)) // under deny none is made
				leave.Invite = invited(w, t, "alice")
				w.Configure(test.begin.policy)
			}
			if may := w.MayEnroll(t.Context(), alice); !test.invited {
				want(t, "MayEnrol", may, test.atBegin)
			}
			begun, err := w.EnrollApp(t.Context(), alice, "", leave)
			want(t, "begin", err, test.atBegin)
			if test.atBegin != nil {
				return
			}
			w.Configure(test.confirm.policy)
			_, err = w.Confirm(t.Context(), alice, begun.ID, w.Code(begun.Key), "")
			want(t, "confirm", err, test.atConfm)
			account, err := w.Account(t.Context(), alice)
			if err != nil || account.Enrolled != (test.atConfm == nil) {
				t.Error("enrolled:", account.Enrolled, err)
			}
		})
	}
}

func TestS15UntilPassesWhileAnEnrolmentIsPending(t *testing.T) {
	w := ceremonytest.New(t)
	w.Configure(until(w.Clock.Now().Add(time.Minute)))
	alice := w.Stranger("alice")
	begun, err := w.EnrollApp(t.Context(), alice, "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute - 1)
	want(t, "just before", w.MayEnroll(t.Context(), alice), nil)
	w.Clock.Advance(1)
	_, err = w.Confirm(t.Context(), alice, begun.ID, w.Code(begun.Key), "")
	want(t, "just after", err, ceremony.ErrInviteRequired)
}

// An invite is good for its subject, once, until it ends; of 64 who confirm with
// it at once one enrolls.
func TestS15InviteIsBurnedOnce(t *testing.T) {
	w := ceremonytest.New(t, policy(ceremony.ByInvite))
	code := invited(w, t, "alice")
	enroll := func(name, code string) error {
		_, err := w.EnrollApp(t.Context(), w.Stranger(name), "", ceremony.Leave{Invite: code})
		return err
	}
	want(t, "another's", enroll("bob", code), ceremony.ErrInviteRequired)
	want(t, "mistyped", enroll("alice", code[:len(code)-1]), ceremony.ErrInviteRequired)
	want(t, "empty", enroll("alice", ""), ceremony.ErrInviteRequired)
	var begun [16]ceremony.Enrollment
	for i := range begun {
		var err error
		if begun[i], err = w.EnrollApp(t.Context(), browser(w.Stranger("alice"), i), "", ceremony.Leave{Invite: " " + code + "\n"}); err != nil {
			t.Fatal(err)
		}
	}
	var enrolled atomic.Int64
	atOnce(64, func(i int) {
		i %= len(begun)
		_, err := w.Confirm(t.Context(), browser(w.Stranger("alice"), i), begun[i].ID, w.Code(begun[i].Key), "")
		if err == nil {
			enrolled.Add(1)
		} else if !errors.Is(err, ceremony.ErrVoided) && !errors.Is(err, ceremony.ErrNotFound) {
			t.Error(err)
		}
	})
	account, err := w.Account(t.Context(), w.Stranger("alice"))
	if err != nil || enrolled.Load() != 1 || len(account.Authenticators) != 1 {
		t.Fatal(enrolled.Load(), len(account.Authenticators), err)
	}
	if err := w.Reset(t.Context(), account.Subject); err != nil {
		t.Fatal(err)
	}
	want(t, "used", enroll("alice", code), ceremony.ErrInviteRequired)
	late := invited(w, t, "alice")
	w.Clock.Advance(time.Hour)
	want(t, "ended", enroll("alice", late), ceremony.ErrInviteRequired)
	// One that ends while the enrollment is pending does not do either.
	late = invited(w, t, "alice")
	w.Clock.Advance(50 * time.Minute)
	pending, err := w.EnrollApp(t.Context(), w.Stranger("alice"), "", ceremony.Leave{Invite: late})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(10 * time.Minute)
	_, err = w.Confirm(t.Context(), w.Stranger("alice"), pending.ID, w.Code(pending.Key), "")
	want(t, "ended while pending", err, ceremony.ErrInviteRequired)
}

// An invite that was used is gone by itself, not by a reset.
func TestS15UsedInviteIsGone(t *testing.T) {
	w := ceremonytest.New(t, policy(ceremony.ByInvite))
	code := invited(w, t, "alice")
	alice := w.EnrollAs(w.Stranger("alice"), ceremony.Leave{Invite: code})
	op := ceremony.RemoveOp(alice.Authenticator.ID)
	want(t, "remove", w.Remove(t.Context(), alice.Principal, alice.Authenticator.ID, w.Manage(alice, op)), nil)
	_, err := w.EnrollApp(t.Context(), alice.Principal, "", ceremony.Leave{Invite: code})
	want(t, "used", err, ceremony.ErrInviteRequired)
}

// After a reset or the removal of the last authenticator, and after a reset of
// who never enrolled, an invite is demanded, whatever the policy and however
// often the gateway restarted.
func TestS15ResetAndLastRemovalDemandAnInvite(t *testing.T) {
	for name, end := range map[string]func(*ceremonytest.World){
		"reset": func(w *ceremonytest.World) {
			alice := w.Enroll("alice")
			if err := w.Reset(t.Context(), alice.Subject); err != nil {
				t.Fatal(err)
			}
		},
		"last removal": func(w *ceremonytest.World) {
			alice := w.Enroll("alice")
			if err := w.Remove(t.Context(), alice.Principal, alice.Authenticator.ID, w.Manage(alice, ceremony.RemoveOp(alice.Authenticator.ID))); err != nil {
				t.Fatal(err)
			}
		},
		"reset of a stranger": func(w *ceremonytest.World) {
			if err := w.Reset(t.Context(), w.Stranger("alice").Subject); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t)
			end(w)
			w.Clock.Advance(10_000 * time.Hour)
			w.Reopen()
			alice := w.Stranger("alice")
			want(t, "MayEnrol", w.MayEnroll(t.Context(), alice), ceremony.ErrInviteRequired)
			_, err := w.EnrollApp(t.Context(), alice, "", ceremony.Leave{})
			want(t, "without an invite", err, ceremony.ErrInviteRequired)
			again := w.EnrollAs(alice, ceremony.Leave{Invite: invited(w, t, "alice")})
			if len(again.RecoveryCodes) != 10 {
				t.Error("recovery codes:", len(again.RecoveryCodes))
			}
			user, err := w.User(t.Context(), alice.Subject)
			if err != nil || user.State != records.StateEnrolled || len(user.Authenticators) != 1 {
				t.Error(user, err)
			}
		})
	}
}

// A reset takes everything that could still be used, and voids what is pending.
func TestResetTakesEverything(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	won := w.Win(alice, view)
	code := invited(w, t, "alice")
	manage := w.Manage(alice, ceremony.AddOp)
	pending, err := w.EnrollApp(t.Context(), alice.Principal, "", ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
	if err != nil {
		t.Fatal(err)
	}
	c := w.Begin(alice.Principal, view)
	if err := w.Reset(t.Context(), alice.Subject); err != nil {
		t.Fatal(err)
	}
	want(t, "grant", check(w, t, alice.Principal, view, won.Token.Text()), ceremony.ErrNoGrant)
	_, err = w.Confirm(t.Context(), alice.Principal, pending.ID, w.Code(pending.Key), "")
	want(t, "pending enrollment", err, ceremony.ErrNotFound)
	_, err = w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(alice.Key)})
	want(t, "challenge", err, ceremony.ErrNotFound)
	want(t, "code", answer(w, t, alice.Principal, grants.TOTP, w.NextCode(alice.Key)), ceremony.ErrNotEnrolled)
	want(t, "recovery code", answer(w, t, alice.Principal, grants.RecoveryCode, alice.RecoveryCodes[0]), ceremony.ErrNotEnrolled)
	_, err = w.EnrollApp(t.Context(), alice.Principal, "", ceremony.Leave{Invite: code, Manage: manage})
	want(t, "invite from before", err, ceremony.ErrInviteRequired)
}

// Resets, confirmations and verifications at once end in one of their orders:
// who is reset has no authenticator, no grant, and enrolls with an invite only.
func TestResetWinsAgainstWhatIsUnderWay(t *testing.T) {
	w := ceremonytest.New(t, lax)
	for range 8 {
		alice := w.EnrollAs(w.Stranger("alice"), ceremony.Leave{Invite: invited(w, t, "alice")})
		pending, err := w.EnrollApp(t.Context(), alice.Principal, "", ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
		if err != nil {
			t.Fatal(err)
		}
		c, code := w.Begin(alice.Principal, view), w.NextCode(alice.Key)
		var won ceremony.Won
		atOnce(3, func(i int) {
			switch i {
			case 0:
				won, _ = w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.TOTP, Code: code})
			case 1:
				w.Confirm(t.Context(), alice.Principal, pending.ID, w.Code(pending.Key), "")
			case 2:
				if err := w.Reset(t.Context(), alice.Subject); err != nil {
					t.Error(err)
				}
			}
		})
		account, err := w.Account(t.Context(), alice.Principal)
		if err != nil || account.Enrolled || len(account.Authenticators) != 0 || len(account.Grants) != 0 || account.RecoveryCodesLeft != 0 {
			t.Fatal(account, err)
		}
		want(t, "grant", check(w, t, alice.Principal, view, won.Token.Text()), ceremony.ErrNoGrant)
		want(t, "MayEnrol", w.MayEnroll(t.Context(), alice.Principal), ceremony.ErrInviteRequired)
	}
}

// Two pending enrollments race: one authenticator, the loser is voided, also for
// who asks to see it again.
func TestS15PendingEnrolmentsRace(t *testing.T) {
	w := ceremonytest.New(t)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		p := w.Stranger(name)
		var begun [2]ceremony.Enrollment
		for i := range begun {
			var err error
			if begun[i], err = w.EnrollApp(t.Context(), p, "", ceremony.Leave{}); err != nil {
				t.Fatal(err)
			}
		}
		var errs [2]error
		atOnce(2, func(i int) { _, errs[i] = w.Confirm(t.Context(), p, begun[i].ID, w.Code(begun[i].Key), "") })
		loser := 0
		if errs[0] == nil {
			loser = 1
		}
		want(t, "winner", errs[1-loser], nil)
		want(t, "loser", errs[loser], ceremony.ErrVoided)
		_, err := w.Confirm(t.Context(), p, begun[loser].ID, w.Code(begun[loser].Key), "")
		want(t, "loser again", err, ceremony.ErrVoided)
		_, err = w.Pending(t.Context(), p, begun[loser].ID)
		want(t, "loser shown", err, ceremony.ErrVoided)
		account, err := w.Account(t.Context(), p)
		if err != nil || len(account.Authenticators) != 1 || account.RecoveryCodesLeft != 10 {
			t.Fatal(account, err)
		}
	}
}

// The first code of a first enrollment passes the challenge that sent the person
// there, and none that it must not.
func TestConfirmPassesTheChallenge(t *testing.T) {
	w := ceremonytest.New(t)
	confirm := func(p ceremony.Principal, challenge string) *ceremony.Won {
		t.Helper()
		begun, err := w.EnrollApp(t.Context(), p, "", ceremony.Leave{})
		if err != nil {
			t.Fatal(err)
		}
		done, err := w.Confirm(t.Context(), p, begun.ID, w.Code(begun.Key), challenge)
		if err != nil {
			t.Fatal(err)
		}
		if done.Won != nil {
			_, err := w.Verify(t.Context(), p, challenge, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(begun.Key)})
			want(t, "passed again", err, ceremony.ErrNotFound)
		}
		return done.Won
	}
	a := w.Stranger("a")
	won := confirm(a, w.Begin(a, view).ID)
	if won == nil {
		t.Fatal("not passed")
	}
	want(t, "the grant", check(w, t, a, view, won.Token.Text()), nil)
	recoveryOnly := ceremonytest.Demand("X", grants.TimeBased, time.Minute, grants.RecoveryCode)
	for name, challenge := range map[string]func(ceremony.Principal) string{
		"none":                 func(ceremony.Principal) string { return "" },
		"malformed":            func(ceremony.Principal) string { return "\n\n" },
		"another's":            func(ceremony.Principal) string { return w.Begin(a, view).ID },
		"another browser's":    func(p ceremony.Principal) string { return w.Begin(browser(p, 1), view).ID },
		"by recovery code":     func(p ceremony.Principal) string { return w.Begin(p, recoveryOnly).ID },
		"for managing":         func(p ceremony.Principal) string { return begin(w, t, p, ceremony.AddOp).ID },
		"of another session":   func(p ceremony.Principal) string { p.Session[0]++; return w.Begin(p, view).ID },
		"not there any longer": func(p ceremony.Principal) string { id := w.Begin(p, view).ID; w.Cancel(t.Context(), p, id); return id },
	} {
		p := w.Stranger(name)
		if confirm(p, challenge(p)) != nil {
			t.Errorf("one %s was passed", name)
		}
	}
	c := w.Stranger("c")
	expired := w.Begin(c, view).ID
	w.Clock.Advance(5 * time.Minute)
	if confirm(c, expired) != nil {
		t.Error("an expired one was passed")
	}
}
