package gate_test

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// heldForm is a person on the way from a form to the application.
type heldForm struct {
	s       *site
	browser string // cookie
	id      string
	resume  string // the address to come back to
	grant   string // cookie; empty until proved
}

var sentForm = []string{"Content-Type", "text/x-anything; charset=x", "X-Many", "1", "Origin", "https://app.test", "Host", "app.test"}

const formBody = "a=1&b=\x00\xff&a=2\r\n"

// send sends the form and proves, with the demand of the rule it meets.
func send(s *site, target string, d grants.Demand) *heldForm {
	s.t.Helper()
	f := &heldForm{s: s, browser: browserCookie()}
	a := s.do("POST", target, formBody, with(append([]string{"Cookie", f.browser}, sentForm...)...)...)
	s.expect(a, 303, false)
	described := s.challengeOf(a, "alice", f.browser)
	if !described.Held {
		s.t.Fatal("the form is not held")
	}
	f.id, f.resume = described.ID, described.ReturnTo
	if want := resumeOf(target, f.id); f.resume != want {
		s.t.Fatalf("comes back to %q, want %q", f.resume, want)
	}
	f.grant = grantCookie(d, s.token("alice", d))
	return f
}

func resumeOf(target, id string) string {
	sep := "?"
	if strings.Contains(target, "?") {
		sep = "&"
	}
	return target + sep + ceremony.ResumeParam + "=" + id
}

// comeBack asks for the resume address as a browser does after the challenge.
func (f *heldForm) comeBack(method string, more ...string) answer {
	f.s.t.Helper()
	headers := []string{"Cookie", "session=new; " + f.browser + "; " + f.grant, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document", "Host", "app.test"}
	return f.s.do(method, f.resume, "", append(headers, more...)...)
}

func TestHeldFormArrivesAsItWasSent(t *testing.T) {
	for _, d := range []grants.Demand{transfer, change} {
		s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: d}} })
		f := send(s, "/transfer%2f?x=1&x=2&&y", d)
		a := f.comeBack("GET")
		reached := s.takeReached()
		if a.StatusCode != 200 || a.Header.Get("Cache-Control") != "no-store" || len(reached) != 1 {
			t.Fatal(a.StatusCode, a.Header, len(reached))
		}
		r := reached[0]
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.RequestURI != "/transfer%2f?x=1&x=2&&y" || string(body) != formBody || r.Header.Get("Cookie") != "session=new" ||
			r.Header.Get("Content-Type") != "text/x-anything; charset=x" || r.Header.Get("Origin") != "https://app.test" || r.Header.Get("Step-Up-User") != "alice" {
			t.Errorf("%s %s %q %v", r.Method, r.RequestURI, body, r.Header)
		}
		// Reloading does nothing twice, also where the grant lives on.
		a = f.comeBack("GET")
		if a.StatusCode != 303 || a.Header.Get("Location") != "/transfer%2f?x=1&x=2&&y" || len(s.takeReached()) != 0 {
			t.Errorf("a second time: %d to %q", a.StatusCode, a.Header.Get("Location"))
		}
	}
}

