package ceremony_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
)

const number = "+4915123456789"

// withPhone enrolls a subject whose only authenticator is a phone.
func withPhone(w *ceremonytest.World, t *testing.T, name, number string) ceremony.Principal {
	t.Helper()
	p := w.Stranger(name)
	e, err := w.EnrollPhone(t.Context(), p, "", number, "https://app.test", ceremony.Leave{})
	if err != nil {
		t.Fatal("enrolling a phone:", err)
	}
	done, err := w.Confirm(t.Context(), p, e.ID, lastCode(w, t, number), "")
	if err != nil || len(done.RecoveryCodes) != 10 || done.Authenticator.Type != "phone" {
		t.Fatal("confirming a phone:", done.Authenticator, err)
	}
	w.Clock.Advance(time.Minute)
	return p
}

func lastCode(w *ceremonytest.World, t *testing.T, number string) string {
	t.Helper()
	texts := w.Texts(number)
	if len(texts) == 0 {
		t.Fatal("no message came")
	}
	return texts[len(texts)-1].Code()
}

func otherThan(code string) string {
	if code == "271828" {
		return "314159"
	}
	return "271828"
}

func TestS04SentCodePassesItsChallengeOnce(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := withPhone(w, t, "alice", number)
	c, other := w.Begin(alice, view), w.Begin(alice, withdraw)
	sent, err := w.SendCode(t.Context(), alice, c.ID, "")
	if err != nil || sent.Suffix != "6789" || sent.ResendAt.Sub(w.Clock.Now()) != 30*time.Second || sent.Expires.Sub(w.Clock.Now()) != 5*time.Minute {
		t.Fatalf("%+v %v", sent, err)
	}
	text := w.Texts(number)[1].Text
	if code := lastCode(w, t, number); len(code) != 6 || !strings.HasSuffix(text, "\n@app.test #"+code) {
		t.Error(text)
	}
	code := lastCode(w, t, number)
	try := func(p ceremony.Principal, id, code string) error {
		_, err := w.Verify(t.Context(), p, id, ceremony.Answer{Method: grants.SMS, Code: code})
		return err
	}
	want(t, "another challenge", try(alice, other.ID, code), ceremony.ErrInvalidCode)
	want(t, "another code", try(alice, c.ID, otherThan(code)), ceremony.ErrInvalidCode)
	var passed atomic.Int64
	atOnce(16, func(int) {
		if err := try(alice, c.ID, code[:3]+" "+code[3:]); err == nil {
			passed.Add(1)
		}
	})
	if passed.Load() != 1 {
		t.Error(passed.Load(), "passed with one code")
	}
	again := w.Begin(alice, view)
	want(t, "used code, the next challenge", try(alice, again.ID, code), ceremony.ErrInvalidCode)
}

func TestS04SentCodeEndsAndIsReplaced(t *testing.T) {
	w := ceremonytest.New(t)
	alice := withPhone(w, t, "alice", number)
	c := w.Begin(alice, view)
	send := func() string {
		t.Helper()
		if _, err := w.SendCode(t.Context(), alice, c.ID, ""); err != nil {
			t.Fatal(err)
		}
		return lastCode(w, t, number)
	}
	first := send()
	w.Clock.Advance(31 * time.Second)
	second := send()
	if first != second {
		want(t, "the first", answerTo(w, t, alice, c.ID, first), ceremony.ErrInvalidCode)
	}
	w.Clock.Advance(5 * time.Minute)
	c = w.Begin(alice, view)
	want(t, "of a challenge that is over", answerTo(w, t, alice, c.ID, second), ceremony.ErrInvalidCode)
}

