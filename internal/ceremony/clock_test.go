package ceremony_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Whose device has the wrong time is told so, and nothing is accepted for it.
func TestCodeOfAnotherTimeIsToldAndNotAccepted(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Stranger("alice")
	e, err := w.EnrollApp(t.Context(), alice, "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	for off, told := range map[time.Duration]bool{
		-time.Minute: true, time.Minute: true, 7 * time.Minute: true, -10 * time.Minute: true,
		-11 * time.Minute: false, 11 * time.Minute: false, time.Hour: false,
	} {
		code, err := totp.Code(e.Key, w.Clock.Now().Add(off))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Confirm(t.Context(), alice, e.ID, code, "")
		want(t, off.String(), err, ceremony.ErrInvalidCode)
		var clock *ceremony.ClockOff
		if errors.As(err, &clock) != told || told && clock.By != off {
			t.Errorf("%s: %+v", off, clock)
		}
	}
	// Once it is an authenticator nobody is told of a time to come.
	if _, err := w.Confirm(t.Context(), alice, e.ID, w.Code(e.Key), ""); err != nil {
		t.Fatal(err)
	}
	code, _ := totp.Code(e.Key, w.Clock.Now().Add(5*time.Minute))
	_, err = w.Verify(t.Context(), alice, w.Begin(alice, view).ID, ceremony.Answer{Method: e.Method, Code: code})
	var clock *ceremony.ClockOff
	if !errors.Is(err, ceremony.ErrInvalidCode) || errors.As(err, &clock) {
		t.Error(err)
	}
	// Of one that is past the owner is, once the attempt is counted and while the
	// code was not used.
	w.Clock.Advance(20 * time.Minute)
	for off, told := range map[time.Duration]bool{-2 * time.Minute: true, -10 * time.Minute: true, -11 * time.Minute: false, 2 * time.Minute: false, -20 * time.Minute: false} {
		code, _ := totp.Code(e.Key, w.Clock.Now().Add(off))
		_, err := w.Verify(t.Context(), alice, w.Begin(alice, view).ID, ceremony.Answer{Method: e.Method, Code: code})
		var clock *ceremony.ClockOff
		var left *ceremony.WrongCode
		if errors.As(err, &clock) != told || told && clock.By != off || !errors.As(err, &left) {
			t.Errorf("%s at a challenge: %v %+v", off, err, clock)
		}
		w.Clock.Advance(time.Hour)
	}
}
