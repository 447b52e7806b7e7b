package gate_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// tight is a site with room for a few forms only.
func tight(t *testing.T, rules ...gate.Rule) *site {
	s := newSite(t)
	s.Configure(func(s *ceremony.Settings) {
		s.HeldInFlight, s.HeldPerMinute = ceremony.HeldCost(1<<20), 4<<20
	})
	s.back.Store(s.newGate(func(o *gate.Options) { o.Rules, o.Ceremony = rules, s.Service }))
	return s
}

// half sends a form of size bytes, but only its beginning.
func (s *site) half(user string, size int, more ...string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	head := fmt.Sprintf("POST /x HTTP/1.1\r\nHost: app.test\r\nX-User: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n", user, size)
	for i := 0; i+1 < len(navigation); i += 2 {
		head += navigation[i] + ": " + navigation[i+1] + "\r\n"
	}
	for i := 0; i+1 < len(more); i += 2 {
		head += more[i] + ": " + more[i+1] + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		s.t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// begins waits until the server asks for the body, which it does once it reads it.
func begins(t *testing.T, r *bufio.Reader) {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q %v", line, err)
	}
	r.ReadString('\n')
}

// Forms beyond the memory for them wait without being read, and are refused in
// words when no memory comes. One person's wait for their own share, and nobody
// else waits for them.
func TestS26FormsWaitUnreadForRoom(t *testing.T) {
	t.Parallel()
	s := tight(t, gate.Rule{Demand: admin})
	slow, answers := s.half("alice", 250<<10) // a quarter, which one person may have
	begins(t, answers)
	_, second := s.half("alice", 250<<10)
	s.expect(s.do("POST", "/x", strings.Repeat("x", 500<<10), with("X-User", "bob")...), 303, false)
	began := time.Now()
	resp, err := http.ReadResponse(second, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	if waited := time.Since(began); waited < 8*time.Second || waited > 15*time.Second {
		t.Errorf("waited for %v", waited)
	}
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "5" || !strings.Contains(string(text), "send it again") {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
	// Who comes while the first one's memory becomes free is let in.
	_, third := s.half("alice", 250<<10)
	if _, err := io.WriteString(slow, strings.Repeat("x", 250<<10)); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(answers, nil); err != nil || resp.StatusCode != http.StatusSeeOther {
		t.Errorf("%v %v", resp, err)
	}
	begins(t, third)
	if len(s.failures) > 0 {
		t.Error(s.failures)
	}
}

// A form that cannot be held now comes back for its memory, too: what is read from
// the store for a handle is bounded before anything is claimed.
func TestS26RoomForThoseWhoComeBack(t *testing.T) {
	t.Parallel()
	s := tight(t, gate.Rule{Demand: admin})
	f := send(s, "/x", admin)
	slow, answers := s.half("alice", 250<<10)
	begins(t, answers)
	a := f.comeBack("GET")
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "5" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	// The handle is still good.
	if _, err := io.WriteString(slow, strings.Repeat("x", 250<<10)); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(answers, nil); err != nil {
		t.Fatal(err)
	}
	s.expect(f.comeBack("GET"), 200, true)
}

// One person may have so much held in a minute, and no more.
func TestS26OnePersonsRateOfForms(t *testing.T) {
	s := tight(t, gate.Rule{Demand: admin})
	body := strings.Repeat("x", 900<<10)
	for range 4 {
		s.expect(s.do("POST", "/x", body, with("Cookie", browserCookie())...), 303, false)
	}
	a := s.do("POST", "/x", body, with("Cookie", browserCookie())...)
	if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, "many forms") {
		t.Errorf("a fifth: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	s.expect(s.do("POST", "/x", body, with("Cookie", browserCookie(), "X-User", "bob")...), 303, false)
	s.Clock.Advance(time.Minute)
	s.expect(s.do("POST", "/x", body, with("Cookie", browserCookie())...), 303, false)
}

// timed notes the deadlines that are set for reading.
type timed struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (w *timed) SetReadDeadline(until time.Time) error {
	w.set = append(w.set, until)
	return nil
}

// checking is a body that may only be read while there is a deadline.
type checking struct {
	io.Reader
	t *testing.T
	w *timed
}

func (c checking) Read(p []byte) (int, error) {
	if n := len(c.w.set); n == 0 || c.w.set[n-1].IsZero() {
		c.t.Error("the body is read without a deadline")
	}
	return c.Reader.Read(p)
}

// A body that is read here has a deadline: to hold it, to show it, to look into
// it, or since the request is refused, after which the server reads on. What the
// application reads has none.
func TestS26BodiesReadHereHaveADeadline(t *testing.T) {
	s := newSite(t)
	fields := []readings.Field{form("a", "1")}
	cookie := grantCookie(admin, s.token("alice", admin))
	for name, test := range map[string]struct {
		rule    gate.Rule
		length  int64
		headers []string
		reached bool
	}{
		"held":                           {gate.Rule{Demand: admin}, 1000, navigation, false},
		"held, without a length":         {gate.Rule{Demand: admin}, -1, navigation, false},
		"too large to be held":           {gate.Rule{Demand: admin}, 2 << 20, navigation, false},
		"a program":                      {gate.Rule{Demand: admin}, 1000, nil, false},
		"nobody":                         {gate.Rule{Demand: admin}, 1000, []string{"X-User", ""}, false},
		"looked into":                    {gate.Rule{Demand: admin, Fields: fields}, 1000, nil, false},
		"looked into, and not asked for": {gate.Rule{Demand: admin, Fields: []readings.Field{form("b", "1")}}, 1000, nil, true},
		"looked into, with a grant":      {gate.Rule{Demand: admin, Fields: fields}, 1000, []string{"Cookie", cookie}, true},
		"looked into further":            {gate.Rule{Demand: admin, Fields: fields}, 300 << 10, []string{"Cookie", cookie}, true},
		"shown":                          {gate.Rule{Demand: transfer, Show: fields}, 1000, nil, false},
		"another site's":                 {gate.Rule{Demand: admin}, 1000, with("Sec-Fetch-Site", "cross-site", "Origin", "https://other.test"), false},
	} {
		t.Run(name, func(t *testing.T) {
			g := s.newGate(func(o *gate.Options) { o.Rules = []gate.Rule{test.rule} })
			w := &timed{ResponseRecorder: httptest.NewRecorder()}
			size := max(test.length, 3)
			r := httptest.NewRequest("POST", "/x", checking{strings.NewReader("a=1" + strings.Repeat("&", int(size)-3)), t, w})
			r.ContentLength = test.length
			if test.length < 0 {
				r.TransferEncoding = []string{"chunked"}
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-User", "alice")
			for i := 0; i+1 < len(test.headers); i += 2 {
				r.Header[http.CanonicalHeaderKey(test.headers[i])] = []string{test.headers[i+1]}
			}
			reached := false
			err := g.ServeHTTP(w, r, func(http.ResponseWriter, *http.Request) error {
				reached = true
				if n := len(w.set); n > 0 && !w.set[n-1].IsZero() {
					t.Error("the application's reading has a deadline")
				}
				return nil
			})
			if err != nil || reached != test.reached {
				t.Fatal(err, reached, w.Code)
			}
			if n := len(w.set); !reached && (n == 0 || w.set[n-1].IsZero() || time.Until(w.set[n-1]) > 6*time.Minute) {
				t.Errorf("the request is answered, and its body has no deadline: %v", w.set)
			}
		})
	}
}

// Memory that was reserved is free once the application has read what was looked
// into, however long it takes afterwards; and whatever becomes of the request.
func TestS26RoomIsGivenBack(t *testing.T) {
	s := newSite(t)
	field := []readings.Field{form("a", "1")}
	s.back.Store(s.newGate(func(o *gate.Options) {
		o.Rules = []gate.Rule{{Demand: admin, Fields: field}}
	}))
	cookie := grantCookie(admin, s.token("alice", admin))
	once := grantCookie(transfer, s.token("alice", transfer))
	body := "a=1" + strings.Repeat("&", 300<<10)
	headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
	free := func(when string) {
		t.Helper()
		if used, waiting := s.DB.InFlight().Used(); used != 0 || waiting != 0 {
			t.Errorf("%s: %d bytes are reserved, %d wait", when, used, waiting)
		}
	}
	app := func(w http.ResponseWriter, r *http.Request) error {
		if used, _ := s.DB.InFlight().Used(); used == 0 {
			t.Error("nothing is reserved before the application reads")
		}
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
			t.Error(len(got), err)
		}
		free("read by the application")
		return nil
	}
	for name, test := range map[string]struct {
		d      grants.Demand
		cookie string
	}{"time-based": {admin, cookie}, "one-time": {transfer, once}} {
		g := s.newGate(func(o *gate.Options) { o.Rules = []gate.Rule{{Demand: test.d, Fields: field}} })
		r := httptest.NewRequest("POST", "/x", strings.NewReader(body))
		r.Header.Set("X-User", "alice")
		r.Header.Set("Cookie", test.cookie)
		r.Header.Set(headers[0], headers[1])
		reached := false
		if err := g.ServeHTTP(httptest.NewRecorder(), r, func(w http.ResponseWriter, r *http.Request) error { reached = true; return app(w, r) }); err != nil || !reached {
			t.Error(name, err, reached)
		}
	}
	for name, more := range map[string][]string{"held": navigation, "a program": nil, "another site's": with("Sec-Fetch-Site", "cross-site")} {
		s.do("POST", "/x", body, append(append([]string(nil), headers...), more...)...)
		free(name)
	}
	c, answers := s.half("alice", 300<<10, headers...)
	begins(t, answers)
	c.Close()
	deadline := time.Now().Add(5 * time.Second)
	for used := int64(1); used > 0 && time.Now().Before(deadline); used, _ = s.DB.InFlight().Used() {
		time.Sleep(time.Millisecond)
	}
	free("a client that went away")
}

// A body that is read whole to identify its request has a deadline and memory that
// is reserved before, which the gate has from there on.
func TestS26BodiesReadToIdentifyAreBounded(t *testing.T) {
	t.Parallel()
	s := tight(t, gate.Rule{Demand: admin})
	cookie := grantCookie(admin, s.token("alice", admin))
	s.back.Store(s.newGate(func(o *gate.Options) {
		o.Rules, o.Ceremony = []gate.Rule{{Demand: admin}}, s.Service
		o.Identify = func(r *http.Request, sent gate.Sent) (ceremony.Principal, error) {
			p, err := identify(r, sent)
			if err != nil || r.ContentLength == 0 {
				return p, err
			}
			p.Tenant = ceremonytest.Tenant
			return p, gate.ReadWhole(r, s.Service, p, 1<<20, func() error {
				if used, _ := s.DB.InFlight().Used(); used == 0 {
					t.Error("nothing is reserved")
				}
				readings.PeekForm(r, 1<<20)
				return nil
			})
		}
	}))
	body := "a=1" + strings.Repeat("&", 250<<10-3)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	s.expect(s.do("POST", "/x", body, append(form, "Cookie", cookie)...), 200, true)
	s.expect(s.do("POST", "/x", body, with(form...)...), 303, false)
	// Nobody is answered before the body is read, which a client may still be sending
	// then: this one fits on the way.
	s.expect(s.do("POST", "/x", body[:16<<10], append(form, "X-User", "")...), 401, false)
	if used, waiting := s.DB.InFlight().Used(); used != 0 || waiting != 0 {
		t.Errorf("%d bytes are reserved, %d wait", used, waiting)
	}
	_, answers := s.half("alice", 250<<10, form...)
	begins(t, answers)
	a := s.do("POST", "/x", body, append(form, "Cookie", cookie)...)
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") != "5" || len(s.takeReached()) > 0 {
		t.Errorf("without room: %d %v", a.StatusCode, a.Header)
	}
	s.expect(s.do("POST", "/x", body[:16<<10], append(form, "X-User", "bob")...), 401, false)
}
