package ceremony_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
)

const otherNumber = "+4915123456787"

// add24 adds an authenticator of the kind with the leave.
func add24(w *ceremonytest.World, t *testing.T, kind grants.Methods, p ceremony.Principal, l ceremony.Leave) *ceremonytest.Person {
	t.Helper()
	switch kind {
	case grants.Passkey:
		return w.EnrollDevice(p, device(t), l)
	case grants.SMS:
		n := number
		if l.Manage != "" {
			n = otherNumber
		}
		return w.EnrollNumber(p, n, l)
	}
	return w.EnrollAs(p, l)
}

// byRecovery wins the grant for the operation with a recovery code.
func byRecovery(w *ceremonytest.World, t *testing.T, p ceremony.Principal, op ceremony.Operation, code string) string {
	t.Helper()
	won, err := w.Verify(t.Context(), p, begin(w, t, p, op).ID, ceremony.Answer{Method: grants.RecoveryCode, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	return won.Token.Text()
}

// For every means of proof, and every rule that does not take it: what it adds, and
// what that adds, does not open the rule for a day; and then it does. The grants
// that it wins elsewhere, over the API too, do not either.
func TestS24WeakerProofOpensNoStrongerDoor(t *testing.T) {
	all := []grants.Methods{grants.Passkey, grants.TOTP, grants.SMS, grants.RecoveryCode}
	for _, proof := range all {
		for set := grants.Methods(1); set < 1<<len(all); set++ {
			var takes grants.Methods
			for i, m := range all {
				if set&(1<<i) != 0 {
					takes |= m
				}
			}
			if takes&proof != 0 || takes == grants.RecoveryCode {
				continue // it opens the rule itself; or nothing that is added would
			}
			for _, adds := range all[:3] {
				if takes&adds == 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s adds %s for %s", proof, adds, strings.Join(takes.Names(), "+")), func(t *testing.T) {
					chain(t, proof, adds, takes)
				})
			}
		}
	}
}

func chain(t *testing.T, proof, adds, takes grants.Methods) {
	w := ceremonytest.New(t, lax, func(s *ceremony.Settings) { s.Budgets.API = 1000 })
	first := proof
	if proof == grants.RecoveryCode {
		first = grants.TOTP
		if takes&grants.TOTP == 0 {
			first = grants.SMS
		}
	}
	owner := add24(w, t, first, w.Stranger("alice"), ceremony.Leave{})
	w.Clock.Advance(48 * time.Hour)
	var token string
	if proof == grants.RecoveryCode {
		token = byRecovery(w, t, owner.Principal, ceremony.AddOp, owner.RecoveryCodes[0])
	} else {
		token = w.Manage(owner, ceremony.AddOp)
	}
	rule := ceremonytest.Demand("WITHDRAW_FUNDS", grants.OneTimeUse, 2*time.Minute, takes)
	anyWay := rule
	anyWay.Methods = 0
	told := func(what string, who *ceremonytest.Person) ceremony.Description {
		t.Helper()
		d, err := w.Describe(t.Context(), who.Principal, w.Begin(who.Principal, rule).ID)
		if err != nil || len(d.Young) == 0 || first != adds && slices.Contains(d.Methods, adds) {
			t.Error(what, "the wait is told:", d.Methods, d.Young, err)
		}
		return d
	}
	refused := func(what string, who *ceremonytest.Person) {
		t.Helper()
		w.Rest(who)
		d := told(what, who)
		before := d.AttemptsLeft
		for range 3 {
			err := tryPass(w, t, who, w.Begin(who.Principal, rule))
			if until := (*ceremony.TooNew)(nil); !errors.As(err, &until) || !until.Until.After(w.Clock.Now()) {
				t.Error(what, err)
			}
		}
		if d := told(what, who); d.AttemptsLeft != before {
			t.Error(what, "counted as wrong answers:", before-d.AttemptsLeft)
		}
		won := w.Win(who, anyWay) // a rule that takes any takes it
		want(t, what+": its grant elsewhere", check(w, t, who.Principal, rule, won.Token.Text()), ceremony.ErrNoGrant)
		if who.Device == nil && who.Number == "" {
			api := rule
			api.AcceptAPI = true
			token, err := prove(w, t, server(who.Principal), anyWay, w.NextCode(who.Key))
			if err != nil {
				t.Fatal(err)
			}
			want(t, what+": its grant over the API", check(w, t, who.Principal, api, token), ceremony.ErrNoGrant)
			want(t, what+": the same, vouched for", w.VerifyGrant(t.Context(), who.Principal, rule.Action, &rule, token), ceremony.ErrNoGrant)
			only := rule
			only.Methods = grants.TOTP
			if proof != grants.TOTP {
				_, err = prove(w, t, server(who.Principal), only, w.NextCode(who.Key))
				want(t, what+": over the API", err, ceremony.ErrAuthenticatorTooNew)
			}
		}
	}
	thief := add24(w, t, adds, owner.Principal, ceremony.Leave{Manage: token})
	refused("added", thief)
	second := add24(w, t, adds, owner.Principal, ceremony.Leave{Manage: w.Manage(thief, ceremony.AddOp)})
	refused("by one more", second)
	w.Clock.Advance(-2 * time.Hour) // which shortens nothing
	told("the clock set back", thief)
	w.Clock.Advance(2 * time.Hour)
	w.Reopen()
	refused("after a restart", second)
	w.Clock.Advance(thief.Authenticator.CreatedAt.Add(24*time.Hour - 30*time.Minute).Sub(w.Clock.Now()))
	refused("just before", thief)
	w.Clock.Advance(24 * time.Hour)
	for _, who := range []*ceremonytest.Person{thief, second} {
		want(t, "a day later", check(w, t, who.Principal, rule, w.Win(who, rule).Token.Text()), nil)
	}
}

