package outbound_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/identity/outbound"
)

func ask(t *testing.T, url string, limits outbound.Limits) (outbound.Answer, error) {
	t.Helper()
	c := outbound.New(limits)
	defer c.Close()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Ask(r)
}

var wide = outbound.Limits{Timeout: 5 * time.Second, Body: 1000, Conns: 1}

// TestS19Body: an answer of the limit's size is read, and one byte more is too
// much, whether it was announced or not.
func TestS19Body(t *testing.T) {
	for _, announced := range []bool{true, false} {
		for size, want := range map[int]error{0: nil, 1000: nil, 1001: outbound.ErrTooLarge, 5000: outbound.ErrTooLarge} {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if !announced {
					http.NewResponseController(w).Flush()
				}
				w.Write([]byte(strings.Repeat("x", size)))
			}))
			got, err := ask(t, s.URL, wide)
			if !errors.Is(err, want) || want == nil && len(got.Body) != size {
				t.Errorf("%d bytes, announced %v: %d, %v", size, announced, len(got.Body), err)
			}
			s.Close()
		}
	}
}

// A redirect is an answer like another, and is not followed to where it leads.
func TestNoRedirects(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Error("followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer s.Close()
	if got, err := ask(t, s.URL+"/", wide); err != nil || got.Status != http.StatusFound {
		t.Errorf("%d, %v", got.Status, err)
	}
}

// A question ends in time, wherever the other side stops.
func TestS19Timeout(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"before the answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"within the body": func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("x"))
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		s := httptest.NewServer(handler)
		began := time.Now()
		_, err := ask(t, s.URL, outbound.Limits{Timeout: 100 * time.Millisecond, Body: 1000, Conns: 1})
		if took := time.Since(began); !errors.Is(err, outbound.ErrTimeout) || took > 2*time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
		s.Close()
	}
}

// A certificate that nobody vouches for is not believed.
func TestUntrustedCertificate(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	defer s.Close()
	if _, err := ask(t, s.URL, wide); err == nil {
		t.Error("no error")
	}
}

// Who gives up gets no answer.
func TestCanceled(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := outbound.New(wide).Ask(r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestTell gives the status, whatever becomes of the body, and reads no more of it
// than it may.
func TestTell(t *testing.T) {
	tell := func(limits outbound.Limits, answer http.HandlerFunc) (int, http.Header, error) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // else the server does not see that the client has left
			answer(w, r)
		}))
		defer s.Close()
		c := outbound.New(limits)
		defer c.Close()
		r, err := http.NewRequest("POST", s.URL, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		return c.Tell(r)
	}
	for name, body := range map[string]http.HandlerFunc{
		"short": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) },
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write([]byte(strings.Repeat("x", 1000)))
			}
		},
		"encoded": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			w.Write([]byte("x"))
		},
		"late": func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "900")
			w.Write([]byte("x"))
		},
	} {
		limits := wide
		limits.Timeout = 500 * time.Millisecond
		status, header, err := tell(limits, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			body(w, r)
		})
		if status != http.StatusOK || header.Get("Retry-After") != "7" || err != nil {
			t.Errorf("%s: %d, %v", name, status, err)
		}
	}
	limits := wide
	limits.Timeout = 50 * time.Millisecond
	if _, _, err := tell(limits, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }); !errors.Is(err, outbound.ErrTimeout) {
		t.Errorf("no answer: %v", err)
	}
}
