package ceremony_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// A clock that was two hours ahead, and is right again, makes nobody wait longer
// than wrong answers ever do, and what they are told to wait is enough.
func TestWaitsAfterTheClockWasAhead(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enrol("alice")
	w.Clock.Advance(2 * time.Hour)
	for range 5 {
		_, err := prove(w, t, alice.Principal, view, w.WrongCode(alice.Key))
		want(t, "guess", err, ceremony.ErrInvalidCode)
	}
	w.Clock.Advance(-2 * time.Hour)
	waited := func() time.Duration {
		t.Helper()
		_, err := prove(w, t, alice.Principal, view, w.WrongCode(alice.Key))
		var wait *ceremony.Wait
		if !errors.As(err, &wait) || wait.Disabled {
			t.Fatal("no wait:", err)
		}
		return wait.For
	}
	if got := waited(); got != 30*time.Second {
		t.Fatalf("told to wait %v", got)
	}
	w.Clock.Advance(20 * time.Second)
	if got := waited(); got != 10*time.Second {
		t.Fatalf("20 s later told to wait %v", got)
	}
	w.Clock.Advance(10 * time.Second)
	w.Win(alice, view)
}
