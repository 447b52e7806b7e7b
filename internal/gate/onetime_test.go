package gate_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// Of 64 requests that come at once with one one-time grant exactly one passes,
// also while the gate is replaced as a reload does; and none passes afterwards,
// nor after a restart.
func TestS03OneTimeUnderConcurrency(t *testing.T) {
	s := newSite(t)
	for round := range 6 {
		cookie := grantCookie(transfer, s.token("alice", transfer))
		var wg sync.WaitGroup
		var passed, refused atomic.Int32
		start := make(chan struct{})
		for range 64 {
			wg.Go(func() {
				<-start
				switch status := s.do("POST", "/transfer", "a=1", "Cookie", cookie).StatusCode; status {
				case 200:
					passed.Add(1)
				case 401:
					refused.Add(1)
				default:
					t.Errorf("round %d: status %d", round, status)
				}
			})
		}
		close(start)
		for range 20 {
			s.back.Store(s.newGate())
		}
		wg.Wait()
		if n := len(s.takeReached()); passed.Load() != 1 || n != 1 || refused.Load() != 63 {
			t.Fatalf("round %d: %d passed, %d reached the application, %d refused", round, passed.Load(), n, refused.Load())
		}
		s.expect(s.do("POST", "/transfer", "", "Cookie", cookie), 401, false)
	}
	cookie := grantCookie(transfer, s.token("alice", transfer))
	s.expect(s.do("POST", "/transfer", "", "Cookie", cookie), 200, true)
	s.Reopen()
	s.expect(s.do("POST", "/transfer", "", "Cookie", cookie), 401, false)
}

// The answer to the one request is not cached, whatever the application says.
func TestOneTimeIsNotCached(t *testing.T) {
	s := newSite(t)
	for name, app := range map[string]func(http.ResponseWriter, *http.Request) error{
		"write": s.application,
		"flush": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Add("Cache-Control", "public")
			return http.NewResponseController(w).Flush()
		},
		"copy": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Add("Cache-Control", "public")
			_, err := io.Copy(w, strings.NewReader("x"))
			return err
		},
		"early hints": func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Set("Cache-Control", "public")
			w.WriteHeader(http.StatusCreated)
			return nil
		},
		"nothing": func(http.ResponseWriter, *http.Request) error { return nil },
	} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/transfer", nil)
		r.Header.Set("Cookie", grantCookie(transfer, s.token("alice", transfer)))
		r.Header.Set("X-User", "alice")
		if err := s.Gate.ServeHTTP(rec, r, app); err != nil {
			t.Fatal(err)
		}
		if cc := rec.Result().Header["Cache-Control"]; rec.Code >= 300 || len(cc) != 1 || cc[0] != "no-store" {
			t.Errorf("%s: %d, Cache-Control %q", name, rec.Code, cc)
		}
	}
	// A live grant's answers may be kept, but by the person's own browser alone.
	if a := s.do("GET", "/admin", "", "Cookie", grantCookie(admin, s.token("alice", admin))); a.Header.Get("Cache-Control") != "private, max-age=60" {
		t.Error(a.Header)
	}
}

// dialError is what a proxy's transport gives where it could not dial, as Caddy's
// does.
type dialError struct{ error }

func undialed(err error) bool { return errors.As(err, new(dialError)) }

// proxyTo is an application on a TCP port of its own. before is asked before each
// try, as a balancer that retries does.
func proxyTo(addrs ...string) func(http.ResponseWriter, *http.Request) error {
	dialer := net.Dialer{}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, dialError{err}
		}
		return c, nil
	}}
	return func(w http.ResponseWriter, r *http.Request) (failed error) {
		for _, addr := range addrs {
			failed = nil
			p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
			p.Transport, p.ErrorLog = transport, quiet
			p.ErrorHandler = func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err }
			if p.ServeHTTP(w, r); failed == nil {
				return nil
			}
		}
		return failed
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + freeport.Find(t)
}

// rude takes a request and hangs up.
func rude(t *testing.T) (addr string, taken *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	taken = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				taken.Add(1)
			}
			c.Close()
		}
	}()
	return l.Addr().String(), taken
}

