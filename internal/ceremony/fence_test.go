package ceremony_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// accept takes an older copy of the database, which must be one.
func accept(t *testing.T, w *ceremonytest.World, a ceremony.Acceptance) []string {
	t.Helper()
	if err := w.RolledBack(t.Context()); !errors.Is(err, ceremony.ErrRolledBack) {
		t.Fatal("the copy is not told as one:", err)
	}
	done, err := w.AcceptFence(t.Context(), a)
	if err != nil {
		t.Fatal("accepting:", err)
	}
	if err := w.RolledBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range done {
		line := r.Did() + " " + r.Subject.User
		if r.Applied {
			line += ": applied"
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// A grant that was spent after the copy was made is unspent in it, and every
// verb refuses until the copy is accepted; nor is it good afterwards. The same
// for a time-based one, a challenge, an invite, a pending enrollment and a code by
// SMS.
func TestS25NothingSpentIsGoodAgain(t *testing.T) {
	w := ceremonytest.New(t)
	x := issue(t, w)
	copied := w.Copy()
	x.spend(t)
	w.PutBack(copied)

	all := func(want error) {
		t.Helper()
		for what, err := range x.use(t) {
			if err == nil || want != nil && !errors.Is(err, want) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	all(ceremony.ErrRolledBack)
	accept(t, w, ceremony.Acceptance{})
	all(nil)
	w.Reopen()
	all(nil)
	w.Clock.Advance(2 * time.Minute) // codes of now may have been used
	if got := w.Win(x.alice, x.once); got.Token.Text() == "" {
		t.Error("nothing can be won any more")
	}
}

// A code by SMS that was sent under an earlier generation is in nobody's way: the
// next one is sent and taken.
func TestS25NextCodeBySMS(t *testing.T) {
	w := ceremonytest.New(t)
	dora := w.EnrollNumber(w.Stranger("dora"), "+49 151 23456789", ceremony.Leave{})
	d := ceremonytest.Demand("SEE", grants.TimeBased, time.Hour)
	w.Clock.Advance(time.Minute)
	old := w.Begin(dora.Principal, d)
	if _, err := w.SendCode(t.Context(), dora.Principal, old.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.PutBack(w.Copy())
	accept(t, w, ceremony.Acceptance{})
	w.Clock.Advance(time.Minute)
	if got := w.Win(dora, d); got.Grant.Methods != grants.SMS {
		t.Error("a new code:", got.Grant.Methods)
	}
}

// A code of an authenticator app that was used after the copy was made looks
// unused in it. It and all that may have been used are refused, the next is taken;
// an app that is enrolled now has nothing to wait for.
func TestS25UsedCodeOfAnApp(t *testing.T) {
	w := ceremonytest.New(t)
	ctx := t.Context()
	alice := w.Enroll("alice")
	d := ceremonytest.Demand("PAY", grants.OneTimeUse, time.Minute)
	copied := w.Copy()
	// The one of the step to come is accepted early, by the skew.
	ahead, err := totp.Code(alice.Key, w.Clock.Now().Add(totp.Period))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify(ctx, alice.Principal, w.Begin(alice.Principal, d).ID, ceremony.Answer{Method: grants.TOTP, Code: ahead}); err != nil {
		t.Fatal(err)
	}
	w.PutBack(copied)
	accept(t, w, ceremony.Acceptance{})
	tried := 0
	for range 3 {
		c := w.Begin(alice.Principal, d)
		_, err := w.Verify(ctx, alice.Principal, c.ID, ceremony.Answer{Method: grants.TOTP, Code: w.Code(alice.Key)})
		if err == nil {
			break
		}
		if !errors.Is(err, ceremony.ErrInvalidCode) {
			t.Fatal(err)
		}
		tried++
		w.Clock.Advance(totp.Period)
	}
	if tried != 2 {
		t.Errorf("%d codes were refused, want those of two steps", tried)
	}
	bob := w.Enroll("bob")
	if w.Win(bob, d).Grant.Methods != grants.TOTP {
		t.Error("a new app")
	}
}

// The mark's clock was ahead: its codes may have been used, up to then.
func TestS25UsedCodeOfAClockAhead(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	d := ceremonytest.Demand("PAY", grants.OneTimeUse, time.Minute)
	copied := w.Copy()
	w.Clock.Advance(10 * time.Minute)
	w.Win(alice, d)
	w.Clock.Advance(-10 * time.Minute)
	w.PutBack(copied)
	accept(t, w, ceremony.Acceptance{})
	status, err := w.Fence(t.Context())
	if err != nil || status.CodesAfter.Before(w.Clock.Now().Add(9*time.Minute)) {
		t.Error(status, err)
	}
}

// Recovery codes of before are not taken until they are renewed, or the operator
// trusts them; then not those of users who are known to have used one.
func TestS25UsedRecoveryCode(t *testing.T) {
	for _, trust := range []bool{false, true} {
		w := ceremonytest.New(t)
		ctx := t.Context()
		alice, bob := w.Enroll("alice"), w.Enroll("bob")
		d := ceremonytest.Demand("PAY", grants.OneTimeUse, time.Minute)
		use := func(who *ceremonytest.Person, n int) error {
			_, err := w.Verify(ctx, who.Principal, w.Begin(who.Principal, d).ID, ceremony.Answer{Method: grants.RecoveryCode, Code: who.RecoveryCodes[n]})
			return err
		}
		if err := use(alice, 0); err != nil {
			t.Fatal(err)
		}
		before := w.Events()
		w.Clock.Advance(time.Hour)
		copied := w.Copy()
		w.Clock.Advance(time.Hour)
		if err := use(alice, 1); err != nil {
			t.Fatal(err)
		}
		since := w.Events()
		w.PutBack(copied)
		if err := use2(w, alice, d); !errors.Is(err, ceremony.ErrRolledBack) {
			t.Error("before it is accepted:", err)
		}
		lines := accept(t, w, ceremony.Acceptance{TrustCodes: trust, Lost: since})
		w.Clock.Advance(2 * time.Minute)
		want := []string{"verify passed alice"}
		if trust {
			want[0] += ": applied"
		}
		if !slices.Equal(lines, want) {
			t.Errorf("trust %v: told %q of %d events, %d of them before", trust, lines, len(since), len(before))
		}
		if err := use(alice, 1); err == nil {
			t.Error("a used code is good again")
		}
		if err := use(alice, 2); err == nil {
			t.Error("nobody knows which code alice has used")
		}
		switch err := use(bob, 0); {
		case trust && err != nil:
			t.Error("bob's codes are trusted:", err)
		case !trust && !errors.Is(err, ceremony.ErrCodesBarred):
			t.Error("bob's codes are not:", err)
		}
		if account, err := w.Account(ctx, bob.Principal); err != nil || (account.RecoveryCodesLeft == 0) != !trust {
			t.Error("bob is shown", account.RecoveryCodesLeft, err)
		}
		codes, err := w.RenewRecoveryCodes(ctx, bob.Principal, w.Manage(bob, ceremony.RenewOp))
		if err != nil {
			t.Fatal(err)
		}
		bob.RecoveryCodes = codes
		if err := use(bob, 3); err != nil {
			t.Error("renewed codes:", err)
		}
		// The operator may say so later.
		if _, err := w.AcceptFence(ctx, ceremony.Acceptance{TrustCodes: true}); errors.Is(err, ceremony.ErrNotFenced) == !trust {
			t.Error("trusting them later:", err)
		}
		if err := use(alice, 3); (err == nil) == trust {
			t.Error("alice's, once trusted:", err)
		}
	}
}

func use2(w *ceremonytest.World, who *ceremonytest.Person, d grants.Demand) error {
	_, err := w.Prove(context.Background(), who.Principal, d, ceremony.Answer{Method: grants.RecoveryCode, Code: who.RecoveryCodes[1]})
	return err
}

// What was taken away after the copy was made is taken away again from what the
// audit log tells; what was given is the operator's to give again. What the copy
// shows is left alone, however old the log.
func TestS25TakenAwayIsTakenAwayAgain(t *testing.T) {
	w := ceremonytest.New(t)
	ctx := t.Context()
	day := func() { w.Clock.Advance(25 * time.Hour) }
	newKey := func(label string) (secret, id string) {
		secret, hash := apikeys.NewKey()
		k, err := w.CreateKey(ctx, hash, apikeys.Key{Tenant: ceremonytest.Tenant, Label: label, Scopes: []apikeys.Scope{apikeys.ScopeRead}})
		if err != nil {
			t.Fatal(err)
		}
		return secret, k.ID
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	again := func(name string) *ceremonytest.Person {
		invite, hash := invite.New()
		must(w.Invite(ctx, w.Stranger(name).Subject, hash, w.Clock.Now().Add(time.Hour)))
		return w.EnrollAs(w.Stranger(name), ceremony.Leave{Invite: invite})
	}
	second := func(who *ceremonytest.Person) *ceremonytest.Person {
		return w.EnrollAs(who.Principal, ceremony.Leave{Manage: w.Manage(who, ceremony.AddOp)})
	}
	// What the copy knows of already.
	gone := w.Enroll("was reset and is back")
	must(w.Reset(ctx, gone.Subject))
	day()
	again("was reset and is back")
	oldKey, _ := newKey("stays")
	revokedKey, revokedID := newKey("revoked later")
	reset, lost, disowned, removed := w.Enroll("reset"), w.Enroll("renews"), w.Enroll("disowns"), w.Enroll("removes")
	day()
	theirs, other := second(disowned), second(removed)
	day()
	copied := w.Copy()

	day()
	must(w.RevokeKey(ctx, revokedID))
	_, lostKey := newKey("made later")
	must(w.Reset(ctx, reset.Subject))
	must(w.Reset(ctx, w.Stranger("never seen").Subject))
	must(w.Disown(ctx, disowned.Principal, theirs.Authenticator.ID))
	must(w.Remove(ctx, removed.Principal, other.Authenticator.ID, w.Manage(removed, ceremony.RemoveOp(other.Authenticator.ID))))
	_, err := w.RenewRecoveryCodes(ctx, lost.Principal, w.Manage(lost, ceremony.RenewOp))
	must(err)
	w.Enroll("newcomer")
	events := w.Events()
	w.PutBack(copied)

	if _, err := w.KeyOf(ctx, revokedKey); !errors.Is(err, ceremony.ErrRolledBack) {
		t.Error("a revoked key before the copy is accepted:", err)
	}
	lines := accept(t, w, ceremony.Acceptance{TrustCodes: true, Lost: events})
	want := []string{
		"api_key revoked: applied", "api_key created", "reset done reset: applied", "reset done never seen: applied",
		"disown done disowns: applied", "remove done removes: applied", "recovery_codes done renews: applied", "confirm done newcomer",
	}
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "  ", " ")
	}
	for i := range want {
		if i >= len(lines) || strings.ReplaceAll(lines[i], " :", ":") != want[i] {
			t.Fatalf("told\n%q, want\n%q", lines, want)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("told more: %q", lines[len(want):])
	}

	w.Clock.Advance(2 * time.Minute)
	if _, err := w.KeyOf(ctx, revokedKey); !errors.Is(err, ceremony.ErrNotFound) {
		t.Error("a revoked key:", err)
	}
	if _, err := w.KeyOf(ctx, oldKey); !errors.Is(err, apikeys.ErrKeySuspended) {
		t.Error("a key of before:", err)
	}
	status, err := w.Fence(ctx)
	must(err)
	if len(status.SuspendedKeys) != 1 || status.SuspendedKeys[0] == lostKey {
		t.Error("suspended:", status.SuspendedKeys)
	}
	must(w.EnableKey(ctx, status.SuspendedKeys[0]))
	if _, err := w.KeyOf(ctx, oldKey); err != nil {
		t.Error("enabled:", err)
	}
	if err := w.EnableKey(ctx, revokedID); !errors.Is(err, ceremony.ErrNotFound) {
		t.Error("a revoked key is enabled:", err)
	}
	madeNow, _ := newKey("made now")
	if _, err := w.KeyOf(ctx, madeNow); err != nil {
		t.Error("a new key:", err)
	}
	d := ceremonytest.Demand("PAY", grants.OneTimeUse, time.Minute)
	passes := func(who *ceremonytest.Person) error {
		_, err := w.Verify(ctx, who.Principal, w.Begin(who.Principal, d).ID, w.Answer(who, ceremony.Challenge{}))
		return err
	}
	if err := passes(reset); !errors.Is(err, ceremony.ErrNotEnrolled) {
		t.Error("an account that was reset:", err)
	}
	if err := w.MayEnroll(ctx, w.Stranger("never seen")); !errors.Is(err, ceremony.ErrInviteRequired) {
		t.Error("a subject that was reset enrolls as if for the first time:", err)
	}
	if err := passes(theirs); err == nil {
		t.Error("a suspended authenticator passes")
	}
	if err := passes(other); err == nil {
		t.Error("a removed authenticator passes")
	}
	for _, who := range []*ceremonytest.Person{disowned, removed, lost} {
		w.Rest(who)
		if err := passes(who); err != nil {
			t.Errorf("%s has nothing that passes: %v", who.User, err)
		}
	}
	if err := w.MayEnroll(ctx, w.Stranger("was reset and is back")); !errors.Is(err, ceremony.ErrManageRequired) {
		t.Error("who was reset before was reset again:", err)
	}
	if _, err := w.AcceptFence(ctx, ceremony.Acceptance{Lost: events}); !errors.Is(err, ceremony.ErrNotFenced) {
		t.Error("accepted twice:", err)
	}
}