// The one state change that a GET makes is made for nobody but who was sent here
// by the gateway's own page.
func TestS10OnlyItsOwnerResumes(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: transfer}} })
	f := send(s, "/transfer", transfer)
	for name, try := range map[string]func() answer{
		"HEAD":                func() answer { return f.comeBack("HEAD") },
		"cross-site":          func() answer { return f.comeBack("GET", "Sec-Fetch-Site", "cross-site") },
		"same-site":           func() answer { return f.comeBack("GET", "Sec-Fetch-Site", "same-site") },
		"typed or bookmarked": func() answer { return f.comeBack("GET", "Sec-Fetch-Site", "none") },
		"an image":            func() answer { return f.comeBack("GET", "Sec-Fetch-Dest", "image", "Sec-Fetch-Mode", "no-cors") },
		"a frame":             func() answer { return f.comeBack("GET", "Sec-Fetch-Dest", "iframe") },
		"a script's fetch":    func() answer { return f.comeBack("GET", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors") },
		"prefetch":            func() answer { return f.comeBack("GET", "Sec-Purpose", "prefetch") },
		"prerender":           func() answer { return f.comeBack("GET", "Sec-Purpose", "prefetch;prerender") },
		"early data":          func() answer { return f.comeBack("GET", "Early-Data", "1") },
		"another browser":     func() answer { return f.comeBack("GET", "Cookie", browserCookie()+"; "+f.grant) },
		"no browser":          func() answer { return f.comeBack("GET", "Cookie", f.grant) },
		"another user":        func() answer { return f.comeBack("GET", "X-User", "bob") },
		"another session":     func() answer { return f.comeBack("GET", "X-Session", "other") },
		"nobody":              func() answer { return f.comeBack("GET", "X-User", "") },
		"another host":        func() answer { return f.comeBack("GET", "Host", "other.test") },
		"plain HTTP":          func() answer { return f.comeBack("GET", "X-Plain", "1") },
		"no grant":            func() answer { return f.comeBack("GET", "Cookie", f.browser) },
		"another address":     func() answer { g := *f; g.resume = resumeOf("/other", f.id); return g.comeBack("GET") },
		"another query":       func() answer { g := *f; g.resume = resumeOf("/transfer?a=1", f.id); return g.comeBack("GET") },
		"a made-up handle": func() answer {
			g := *f
			g.resume = resumeOf("/transfer", strings.Repeat("A", 22))
			return g.comeBack("GET")
		},
		"a tampered handle": func() answer { g := *f; g.resume += "A"; return g.comeBack("GET") },
		"two handles":       func() answer { g := *f; g.resume = resumeOf(g.resume, f.id); return g.comeBack("GET") },
	} {
		a := try()
		if a.StatusCode == 200 || len(s.takeReached()) > 0 {
			t.Errorf("%s: %d, and the application was reached", name, a.StatusCode)
		}
	}
	s.expect(f.comeBack("GET"), 200, true)
}

func TestHeldFormRunsOut(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: admin}} })
	f := send(s, "/x", admin)
	s.Clock.Advance(8 * time.Minute) // the grant is still good
	a := f.comeBack("GET")
	if a.StatusCode != 303 || a.Header.Get("Location") != "/x" {
		t.Errorf("%d to %q", a.StatusCode, a.Header.Get("Location"))
	}
}

// The rules are those of today: a form held under others is not passed on.
func TestRulesChangedMeanwhile(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: admin}} })
	f := send(s, "/x", admin)
	for name, rules := range map[string][]gate.Rule{
		"another action": {{Demand: change}},
		"no rule":        {{Demand: admin, Match: below("/elsewhere")}},
		"stricter":       {{Demand: grants.Demand{Action: admin.Action, Use: grants.OneTimeUse, TTL: time.Minute}}},
	} {
		s.back.Store(s.newGate(func(o *gate.Options) { o.Rules = rules }))
		if a := f.comeBack("GET"); a.StatusCode == 200 || len(s.takeReached()) > 0 {
			t.Errorf("%s: %d", name, a.StatusCode)
		}
	}
	s.back.Store(s.Gate)
	s.expect(f.comeBack("GET"), 200, true)
}

func TestS03OneHeldFormOneRequest(t *testing.T) {
	for _, d := range []grants.Demand{transfer, change} {
		s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: d}} })
		for range 5 {
			f := send(s, "/transfer", d)
			var passed atomic.Int64
			var all sync.WaitGroup
			for range 32 {
				all.Go(func() {
					if f.comeBack("GET").StatusCode == 200 {
						passed.Add(1)
					}
				})
			}
			all.Wait()
			if n := len(s.takeReached()); n != 1 || passed.Load() != 1 {
				t.Fatalf("%v: %d reached the application, %d passed", d.Use, n, passed.Load())
			}
		}
	}
}

