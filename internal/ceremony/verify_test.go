package ceremony_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

func answer(w *ceremonytest.World, t testing.TB, p ceremony.Principal, m grants.Methods, code string) error {
	t.Helper()
	_, err := w.Verify(t.Context(), p, w.Begin(p, view).ID, ceremony.Answer{Method: m, Code: code})
	return err
}

// browser is p in another browser.
func browser(p ceremony.Principal, n int) ceremony.Principal {
	p.Browser = sha256.Sum256(fmt.Appendf(nil, "browser %d", n))
	return p
}

// lax are budgets that do not get in the way.
func lax(s *ceremony.Settings) {
	s.Budgets.Device, s.Budgets.Browser, s.Budgets.Free = 1000, 1000, 1000
}

// Of 64 who send one code at once, from 64 browsers, exactly one passes; nobody
// does afterwards, and a restart changes nothing.
func TestS04CodeIsAcceptedOnce(t *testing.T) {
	for name, budgets := range map[string]func(*ceremony.Settings){"default budgets": func(*ceremony.Settings) {}, "lax budgets": lax} {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t, budgets)
			alice := w.Enroll("alice")
			for method, code := range map[grants.Methods]string{grants.TOTP: w.NextCode(alice.Key), grants.RecoveryCode: alice.RecoveryCodes[3]} {
				var challenges [64]ceremony.Challenge
				for i := range challenges {
					challenges[i] = w.Begin(browser(alice.Principal, i), view)
				}
				var passed atomic.Int64
				atOnce(64, func(i int) {
					_, err := w.Verify(t.Context(), browser(alice.Principal, i), challenges[i].ID, ceremony.Answer{Method: method, Code: code})
					if err == nil {
						passed.Add(1)
					} else if !errors.Is(err, ceremony.ErrInvalidCode) && !errors.Is(err, ceremony.ErrTooManyAttempts) {
						t.Error(err)
					}
				})
				if passed.Load() != 1 {
					t.Errorf("%s: %d of 64 passed", method, passed.Load())
				}
				if err := w.Unlock(t.Context(), alice.Subject); err != nil {
					t.Fatal(err)
				}
				want(t, "again", answer(w, t, alice.Principal, method, code), ceremony.ErrInvalidCode)
				w.Reopen()
				want(t, "after a restart", answer(w, t, alice.Principal, method, code), ceremony.ErrInvalidCode)
				if err := w.Unlock(t.Context(), alice.Subject); err != nil {
					t.Fatal(err)
				}
			}
			account, err := w.Account(t.Context(), alice.Principal)
			if err != nil || account.RecoveryCodesLeft != 9 {
				t.Error("recovery codes left:", account.RecoveryCodesLeft, err)
			}
		})
	}
}

// Two who are counted on different budgets share nothing but the account: of
// these, too, one passes.
func TestS04CodeIsAcceptedOnceAcrossBudgets(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	w.Win(alice, view) // from now on her browser has a budget of its own
	for range 40 {
		code := w.NextCode(alice.Key)
		from := [2]ceremony.Principal{alice.Principal, browserless(alice.Principal)}
		challenges := [2]ceremony.Challenge{w.Begin(from[0], view), w.Begin(from[1], view)}
		var errs [2]error
		atOnce(2, func(i int) {
			_, errs[i] = w.Verify(t.Context(), from[i], challenges[i].ID, ceremony.Answer{Method: grants.TOTP, Code: code})
		})
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatal(errs)
		}
	}
}

// A code that confirmed an enrollment is used up, too, and so are those of
// earlier steps; a challenge passed is gone.
func TestS04OtherWaysToACode(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	want(t, "the confirming code", answer(w, t, alice.Principal, grants.TOTP, w.Code(alice.Key)), ceremony.ErrInvalidCode)
	w.Clock.Advance(totp.Period)
	earlier := w.Code(alice.Key)
	c := w.Begin(alice.Principal, view)
	w.Pass(alice, c)
	want(t, "of an earlier step", answer(w, t, alice.Principal, grants.TOTP, earlier), ceremony.ErrInvalidCode)
	_, err := w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(alice.Key)})
	want(t, "a challenge that was passed", err, ceremony.ErrNotFound)
}