// The owner who has the old telephone at hand goes on at once with the new one, and
// may use either to remove the other after a day.
func TestS24OwnerWithTheOldPhoneGoesOnAtOnce(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	w.Clock.Advance(48 * time.Hour)
	fresh := add(w, t, alice)
	only := ceremonytest.Demand("WITHDRAW_FUNDS", grants.OneTimeUse, 2*time.Minute, grants.TOTP)
	w.Win(fresh, only)
	w.Clock.Advance(24 * time.Hour)
	op := ceremony.RemoveOp(alice.Authenticator.ID)
	want(t, "remove the old one", change(w, t, alice.Principal, op, w.Manage(fresh, op)), nil)
}

// The owner who has recovery codes only waits, or lets a stronger authenticator
// vouch. Nobody as weak may, nothing else does it by the way, and a grant for it is
// good for that one authenticator.
func TestS24StrongerOneVouches(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	w.Clock.Advance(48 * time.Hour)
	leave := func(n int) ceremony.Leave {
		return ceremony.Leave{Manage: byRecovery(w, t, alice.Principal, ceremony.AddOp, alice.RecoveryCodes[n])}
	}
	one, two := w.EnrollAs(alice.Principal, leave(0)), w.EnrollAs(alice.Principal, leave(1))
	only := ceremonytest.Demand("WITHDRAW_FUNDS", grants.OneTimeUse, 2*time.Minute, grants.TOTP)
	closed := func(what string, who *ceremonytest.Person) {
		t.Helper()
		want(t, what, tryPass(w, t, who, w.Begin(who.Principal, only)), ceremony.ErrAuthenticatorTooNew)
	}
	op := ceremony.VouchOp(one.Authenticator.ID)
	for name, who := range map[string]*ceremonytest.Person{"itself": one, "one as weak": two} {
		if err := tryManage(w, t, who, op); !errors.Is(err, ceremony.ErrAuthenticatorTooNew) && !errors.Is(err, ceremony.ErrMethodNotAccepted) {
			t.Error(name, "vouches:", err)
		}
	}
	_, err := w.Verify(t.Context(), alice.Principal, begin(w, t, alice.Principal, op).ID, ceremony.Answer{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[2]})
	want(t, "a recovery code vouches", err, ceremony.ErrMethodNotAccepted)
	// Nothing that the owner does with the old one vouches for the new one.
	rename := ceremony.RenameOp(one.Authenticator.ID)
	want(t, "rename", change(w, t, alice.Principal, rename, w.Manage(alice, rename)), nil)
	want(t, "renew", change(w, t, alice.Principal, ceremony.RenewOp, w.Manage(alice, ceremony.RenewOp)), nil)
	w.Win(alice, only)
	closed("after other operations", one)

	token := w.Manage(alice, op)
	_, err = w.Vouch(t.Context(), alice.Principal, two.Authenticator.ID, token)
	want(t, "another one's grant", err, ceremony.ErrManageRequired)
	_, err = w.Vouch(t.Context(), alice.Principal, one.Authenticator.ID, w.Manage(alice, ceremony.AddOp))
	want(t, "another operation's grant", err, ceremony.ErrManageRequired)
	vouched, err := w.Vouch(t.Context(), alice.Principal, one.Authenticator.ID, token)
	if err != nil || !vouched.FullAt.IsZero() || vouched.Vouched != grants.TOTP {
		t.Error(vouched, err)
	}
	_, err = w.Vouch(t.Context(), alice.Principal, one.Authenticator.ID, token)
	want(t, "twice", err, ceremony.ErrManageRequired)
	w.Reopen()
	w.Win(one, only)
	closed("the other", two)
	if err := tryManage(w, t, alice, op); err == nil {
		t.Error("nothing more to vouch for")
	}
	// What is vouched for may vouch in its turn: it is worth what the old one is.
	op = ceremony.VouchOp(two.Authenticator.ID)
	if _, err := w.Vouch(t.Context(), alice.Principal, two.Authenticator.ID, w.Manage(one, op)); err != nil {
		t.Error(err)
	}
	w.Win(two, only)
}