// Where the application is down, grant and form survive together.
func TestFormSurvivesAnApplicationThatIsDown(t *testing.T) {
	for _, d := range []grants.Demand{transfer, change} {
		s := newSite(t, func(o *gate.Options) { o.Rules, o.Undialed = []gate.Rule{{Demand: d}}, undialed })
		f := send(s, "/transfer", d)
		down := proxyTo(closedPort(t))
		for range 2 {
			r, err := http.NewRequest("GET", "http://app.test"+f.resume, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.RequestURI = f.resume
			r.Header = http.Header{"Cookie": {f.browser + "; " + f.grant}, "X-User": {"alice"}}
			rec := httptest.NewRecorder()
			err = s.front().ServeHTTP(rec, r, func(w http.ResponseWriter, r *http.Request) error { return s.Gate.ServeHTTP(w, r, down) })
			if err != nil || rec.Code != 502 {
				t.Fatalf("%d %v", rec.Code, err)
			}
		}
		s.expect(f.comeBack("GET"), 200, true)
	}
}

func TestS19HeldFormsHaveLimits(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules, o.MaxHeld = []gate.Rule{{Demand: admin}}, 1000 })
	a := s.do("POST", "/x", strings.Repeat("x", 1001), navigation...)
	if a.StatusCode != 413 || !strings.Contains(a.body, "/.step-up/challenge/") || len(s.takeReached()) > 0 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	// The oldest of a browser makes room.
	first := send(s, "/x", admin)
	for range 5 {
		s.expect(s.do("POST", "/x", "a=1", with("Cookie", first.browser, "Host", "app.test")...), 303, false)
	}
	if a := first.comeBack("GET"); a.StatusCode != 303 {
		t.Errorf("the sixth left the first in place: %d", a.StatusCode)
	}
	// In all.
	small := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: admin}} })
	small.Configure(func(s *ceremony.Settings) { s.HeldInAll = 1500 })
	small.back.Store(small.newGate(func(o *gate.Options) { o.Rules, o.Ceremony = []gate.Rule{{Demand: admin}}, small.Service }))
	if a := small.do("POST", "/x", strings.Repeat("x", 2000), navigation...); a.StatusCode != 413 {
		t.Errorf("over the limit in all: %d", a.StatusCode)
	}
}

// A person who makes up browsers takes the room of nobody else: the oldest forms
// of the same person go, and what they took is free at once.
func TestS19OnePersonCannotFillTheRoomForForms(t *testing.T) {
	s := newSite(t)
	s.Configure(func(s *ceremony.Settings) { s.HeldInAll = 30_000 })
	s.back.Store(s.newGate(func(o *gate.Options) { o.Rules, o.Ceremony = []gate.Rule{{Demand: admin}}, s.Service }))
	for i := range 60 {
		a := s.do("POST", "/x", strings.Repeat("x", 500), with("Cookie", browserCookie())...)
		if a.StatusCode != 303 {
			t.Fatalf("alice's form %d: %d", i, a.StatusCode)
		}
	}
	s.expect(s.do("POST", "/x", strings.Repeat("x", 500), with("Cookie", browserCookie(), "X-User", "bob")...), 303, false)
}

// A cross-site form is not held: resuming it would lend it the application's
// SameSite cookies.
func TestS10CrossSiteFormIsNotHeld(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: admin}} })
	before := len(s.Events())
	a := s.do("POST", "/x", "a=1", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "document", "Origin", "https://evil.example")
	if a.StatusCode != 403 || len(s.Events()) != before {
		t.Errorf("%d", a.StatusCode)
	}
}

// What is held is sealed.
func TestS16HeldFormIsSealed(t *testing.T) {
	s := newSite(t, func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: admin}} })
	s.expect(s.do("POST", "/x", "iban=DE02120300000000202051", navigation...), 303, false)
	scanned := 0
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("DE02120300000000202051")) {
			t.Error(path, "holds the form in the clear")
		}
		scanned += len(text)
		return err
	})
	if err != nil || scanned == 0 {
		t.Error(scanned, err)
	}
}