func TestRecoveryCodesAsTyped(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	for i, write := range []func(string) string{
		strings.ToUpper,
		func(s string) string { return strings.ReplaceAll(s, "-", "") },
		func(s string) string { return " " + strings.ReplaceAll(s, "-", " ") + "\t" },
		func(s string) string { return strings.NewReplacer("0", "O", "1", "l").Replace(s) },
	} {
		want(t, fmt.Sprint(i), answer(w, t, alice.Principal, grants.RecoveryCode, write(alice.RecoveryCodes[i])), nil)
	}
	bob := w.Enroll("bob")
	want(t, "another's", answer(w, t, bob.Principal, grants.RecoveryCode, alice.RecoveryCodes[8]), ceremony.ErrInvalidCode)
	want(t, "a part", answer(w, t, alice.Principal, grants.RecoveryCode, alice.RecoveryCodes[8][:10]), ceremony.ErrInvalidCode)
	for _, code := range alice.RecoveryCodes {
		if len(code) != 11 || code[5] != '-' {
			t.Error("form of a recovery code:", len(code))
		}
	}
}

// watching is an authenticator app that tells what was counted when it was
// asked.
type watching struct {
	totpapp.Factor
	asked func(*records.DB)
}

func (f watching) Match(db *records.DB, a *records.Account, try ceremony.Attempt) (ceremony.Proof, error) {
	f.asked(db)
	return f.Factor.Match(db, a, try)
}

func TestS05CountsBeforeItCompares(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	var counts []int
	factor := watching{totpapp.Factor{Params: totp.Params{Skew: 1}}, func(db *records.DB) {
		row, err := db.Attempts.Find(t.Context(), db.Holder(alice.Subject), []byte("browser"))
		if err != nil {
			t.Error(err)
		}
		counts = append(counts, row.Value.Total())
	}}
	s, err := ceremony.New(ceremony.Options{
		DB: func(context.Context) (*records.DB, error) { return w.DB, nil }, Settings: ceremony.DefaultSettings(),
		Factors: []ceremony.Factor{factor}, Now: w.Clock.Now, Audit: func(context.Context, ceremony.Event) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := s.Verify(t.Context(), alice.Principal, w.Begin(alice.Principal, view).ID, ceremony.Answer{Method: grants.TOTP, Code: w.WrongCode(alice.Key)})
		want(t, "wrong", err, ceremony.ErrInvalidCode)
	}
	_, err = s.Verify(t.Context(), alice.Principal, w.Begin(alice.Principal, view).ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(alice.Key)})
	want(t, "right", err, nil)
	if fmt.Sprint(counts) != "[1 2 3 4]" {
		t.Error("counted when the code was looked at:", counts)
	}
}

// After five wrong answers one waits, twice as long each time, and right answers
// wait too; restarts, new challenges, sessions and browsers do not help.
func TestS05WaitsDoubleAndHoldForRightCodes(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	n := 0
	wrong := func() error {
		n++
		p := browser(alice.Principal, n)
		p.Session = sha256.Sum256(fmt.Appendf(nil, "session %d", n))
		return answer(w, t, p, grants.TOTP, w.WrongCode(alice.Key))
	}
	for i := range 5 {
		err := wrong()
		var left *ceremony.WrongCode
		if !errors.As(err, &left) || left.AttemptsLeft != 59-i {
			t.Fatal(i, err, left)
		}
	}
	for i, minutes := range []float64{0.5, 1, 2, 4, 8, 16, 32, 60, 60} {
		w.Reopen()
		var wait *ceremony.Wait
		if err := wrong(); !errors.As(err, &wait) || wait.Disabled || wait.For.Minutes() != minutes {
			t.Fatal(i, err, wait)
		}
		w.Clock.Advance(wait.For - time.Second)
		want(t, "right code while waiting", answer(w, t, alice.Principal, grants.TOTP, w.Code(alice.Key)), ceremony.ErrTooManyAttempts)
		want(t, "recovery code while waiting", answer(w, t, alice.Principal, grants.RecoveryCode, alice.RecoveryCodes[0]), ceremony.ErrTooManyAttempts)
		w.Clock.Advance(time.Second)
		want(t, "after waiting", wrong(), ceremony.ErrInvalidCode)
	}
	w.Clock.Advance(time.Hour)
	want(t, "right code", answer(w, t, alice.Principal, grants.TOTP, w.Code(alice.Key)), nil)
	for range 5 {
		want(t, "afterwards", wrong(), ceremony.ErrInvalidCode)
	}
}

