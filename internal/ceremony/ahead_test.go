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
	alice := w.Enroll("alice")
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

// All who have wrong answers are unlocked, a page at a time, each with a line in
// the audit log.
func TestUnlockAll(t *testing.T) {
	w := ceremonytest.New(t)
	for _, name := range []string{"alice", "bob", "carol"} {
		who := w.Enroll(name)
		for range 5 {
			if name == "bob" {
				break
			}
			_, err := prove(w, t, who.Principal, view, w.WrongCode(who.Key))
			want(t, "guess", err, ceremony.ErrInvalidCode)
		}
	}
	w.Events()
	if n, _, err := w.Service.UnlockAll(t.Context(), "other", nil, 100); n != 0 || err != nil {
		t.Error("another tenant's:", n, err)
	}
	total := 0
	for cursor, more := []byte(nil), true; more; {
		n, next, err := w.Service.UnlockAll(t.Context(), ceremonytest.Tenant, cursor, 1)
		if err != nil || n > 1 {
			t.Fatal(n, err)
		}
		total, cursor, more = total+n, next, len(next) > 0
	}
	told := 0
	for _, e := range w.Events() {
		if e.Kind == "unlock" && (e.Subject.User == "alice" || e.Subject.User == "carol") {
			told++
		}
	}
	if total != 2 || told != 2 {
		t.Errorf("%d unlocked, %d told", total, told)
	}
	if n, _, err := w.Service.UnlockAll(t.Context(), "", nil, 100); n != 0 || err != nil {
		t.Error("again:", n, err)
	}
}