// What a recovery code or a text message vouched for never removes an older one,
// however long it waits and by whatever it adds; a reset and an invite do.
func TestS24WeakOriginNeverRemovesAnOlder(t *testing.T) {
	for _, weak := range []grants.Methods{grants.RecoveryCode, grants.SMS} {
		w := ceremonytest.New(t, lax)
		first := grants.TOTP
		if weak == grants.SMS {
			first = grants.SMS
		}
		alice := add24(w, t, first, w.Stranger("alice"), ceremony.Leave{})
		w.Clock.Advance(48 * time.Hour)
		var token string
		if weak == grants.RecoveryCode {
			token = byRecovery(w, t, alice.Principal, ceremony.AddOp, alice.RecoveryCodes[0])
		} else {
			token = w.Manage(alice, ceremony.AddOp)
		}
		one := w.EnrollAs(alice.Principal, ceremony.Leave{Manage: token})
		op := ceremony.RemoveOp(alice.Authenticator.ID)
		for range 3 {
			w.Clock.Advance(30 * time.Hour)
			want(t, weak.String(), tryManage(w, t, one, op), ceremony.ErrWeakOrigin)
			d, err := w.Describe(t.Context(), alice.Principal, begin(w, t, alice.Principal, op).ID)
			if err != nil || len(d.Young) == 0 || !d.Young[len(d.Young)-1].Until.IsZero() {
				t.Error("the page is told:", d.Young, err)
			}
			one = add(w, t, one) // whose origin goes back to the same
		}
		if err := w.Reset(t.Context(), alice.Subject); err != nil {
			t.Fatal(err)
		}
		code, hash := invite.New()
		if err := w.Invite(t.Context(), alice.Subject, hash, w.Clock.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		again := w.EnrollAs(alice.Principal, ceremony.Leave{Invite: code})
		w.Win(again, ceremonytest.Demand("WITHDRAW_FUNDS", grants.OneTimeUse, 2*time.Minute, grants.TOTP))
	}
}

// An API key is leave for an enrollment, but vouches for nothing once the account
// was reset; an invite does.
func TestS24KeyVouchesForNothingAfterAReset(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Stranger("alice")
	only := ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 10*time.Minute, grants.TOTP)
	enroll := func() (ceremony.Confirmed, *ceremonytest.Person) {
		t.Helper()
		p := server(alice)
		e, err := w.EnrollApp(t.Context(), p, "", ceremony.Leave{})
		if err != nil {
			t.Fatal(err)
		}
		done, err := w.ConfirmFor(t.Context(), p, e.ID, w.NextCode(e.Key), &only, ceremony.CodesNow)
		if err != nil {
			t.Fatal(err)
		}
		return done, &ceremonytest.Person{Principal: alice, Authenticator: done.Authenticator, Key: e.Key, RecoveryCodes: done.RecoveryCodes}
	}
	done, person := enroll()
	if done.Won == nil {
		t.Error("the first enrollment wins no grant")
	}
	w.Win(person, only)
	if err := w.Reset(t.Context(), alice.Subject); err != nil {
		t.Fatal(err)
	}
	done, person = enroll()
	if done.Won != nil {
		t.Error("an enrollment by a key after a reset wins a grant for a rule that names its methods")
	}
	want(t, "a rule", tryPass(w, t, person, w.Begin(alice, only)), ceremony.ErrAuthenticatorTooNew)
	// Its recovery codes are worth no more, nor is what they add.
	codes := ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 10*time.Minute, grants.RecoveryCode)
	_, err := w.Verify(t.Context(), alice, w.Begin(alice, codes).ID, ceremony.Answer{Method: grants.RecoveryCode, Code: person.RecoveryCodes[0]})
	want(t, "its recovery code", err, ceremony.ErrAuthenticatorTooNew)
	more := w.EnrollAs(alice, ceremony.Leave{Manage: byRecovery(w, t, alice, ceremony.AddOp, person.RecoveryCodes[1])})
	want(t, "what that adds", tryPass(w, t, more, w.Begin(alice, only)), ceremony.ErrAuthenticatorTooNew)
	w.Clock.Advance(24 * time.Hour)
	w.Win(person, only)
}