// What is counted is counted however many come at once: no more than the free
// answers are looked at.
func TestS05ConcurrentGuessesAreAllCounted(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	code := w.WrongCode(alice.Key)
	var challenges [64]ceremony.Challenge
	for i := range challenges {
		challenges[i] = w.Begin(browser(alice.Principal, i), view)
	}
	var looked, waits atomic.Int64
	atOnce(64, func(i int) {
		_, err := w.Verify(t.Context(), browser(alice.Principal, i), challenges[i].ID, ceremony.Answer{Method: grants.TOTP, Code: code})
		switch {
		case errors.Is(err, ceremony.ErrInvalidCode):
			looked.Add(1)
		case errors.Is(err, ceremony.ErrTooManyAttempts):
			waits.Add(1)
		default:
			t.Error(err)
		}
	})
	if looked.Load() != 5 || waits.Load() != 59 {
		t.Errorf("%d guesses were looked at, %d waited", looked.Load(), waits.Load())
	}
}

// exhaust uses up the budget of p's browser.
func exhaust(w *ceremonytest.World, t *testing.T, p ceremony.Principal, key totp.Key) (guesses int) {
	t.Helper()
	for range 100 {
		err := answer(w, t, p, grants.TOTP, w.WrongCode(key))
		var wait *ceremony.Wait
		switch {
		case errors.As(err, &wait) && wait.Disabled:
			return guesses
		case errors.As(err, &wait):
			w.Clock.Advance(wait.For)
		case errors.Is(err, ceremony.ErrInvalidCode):
			guesses++
			w.Clock.Advance(time.Hour)
		default:
			t.Fatal(err)
		}
	}
	t.Fatal("the budget has no end")
	return 0
}

// A guesser in other browsers uses up their budget and not the one of the
// browser in which the person once succeeded, nor the other way round. Used up
// it stays, until an operator unlocks.
func TestS05BudgetsAreApartAndEnd(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	w.Win(alice, view) // from now on this browser is known
	guesser := browser(alice.Principal, 1)
	if n := exhaust(w, t, guesser, alice.Key); n != 60 {
		t.Errorf("%d guesses from other browsers", n)
	}
	w.Reopen()
	w.Clock.Advance(1000 * time.Hour)
	want(t, "another browser, right code", answer(w, t, browser(alice.Principal, 2), grants.TOTP, w.NextCode(alice.Key)), ceremony.ErrTooManyAttempts)
	want(t, "no browser, right code", answer(w, t, browserless(alice.Principal), grants.TOTP, w.NextCode(alice.Key)), ceremony.ErrTooManyAttempts)
	want(t, "the known browser", answer(w, t, alice.Principal, grants.TOTP, w.NextCode(alice.Key)), nil)
	user, err := w.User(t.Context(), alice.Subject)
	if err != nil || fmt.Sprint(user.Locked) != "[browser]" {
		t.Error(user.Locked, err)
	}
	if n := exhaust(w, t, alice.Principal, alice.Key); n != 20 {
		t.Errorf("%d guesses from the known browser", n)
	}
	want(t, "all used up", answer(w, t, alice.Principal, grants.TOTP, w.NextCode(alice.Key)), ceremony.ErrTooManyAttempts)
	if err := w.Unlock(t.Context(), alice.Subject); err != nil {
		t.Fatal(err)
	}
	want(t, "unlocked", answer(w, t, guesser, grants.TOTP, w.NextCode(alice.Key)), nil)
}

func browserless(p ceremony.Principal) ceremony.Principal {
	p.Browser = [32]byte{}
	return p
}

// Who can pass by one means of proof gains no guesses at another.
func TestS05OnlyTheSameMethodForgives(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	left := func() int {
		t.Helper()
		d, err := w.Describe(t.Context(), alice.Principal, w.Begin(alice.Principal, view).ID)
		if err != nil {
			t.Fatal(err)
		}
		return d.AttemptsLeft
	}
	w.Win(alice, view)
	for range 3 {
		want(t, "wrong app code", answer(w, t, alice.Principal, grants.TOTP, w.WrongCode(alice.Key)), ceremony.ErrInvalidCode)
	}
	want(t, "recovery code", answer(w, t, alice.Principal, grants.RecoveryCode, alice.RecoveryCodes[0]), nil)
	if left() != 17 {
		t.Errorf("%d left after a success by another method", left())
	}
	want(t, "app code", answer(w, t, alice.Principal, grants.TOTP, w.NextCode(alice.Key)), nil)
	if left() != 20 {
		t.Errorf("%d left after a success by the same method", left())
	}
	// A success leaves no wait behind that it began itself by being counted; one
	// that wrong answers of another method began holds for it.
	wrong := func() {
		t.Helper()
		want(t, "wrong recovery code", answer(w, t, alice.Principal, grants.RecoveryCode, "00000-00000"), ceremony.ErrInvalidCode)
	}
	for range 5 {
		wrong()
	}
	want(t, "app code while waiting", answer(w, t, alice.Principal, grants.TOTP, w.Code(alice.Key)), ceremony.ErrTooManyAttempts)
	for range 3 {
		want(t, "app code after waiting", answer(w, t, alice.Principal, grants.TOTP, w.NextCode(alice.Key)), nil)
	}
	wrong() // the sixth: a minute
	want(t, "app code after 30 s of 60", answer(w, t, alice.Principal, grants.TOTP, w.NextCode(alice.Key)), ceremony.ErrTooManyAttempts)
	want(t, "app code after 60 s", answer(w, t, alice.Principal, grants.TOTP, w.NextCode(alice.Key)), nil)
}

