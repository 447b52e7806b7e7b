package whoami

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/outbound"
)

func newCache(limit int, now func() time.Time) *cache {
	return &cache{ttl: 5 * time.Second, max: limit, now: now, questions: make(map[key]*question)}
}

func numbered(n int) (k key) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

// TestS19CacheIsBounded: made-up sessions take no more than the room there is.
func TestS19CacheIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	c := newCache(100, func() time.Time { return now })
	for i := range 10_000 {
		if _, err := c.ask(t.Context(), numbered(i), func() (answer, error) { return answer{user: "a"}, nil }); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Millisecond)
		if len(c.questions) > 100 {
			t.Fatalf("%d questions are remembered", len(c.questions))
		}
	}
}

// TestS01PanicWhileAsking: who waits for a question that ends in a panic gets an
// error, and not nothing.
func TestS01PanicWhileAsking(t *testing.T) {
	c := newCache(10, time.Now)
	began, release := make(chan struct{}), make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		defer func() { recover() }()
		c.ask(context.Background(), numbered(1), func() (answer, error) {
			close(began)
			<-release
			panic("broken")
		})
	})
	<-began
	q, mine := c.find(numbered(1))
	if mine {
		t.Fatal("asked twice")
	}
	close(release)
	g.Wait()
	<-q.done
	if q.answer.user != "" || !errors.Is(q.err, errUnanswered) {
		t.Errorf("%+v, %v", q.answer, q.err)
	}
}

// A client that goes away does not take the question along.
func TestWaiterGoesAway(t *testing.T) {
	c := newCache(10, time.Now)
	began, release := make(chan struct{}), make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		a, err := c.ask(context.Background(), numbered(1), func() (answer, error) {
			close(began)
			<-release
			return answer{user: "alice"}, nil
		})
		if a.user != "alice" || err != nil {
			t.Errorf("%+v, %v", a, err)
		}
	})
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := c.ask(ctx, numbered(1), nil); a.user != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", a, err)
	}
	close(release)
	g.Wait()
}

// A clock that is set back makes no answer hold longer.
func TestClockSetBack(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newCache(10, func() time.Time { return now })
	asked := 0
	ask := func() (answer, error) { asked++; return answer{user: "alice"}, nil }
	c.ask(t.Context(), numbered(1), ask)
	now = now.Add(-time.Hour)
	c.ask(t.Context(), numbered(1), ask)
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

// Whatever an application answers, what is given is a name that holds, or an
// error that does not quote it.
func FuzzRead(f *testing.F) {
	p, err := identity.ParsePointer("/user")
	if err != nil {
		f.Fatal(err)
	}
	readers := []Reader{{JSON: &p}, {JSON: &p, Session: &p}, {Header: "X-User"}, {Regexp: regexp.MustCompile(`user="([^"]*)"`)}}
	f.Add(200, "application/json", []byte(`{"user":"alice"}`), "")
	f.Add(200, "text/html", []byte(`<p user="a&amp;b">`), "alice")
	f.Add(302, "", []byte(`{"user":0}`), " ")
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte, field string) {
		a := outbound.Answer{Status: status, Header: http.Header{"Content-Type": {kind}, "X-User": {field}}, Body: body}
		for i, r := range readers {
			who, err := r.read(a)
			if err != nil {
				if who != (answer{}) {
					t.Errorf("reader %d: %+v beside %v", i, who, err)
				}
				continue
			}
			if _, err := identity.Exact(who.user); err != nil || status != 200 || !utf8.ValidString(who.user) {
				t.Errorf("reader %d, status %d: %q", i, status, who.user)
			}
		}
	})
}