// Recovery codes are worth what renewed them.
func TestS24RenewedCodesInherit(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.EnrollNumber(w.Stranger("alice"), number, ceremony.Leave{})
	only := ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 10*time.Minute, grants.RecoveryCode)
	use := func(code string) error {
		_, err := w.Verify(t.Context(), alice.Principal, w.Begin(alice.Principal, only).ID, ceremony.Answer{Method: grants.RecoveryCode, Code: code})
		return err
	}
	want(t, "the first codes", use(alice.RecoveryCodes[0]), nil)
	w.Clock.Advance(48 * time.Hour)
	codes, err := w.RenewRecoveryCodes(t.Context(), alice.Principal, w.Manage(alice, ceremony.RenewOp))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "renewed by a text message", use(codes[0]), ceremony.ErrAuthenticatorTooNew)
	more := w.EnrollAs(alice.Principal, ceremony.Leave{Manage: byRecovery(w, t, alice.Principal, ceremony.AddOp, codes[1])})
	app := ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 10*time.Minute, grants.TOTP, grants.RecoveryCode)
	want(t, "what that adds", tryPass(w, t, more, w.Begin(alice.Principal, app)), ceremony.ErrAuthenticatorTooNew)
	w.Clock.Advance(24 * time.Hour)
	want(t, "a day later", use(codes[2]), nil)
	w.Win(more, app)
	if codes, err = w.FirstRecoveryCodes(t.Context(), server(alice.Principal), ceremony.Renew); err != nil {
		t.Fatal(err)
	}
	want(t, "renewed by a server", use(codes[0]), ceremony.ErrAuthenticatorTooNew)
}

// Whoever renews the recovery codes, what a stolen one began ends.
func TestS14ServersRenewalEndsWhatARecoveryCodeBegan(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	w.Clock.Advance(48 * time.Hour)
	thief := browser(alice.Principal, 1)
	begun, err := w.EnrollApp(t.Context(), thief, "", ceremony.Leave{Manage: byRecovery(w, t, thief, ceremony.AddOp, alice.RecoveryCodes[0])})
	if err != nil {
		t.Fatal(err)
	}
	won, err := w.Verify(t.Context(), thief, w.Begin(thief, view).ID, ceremony.Answer{Method: grants.RecoveryCode, Code: alice.RecoveryCodes[1]})
	if err != nil {
		t.Fatal(err)
	}
	unused := byRecovery(w, t, thief, ceremony.AddOp, alice.RecoveryCodes[2])
	kept := w.Win(alice, view)
	codes, err := w.FirstRecoveryCodes(t.Context(), server(alice.Principal), ceremony.Renew)
	if err != nil || len(codes) != 10 || slices.Contains(codes, alice.RecoveryCodes[0]) {
		t.Fatal(codes, err)
	}
	want(t, "its grant", check(w, t, thief, view, won.Token.Text()), ceremony.ErrNoGrant)
	_, err = w.Confirm(t.Context(), thief, begun.ID, w.NextCode(begun.Key), "")
	want(t, "its enrollment", err, ceremony.ErrVoided)
	_, err = w.EnrollApp(t.Context(), thief, "", ceremony.Leave{Manage: unused})
	want(t, "its grant for one more", err, ceremony.ErrManageRequired)
	want(t, "the owner's grant", check(w, t, alice.Principal, view, kept.Token.Text()), nil)
}