// With several phones, too, one code answers a challenge at a time: two would double
// the chance of a guess.
func TestS05OneCodeAnswersAChallengeAtATime(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	numbers := []string{number, "+4915123456780"}
	var phones []string
	for _, n := range numbers {
		w.Clock.Advance(10 * time.Minute)
		e, err := w.EnrollPhone(t.Context(), alice.Principal, "", n, "https://app.test", ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
		if err != nil {
			t.Fatal(err)
		}
		done, err := w.Confirm(t.Context(), alice.Principal, e.ID, lastCode(w, t, n), "")
		if err != nil {
			t.Fatal(err)
		}
		phones = append(phones, done.Authenticator.ID)
	}
	w.Clock.Advance(10 * time.Minute)
	c := w.Begin(alice.Principal, view)
	var codes []string
	for i, id := range phones {
		w.Clock.Advance(31 * time.Second)
		if _, err := w.SendCode(t.Context(), alice.Principal, c.ID, id); err != nil {
			t.Fatal(err)
		}
		codes = append(codes, lastCode(w, t, numbers[i]))
	}
	if codes[0] != codes[1] {
		want(t, "the code of the first phone", answerTo(w, t, alice.Principal, c.ID, codes[0]), ceremony.ErrInvalidCode)
	}
	want(t, "the code of the second", answerTo(w, t, alice.Principal, c.ID, codes[1]), nil)
}

func answerTo(w *ceremonytest.World, t *testing.T, p ceremony.Principal, challenge, code string) error {
	t.Helper()
	_, err := w.Verify(t.Context(), p, challenge, ceremony.Answer{Method: grants.SMS, Code: code})
	return err
}

// Whoever knows the password must not make the gateway send without end, to one
// subject, to one number, or in all.
func TestS19SendsAreCapped(t *testing.T) {
	w := ceremonytest.New(t)
	alice := withPhone(w, t, "alice", number) // one sent, a minute ago
	c := w.Begin(alice, view)
	send := func() (wait time.Duration) {
		t.Helper()
		_, err := w.SendCode(t.Context(), alice, c.ID, "")
		var s *quota.Wait
		if errors.As(err, &s) {
			return s.For
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0
	}
	if send() != 0 || send() != 30*time.Second {
		t.Error("the pause between two")
	}
	w.Clock.Advance(30 * time.Second)
	if send() != 0 {
		t.Error("the third")
	}
	w.Clock.Advance(time.Minute)
	if got := send(); got != 7*time.Minute+30*time.Second {
		t.Error("the fourth within ten minutes waits", got)
	}
	if n := len(w.Texts(number)); n != 3 {
		t.Error(n, "messages")
	}

	// The same number, claimed by ever new subjects: half of what goes there in a
	// day, and the owner has the other half.
	for i := range 20 {
		_, err := w.EnrollPhone(t.Context(), w.Stranger(fmt.Sprint("eve", i)), "", number, "", ceremony.Leave{})
		if refused := errors.Is(err, quota.ErrTooMany); refused != (i >= 2) {
			t.Fatal(i, err)
		}
	}
	for i := range 6 {
		w.Clock.Advance(10 * time.Minute)
		c = w.Begin(alice, view)
		if refused := send() != 0; refused != (i >= 5) {
			t.Fatal("the owner's", i, refused)
		}
	}
	w.Clock.Advance(time.Hour)
	// Ever new numbers.
	sent := 0
	for i := range 60 {
		_, err := w.EnrollPhone(t.Context(), w.Stranger(fmt.Sprint("mallory", i)), "", fmt.Sprintf("+49151234560%02d", i), "", ceremony.Leave{})
		if err == nil {
			sent++
		} else if !errors.Is(err, quota.ErrTooMany) {
			t.Fatal(err)
		}
	}
	if sent != 40 {
		t.Error(sent, "of 60 numbers got a message; 40 may in an hour")
	}
	w.Clock.Advance(time.Hour)
	if _, err := w.EnrollPhone(t.Context(), w.Stranger("bob"), "", "+49 1512 3456999", "", ceremony.Leave{}); err != nil {
		t.Error("an hour later:", err)
	}
}

// Of many at once no more go out than may.
func TestS19ConcurrentSendsAreCapped(t *testing.T) {
	w := ceremonytest.New(t)
	alice := withPhone(w, t, "alice", number)
	c := w.Begin(alice, view)
	atOnce(32, func(int) {
		if _, err := w.SendCode(t.Context(), alice, c.ID, ""); err != nil && !errors.Is(err, quota.ErrTooMany) {
			t.Error(err)
		}
	})
	if n := len(w.Texts(number)); n != 2 {
		t.Error(n, "messages, one of them at enrollment")
	}
}

func TestFailureToSendBurnsNothing(t *testing.T) {
	w := ceremonytest.New(t)
	w.Clock.Tick()
	alice := withPhone(w, t, "alice", number)
	c := w.Begin(alice, view)
	w.Network(fmt.Errorf("no route to %s", number))
	for range 5 {
		_, err := w.SendCode(t.Context(), alice, c.ID, "")
		want(t, "network down", err, ceremony.ErrNotSent)
		if strings.Contains(err.Error(), number) {
			t.Error("the error names the number")
		}
	}
	d, err := w.Describe(t.Context(), alice, c.ID)
	if err != nil || d.AttemptsLeft != 20 || d.Wait != nil {
		t.Error(d.AttemptsLeft, d.Wait != nil, err)
	}
	w.Network(nil)
	if _, err := w.SendCode(t.Context(), alice, c.ID, ""); err != nil {
		t.Error("network up:", err)
	}
	want(t, "the code", answerTo(w, t, alice, c.ID, lastCode(w, t, number)), nil)

	w.Network(errors.New("down"))
	e, err := w.EnrollPhone(t.Context(), w.Stranger("bob"), "", "+4915123456000", "", ceremony.Leave{})
	if !errors.Is(err, ceremony.ErrNotSent) || e.ID == "" || e.Sent.Suffix != "6000" {
		t.Fatal(e, err)
	}
	w.Network(nil)
	if _, err := w.SendFirstCode(t.Context(), w.Stranger("bob"), e.ID); err != nil {
		t.Fatal("sending again:", err)
	}
	_, err = w.Confirm(t.Context(), w.Stranger("bob"), e.ID, lastCode(w, t, "+4915123456000"), "")
	want(t, "confirming", err, nil)
}

// Whoever can make sending fail, by numbers that do not exist or by hanging up, has
// no more of what is for all than others.
func TestS19FailingSendsAreCapped(t *testing.T) {
	w := ceremonytest.New(t)
	w.Clock.Tick()
	mallory := w.Stranger("mallory")
	w.Network(errors.New("no such number"))
	charged := 0
	for i := range 60 {
		_, err := w.EnrollPhone(t.Context(), mallory, "", fmt.Sprintf("+49151234560%02d", i), "", ceremony.Leave{})
		if errors.Is(err, ceremony.ErrNotSent) {
			charged++
		} else if !errors.Is(err, quota.ErrTooMany) {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Second)
	}
	if charged > 13 {
		t.Error(charged, "codes of one person were taken off what is for all")
	}
	w.Network(nil)
	if _, err := w.EnrollPhone(t.Context(), w.Stranger("bob"), "", number, "", ceremony.Leave{}); err != nil {
		t.Error("somebody else:", err)
	}
	w.Clock.Advance(10 * time.Minute)
	if _, err := w.EnrollPhone(t.Context(), mallory, "", number, "", ceremony.Leave{}); err != nil {
		t.Error("ten minutes later:", err)
	}
}

// Who claims another's number may not guess the code that went there.
func TestS05CodeThatConfirmsAPhoneIsNotGuessed(t *testing.T) {
	w := ceremonytest.New(t)
	mallory := w.Stranger("mallory")
	e, err := w.EnrollPhone(t.Context(), mallory, "", number, "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	right := lastCode(w, t, number)
	var looked atomic.Int64
	atOnce(32, func(i int) {
		_, err := w.Confirm(t.Context(), mallory, e.ID, fmt.Sprintf("%06d", 1000+i), "")
		if errors.Is(err, ceremony.ErrInvalidCode) {
			looked.Add(1)
		} else if !errors.Is(err, ceremony.ErrExpired) {
			t.Error(err)
		}
	})
	if looked.Load() != 5 {
		t.Error(looked.Load(), "codes were compared")
	}
	_, err = w.Confirm(t.Context(), mallory, e.ID, right, "")
	want(t, "the right one, too late", err, ceremony.ErrExpired)
	w.Clock.Advance(time.Minute)
	if _, err := w.SendFirstCode(t.Context(), mallory, e.ID); err != nil {
		t.Fatal(err)
	}
	_, err = w.Confirm(t.Context(), mallory, e.ID, lastCode(w, t, number), "")
	want(t, "a new code for the same enrollment", err, ceremony.ErrExpired)
}

func TestSendingNeedsAPhoneOfOnesOwn(t *testing.T) {
	w := ceremonytest.New(t)
	alice, bob := withPhone(w, t, "alice", number), w.Enroll("bob")
	ca, cb := w.Begin(alice, view), w.Begin(bob.Principal, view)
	account, err := w.Account(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	send := func(p ceremony.Principal, challenge, phone string) error {
		_, err := w.SendCode(t.Context(), p, challenge, phone)
		return err
	}
	want(t, "no phone", send(bob.Principal, cb.ID, ""), ceremony.ErrNotFound)
	want(t, "another's phone", send(bob.Principal, cb.ID, account.Authenticators[0].ID), ceremony.ErrNotFound)
	want(t, "another's challenge", send(bob.Principal, ca.ID, ""), ceremony.ErrNotFound)
	want(t, "another browser", send(browser(alice, 1), ca.ID, ""), ceremony.ErrNotFound)
	only := w.Begin(alice, ceremonytest.Demand("ONLY_TOTP", grants.OneTimeUse, time.Minute, grants.TOTP))
	want(t, "a rule that takes no messages", send(alice, only.ID, ""), ceremony.ErrMethodNotAccepted)
	if n := len(w.Texts(number)); n != 1 {
		t.Error(n, "messages")
	}
}

// While no answer is looked at no code is sent either: it would be of no use.
func TestS05NoCodeIsSentWhileWaiting(t *testing.T) {
	w := ceremonytest.New(t)
	alice := withPhone(w, t, "alice", number)
	c := w.Begin(alice, view)
	for range 5 {
		want(t, "wrong", answerTo(w, t, alice, c.ID, "000000"), ceremony.ErrInvalidCode)
	}
	_, err := w.SendCode(t.Context(), alice, c.ID, "")
	want(t, "waiting", err, ceremony.ErrTooManyAttempts)
}