// A grant comes back where the application was certainly not reached, and only
// there.
func TestS03GivenBackOnlyIfUnreached(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Undialed = undialed })
	down := closedPort(t)
	hangs, taken := rude(t)
	for _, tt := range []struct {
		name string
		next func(http.ResponseWriter, *http.Request) error
		back bool
	}{
		{"down", proxyTo(down), true},
		{"down, twice", proxyTo(down, down), true},
		{"took it and hung up", proxyTo(hangs), false},
		{"took it, then a retry elsewhere failed", proxyTo(hangs, down), false},
		{"another error", func(http.ResponseWriter, *http.Request) error { return errors.New("bad gateway") }, false},
		{"dialled past the transport", func(_ http.ResponseWriter, r *http.Request) error {
			c, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", hangs)
			if err != nil {
				return err
			}
			c.Close()
			return dialError{errors.New("the next one was down")}
		}, false},
		{"no error", func(http.ResponseWriter, *http.Request) error { return nil }, false},
	} {
		cookie := grantCookie(transfer, s.token("alice", transfer))
		request := func() (*httptest.ResponseRecorder, *http.Request) {
			r := httptest.NewRequest("POST", "/transfer", strings.NewReader("a=1"))
			r.Header.Set("Cookie", cookie)
			r.Header.Set("X-User", "alice")
			return httptest.NewRecorder(), r
		}
		rec, r := request()
		err := s.Gate.ServeHTTP(rec, r, tt.next)
		if tt.back && (err != nil || rec.Code != 502) {
			// An error handler might pass the request to another application.
			t.Errorf("%s: %d, and the error went on with a grant that is good again: %v", tt.name, rec.Code, err)
		}
		rec, r = request()
		if err := s.Gate.ServeHTTP(rec, r, s.application); err != nil {
			t.Fatal(err)
		}
		if again := rec.Code == 200; again != tt.back {
			t.Errorf("%s: the grant is good again: %t, want %t", tt.name, again, tt.back)
		}
	}
	if taken.Load() < 2 {
		t.Error("the upstream took", taken.Load())
	}
	if s.counted["TRANSFER given_back"] != 2 {
		t.Error(s.counted)
	}
}

// A client that goes away must not cost the grant that nobody used.
func TestGivenBackToWhoLeft(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Undialed = undialed })
	cookie := grantCookie(transfer, s.token("alice", transfer))
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequest("POST", "/transfer", nil).WithContext(ctx)
	r.Header.Set("Cookie", cookie)
	r.Header.Set("X-User", "alice")
	_ = s.Gate.ServeHTTP(httptest.NewRecorder(), r, func(http.ResponseWriter, *http.Request) error {
		leave()
		return dialError{errors.New("down")}
	})
	s.expect(s.do("POST", "/transfer", "", "Cookie", cookie), 200, true)
}

// What nobody asked for yet spends nothing and begins nothing.
func TestSpeculativeAndEarlyRequests(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules[1] = gate.Rule{Demand: transfer, Match: below("/transfer")} })
	cookie := grantCookie(transfer, s.token("alice", transfer))
	begun := len(s.Events())
	for _, tt := range []struct {
		status  int
		headers []string
	}{
		{503, []string{"Sec-Purpose", "prefetch"}},
		{503, []string{"Sec-Purpose", "prefetch;prerender"}},
		{503, []string{"Purpose", "prefetch"}},
		{425, []string{"Early-Data", "1"}},
	} {
		s.expect(s.do("GET", "/transfer", "", append(tt.headers, "Cookie", cookie)...), tt.status, false)
		s.expect(s.do("GET", "/transfer", "", tt.headers...), tt.status, false)
		s.expect(s.do("GET", "/transfer", "", with(tt.headers...)...), tt.status, false)
	}
	if n := len(s.Events()); n != begun {
		t.Errorf("%d events: %v", n-begun, s.Events()[begun:])
	}
	s.expect(s.do("GET", "/transfer", "", "Cookie", cookie), 200, true)
	// A live grant may be used ahead of time.
	s.expect(s.do("GET", "/admin", "", "Sec-Purpose", "prefetch", "Cookie", grantCookie(admin, s.token("alice", admin))), 200, true)
}

// http.ErrAbortHandler, by which handlers hang up, goes its way.
func TestAbortPasses(t *testing.T) {
	s := newSite(t)
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Error(got)
		}
	}()
	_ = s.Gate.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) error {
		panic(http.ErrAbortHandler)
	})
}