func TestS05ConfirmingAPendingSecretForgivesNothing(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	w.Win(alice, view)
	token := w.Manage(alice, ceremony.AddOp)
	for range 4 {
		want(t, "wrong", answer(w, t, alice.Principal, grants.TOTP, w.WrongCode(alice.Key)), ceremony.ErrInvalidCode)
	}
	w.EnrollAs(alice.Principal, ceremony.Leave{Manage: token})
	d, err := w.Describe(t.Context(), alice.Principal, w.Begin(alice.Principal, view).ID)
	if err != nil || d.AttemptsLeft != 16 {
		t.Error("left:", d.AttemptsLeft, err)
	}
}

// A subject that removed its last authenticator and enrolls again passes no
// challenge by that where no answer is looked at.
func TestS05EnrollingDoesNotGetAroundTheWait(t *testing.T) {
	for name, test := range map[string]struct {
		other bool
		won   bool
	}{"in the known browser": {false, true}, "where the budget is used up": {true, false}} {
		t.Run(name, func(t *testing.T) {
			w := ceremonytest.New(t)
			alice := w.Enroll("alice")
			w.Win(alice, view)
			p := alice.Principal
			if test.other {
				p = browser(p, 1)
			}
			exhaust(w, t, browser(alice.Principal, 1), alice.Key)
			if err := w.Remove(t.Context(), alice.Principal, alice.Authenticator.ID, w.Manage(alice, ceremony.RemoveOp(alice.Authenticator.ID))); err != nil {
				t.Fatal(err)
			}
			code, hash := invite.New()
			if err := w.Invite(t.Context(), alice.Subject, hash, w.Clock.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			begun, err := w.EnrollApp(t.Context(), p, "", ceremony.Leave{Invite: code})
			if err != nil {
				t.Fatal(err)
			}
			c := w.Begin(p, view)
			done, err := w.Confirm(t.Context(), p, begun.ID, w.Code(begun.Key), c.ID)
			if err != nil || (done.Won != nil) != test.won {
				t.Fatal(done.Won, err)
			}
			if test.won {
				want(t, "the grant won", check(w, t, p, view, done.Won.Token.Text()), nil)
			}
		})
	}
}

// A challenge or a pending enrollment is found in the browser in which it was
// begun only, a challenge in its session only, and both for their time only.
func TestChallengesStayWhereTheyWereBegun(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	c := w.Begin(alice.Principal, view)
	pending, err := w.EnrollApp(t.Context(), alice.Principal, "", ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
	if err != nil {
		t.Fatal(err)
	}
	session := alice.Principal
	session.Session[0]++
	for name, p := range map[string]ceremony.Principal{"another browser": browser(alice.Principal, 1), "no browser": browserless(alice.Principal), "another session": session} {
		_, err := w.Verify(t.Context(), p, c.ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(alice.Key)})
		want(t, name, err, ceremony.ErrNotFound)
		_, err = w.Describe(t.Context(), p, c.ID)
		want(t, name, err, ceremony.ErrNotFound)
		want(t, name, w.Cancel(t.Context(), p, c.ID), nil)
		if p.Browser != alice.Browser {
			_, err = w.Pending(t.Context(), p, pending.ID)
			want(t, name, err, ceremony.ErrNotFound)
			_, err = w.Confirm(t.Context(), p, pending.ID, w.Code(pending.Key), "")
			want(t, name, err, ceremony.ErrNotFound)
		}
	}
	if _, err := w.Describe(t.Context(), alice.Principal, c.ID); err != nil {
		t.Error("cancelled from elsewhere:", err)
	}
	w.Clock.Advance(5 * time.Minute)
	_, err = w.Verify(t.Context(), alice.Principal, c.ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(alice.Key)})
	want(t, "late", err, ceremony.ErrExpired)
	w.Clock.Advance(10 * time.Minute)
	_, err = w.Confirm(t.Context(), alice.Principal, pending.ID, w.Code(pending.Key), "")
	want(t, "late enrollment", err, ceremony.ErrExpired)
}
