package whoami_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/outbound"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/whoami"
)

// clock is moved by hand.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_700_000_000, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// application answers who is asking, and remembers the questions.
type application struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*http.Request
}

func serve(t *testing.T, handler http.HandlerFunc) *application {
	t.Helper()
	a := new(application)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked = append(a.asked, r)
		a.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *application) questions() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// sessions answers with the user of the session cookie sid, as JSON.
func sessions(users *sync.Map) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if c, err := r.Cookie("sid"); err == nil {
			if user, ok := users.Load(c.Value); ok {
				fmt.Fprintf(w, `{"user":%q}`, user)
				return
			}
		}
		io.WriteString(w, `{"user":null}`)
	}
}

func pointer(t *testing.T, s string) *identity.Pointer {
	t.Helper()
	p, err := identity.ParsePointer(s)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func source(t *testing.T, o whoami.Options) *whoami.Source {
	t.Helper()
	s, err := whoami.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func request(fields ...string) *http.Request {
	r := httptest.NewRequest("POST", "/transfer", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// TestS01Failures is the table of what an application may answer: none of it
// names anybody.
func TestS01Failures(t *testing.T) {
	body := func(kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			io.WriteString(w, text)
		}
	}
	inJSON := func(text string) http.HandlerFunc { return body("application/json", text) }
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Location", "/login")
			w.WriteHeader(code)
			io.WriteString(w, `{"user":"mallory"}`)
		}
	}
	json := whoami.Reader{JSON: pointer(t, "/user")}
	field := whoami.Reader{Header: "X-User"}
	pattern := whoami.Reader{Regexp: regexp.MustCompile(`user: <b>([^<]*)</b>`)}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		reader whoami.Reader
		nobody bool // and not a failure
	}{
		{"login page with 200", body("text/html; charset=utf-8", "<form>password</form>"), json, true},
		{"login page with a user field", body("text/html", `{"user":"mallory"}`), json, true},
		{"login page to a pattern", body("text/html", "<form>password</form>"), pattern, true},
		{"redirect", status(302), json, true},
		{"see other", status(303), json, true},
		{"unauthorized", status(401), json, true},
		{"forbidden", status(403), json, true},
		{"not found", status(404), json, true},
		{"created", status(201), json, true},
		{"broken", status(500), json, false},
		{"away", status(503), json, false},
		{"too many", status(429), json, false},
		{"null", inJSON(`{"user":null}`), json, true},
		{"empty", inJSON(`{"user":""}`), json, true},
		{"spaces", inJSON(`{"user":"  "}`), json, true},
		{"zero", inJSON(`{"user":0}`), json, true},
		{"false", inJSON(`{"user":false}`), json, true},
		{"absent", inJSON(`{"name":"mallory"}`), json, true},
		{"null document", inJSON(`null`), json, true},
		{"no document", inJSON(``), json, true},
		{"zero as text", inJSON(`{"user":"0"}`), json, true},
		{"anonymous", inJSON(`{"user":"Anonymous"}`), json, true},
		{"anonymousUser", inJSON(`{"user":"anonymousUser"}`), json, true},
		{"guest", inJSON(`{"user":"guest"}`), json, true},
		{"the operator's word", inJSON(`{"user":"Visitor"}`), whoami.Reader{JSON: pointer(t, "/user"), Anonymous: []string{"visitor"}}, true},
		{"object", inJSON(`{"user":{"name":"mallory"}}`), json, false},
		{"list", inJSON(`{"user":["mallory"]}`), json, false},
		{"empty list", inJSON(`{"user":[]}`), json, true},
		{"true", inJSON(`{"user":true}`), json, false},
		{"negative", inJSON(`{"user":-1}`), json, false},
		{"fraction", inJSON(`{"user":1.5}`), json, false},
		{"twice", inJSON(`{"user":"alice","user":"mallory"}`), json, false},
		{"two documents", inJSON(`{"user":"alice"}{"user":"mallory"}`), json, false},
		{"cut off", inJSON(`{"user":"mallory"`), json, false},
		{"control character", inJSON(`{"user":"mal\nlory"}`), json, false},
		{"half a character", inJSON(`{"user":"\ud800"}`), json, false},
		{"too long a name", inJSON(`{"user":"` + strings.Repeat("a", 257) + `"}`), json, false},
		{"session missing", inJSON(`{"user":"mallory"}`), whoami.Reader{JSON: pointer(t, "/user"), Session: pointer(t, "/session")}, false},
		{"oversize", inJSON(`{"user":"mallory","x":"` + strings.Repeat("x", 2000) + `"}`), json, false},
		{"oversize, chunked", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"user":"mallory"`)
			http.NewResponseController(w).Flush()
			io.WriteString(w, strings.Repeat(" ", 2000)+"}")
		}, json, false},
		{"compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, `{"user":"mallory"}`)
		}, json, false},
		{"slow drip", func(w http.ResponseWriter, r *http.Request) {
			for _, b := range []byte(`{"user":"mallory"}`) {
				w.Write([]byte{b})
				http.NewResponseController(w).Flush()
				select {
				case <-time.After(50 * time.Millisecond):
				case <-r.Context().Done():
					return
				}
			}
		}, json, false},
		{"silence", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, json, false},
		{"no field", inJSON(`{}`), field, true},
		{"empty field", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-User", "") }, field, true},
		{"two fields", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("X-User", "alice")
			w.Header().Add("X-User", "mallory")
		}, field, false},
		{"two matches", body("text/html", "user: <b>alice</b> comment: user: <b>mallory</b>"), pattern, false},
		{"the same match twice", body("text/html", "user: <b>alice</b> user: <b>alice</b>"), pattern, false},
		{"empty match", body("text/html", "user: <b></b>"), pattern, true},
		{"bytes that are no text", body("text/html", "user: <b>\xff</b>"), pattern, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := serve(t, c.answer)
			s := source(t, whoami.Options{URL: app.URL, Reader: c.reader, Timeout: 200 * time.Millisecond, Body: 1024})
			for range 2 { // once asked, once remembered
				who, err := s.Identify(request("Cookie", "sid=1"), whoami.Asked{})
				if who != (whoami.Who{}) || err == nil || errors.Is(err, identity.ErrNobody) != c.nobody {
					t.Errorf("%+v, %v; nobody %v", who, err, c.nobody)
				}
				if err != nil && strings.Contains(err.Error(), "mallory") {
					t.Errorf("the error quotes the answer: %v", err)
				}
			}
			if n := len(app.questions()); n != 1 {
				t.Errorf("%d questions", n)
			}
		})
	}
}

// TestS01NoAnswer: an application that is away, or that speaks no HTTP, names
// nobody.
func TestS01NoAnswer(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "X-User: mallory\r\n\r\n")
			conn.Close()
		}
	}()
	for url, want := range map[string]error{gone.URL: nil, "http://" + l.Addr().String(): outbound.ErrBroken} {
		s := source(t, whoami.Options{URL: url, Reader: whoami.Reader{Header: "X-User"}})
		who, err := s.Identify(request("Cookie", "sid=1"), whoami.Asked{})
		if who.User != "" || err == nil || errors.Is(err, identity.ErrNobody) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", url, who, err)
		}
		if err != nil && strings.Contains(err.Error(), "mallory") {
			t.Errorf("the error quotes the answer: %v", err)
		}
	}
}

// TestAnswers: what names somebody, in each of the three ways.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		reader           whoami.Reader
		want             whoami.Who
	}{
		{"text", "application/json", `{"user":{"name":"Alice"}}`, whoami.Reader{JSON: pointer(t, "/user/name")}, whoami.Who{User: "Alice"}},
		{"mislabelled", "text/plain", `{"user":"alice"}`, whoami.Reader{JSON: pointer(t, "/user")}, whoami.Who{User: "alice"}},
		{"number", "application/json", `{"id":1000000000000000001}`, whoami.Reader{JSON: pointer(t, "/id")}, whoami.Who{User: "1000000000000000001"}},
		{"session", "application/json", `{"user":"alice","sid":7}`, whoami.Reader{JSON: pointer(t, "/user"), Session: pointer(t, "/sid")}, whoami.Who{User: "alice", Session: "7"}},
		{"email", "application/json", `{"user":"alice","email":"alice@example.com"}`, whoami.Reader{JSON: pointer(t, "/user"), Email: pointer(t, "/email")}, whoami.Who{User: "alice", Email: "alice@example.com"}},
		{"no email", "application/json", `{"user":"alice"}`, whoami.Reader{JSON: pointer(t, "/user"), Email: pointer(t, "/email")}, whoami.Who{User: "alice"}},
		{"two emails", "application/json", `{"user":"alice","email":"a@example.com","email":"b@example.com"}`, whoami.Reader{JSON: pointer(t, "/user"), Email: pointer(t, "/email")}, whoami.Who{User: "alice"}},
		{"a list as email", "application/json", `{"user":"alice","email":["a@example.com"]}`, whoami.Reader{JSON: pointer(t, "/user"), Email: pointer(t, "/email")}, whoami.Who{User: "alice"}},
		{"field", "", "", whoami.Reader{Header: "x-user"}, whoami.Who{User: "alice"}},
		{"page", "text/html", `<li>Logged in as: <bdi>O&#39;Brien</bdi></li>`, whoami.Reader{Regexp: regexp.MustCompile(`Logged in as: <bdi>([^<]+)</bdi>`)}, whoami.Who{User: "O'Brien"}},
		{"plain text", "text/plain", "user=a&amp;b\n", whoami.Reader{Regexp: regexp.MustCompile(`(?m)^user=(.*)$`)}, whoami.Who{User: "a&amp;b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.Header().Set("X-User", " alice ")
				io.WriteString(w, c.body)
			})
			s := source(t, whoami.Options{URL: app.URL, Reader: c.reader})
			if who, err := s.Identify(request("Cookie", "sid=1"), whoami.Asked{}); who != c.want || err != nil {
				t.Errorf("%+v, %v, want %+v", who, err, c.want)
			}
		})
	}
}

// TestForwarded: the application gets the credentials as they came and nothing
// else of the request, and the request is left as it was.
func TestForwarded(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"user":"alice"}`) })
	s := source(t, whoami.Options{
		URL: app.URL + "/me?full=1", Reader: whoami.Reader{JSON: pointer(t, "/user")},
		Forward: []string{"accept-language"}, AddressField: "X-Forwarded-For",
		Fields: http.Header{"Host": {"app.example.com"}, "X-Forwarded-Proto": {"https"}},
	})
	r := request("Cookie", "a=1;  b = \"2\"; __Host-step_up_browser=secret", "Cookie", "step_up_0123456789abcdef=sug_secret", "Cookie", "c=%33",
		"Authorization", "Basic YTpi", "User-Agent", "Firefox", "X-Forwarded-For", "192.0.2.9", "X-Secret", "x", "Accept-Language", "de")
	before := r.Header.Clone()
	as := whoami.Asked{Host: "other.example.com", Address: "192.0.2.1", Fields: http.Header{
		"X-Forwarded-For": {"198.51.100.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"app.example.com"},
	}}
	if _, err := s.Identify(r, as); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(r.Header) != fmt.Sprint(before) {
		t.Errorf("the request was changed: %v", r.Header)
	}
	if n := len(app.questions()); n != 3 { // of both, and of each alone
		t.Errorf("%d questions", n)
	}
	asked := app.questions()[0]
	want := http.Header{
		"Cookie": {"a=1;  b = \"2\"", "c=%33"}, "Authorization": {"Basic YTpi"}, "Accept": {"application/json"},
		"User-Agent": {"Firefox"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Host": {"app.example.com"},
		"Accept-Language": {"de"},
	}
	if asked.Method != "GET" || asked.Host != "app.example.com" || asked.RequestURI != "/me?full=1" || fmt.Sprint(asked.Header) != fmt.Sprint(want) {
		t.Errorf("%s %s %s\n%q\n%q", asked.Method, asked.Host, asked.RequestURI, asked.Header, want)
	}
}

// Without credentials there is nothing to ask, nor with the gateway's own alone.
func TestNothingToAsk(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"user":"mallory"}`) })
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}})
	for _, r := range []*http.Request{
		request(), request("Cookie", ""), request("Cookie", " ; "), request("Cookie", "__Host-step_up_browser=x"),
		request("Cookie", "a="+strings.Repeat("x", 40<<10)),
	} {
		if who, err := s.Identify(r, whoami.Asked{}); who.User != "" || !errors.Is(err, identity.ErrNobody) {
			t.Errorf("%.60v: %+v, %v", r.Header, who, err)
		}
	}
	if n := len(app.questions()); n != 0 {
		t.Errorf("%d questions", n)
	}
}

// TestS21TwoSessions: of two session cookies, in whatever order and spelling,
// neither is believed, and nothing is asked.
func TestS21TwoSessions(t *testing.T) {
	var users sync.Map
	users.Store("1", "alice")
	users.Store("2", "mallory")
	app := serve(t, sessions(&users))
	json := whoami.Reader{JSON: pointer(t, "/user")}
	named := source(t, whoami.Options{URL: app.URL, Reader: json, SessionCookie: "sid"})
	unnamed := source(t, whoami.Options{URL: app.URL, Reader: json})
	for _, r := range []*http.Request{
		request("Cookie", "sid=1; sid=2"), request("Cookie", "sid=2; sid=1"), request("Cookie", "sid=1; sid=1"),
		request("Cookie", "sid=1", "Cookie", "sid=2"), request("Cookie", "sid=2", "Cookie", "a=b; sid=1"),
		request("Cookie", "sid=1; SID=2"), request("Cookie", "s%69d=2; sid=1"),
		request("Cookie", "sid=1", "Authorization", "Basic YTpi", "Authorization", "Basic YzpK"),
	} {
		for _, s := range []*whoami.Source{named, unnamed} {
			if who, err := s.Identify(r, whoami.Asked{}); who.User != "" || !errors.Is(err, identity.ErrAmbiguous) {
				t.Errorf("%v: %+v, %v, want ambiguous", r.Header, who, err)
			}
		}
	}
	if n := len(app.questions()); n != 0 {
		t.Errorf("%d questions", n)
	}

	// Another cookie may occur twice where the session's name is known.
	r := request("Cookie", "sid=1; theme=a; theme=b")
	if who, err := named.Identify(r, whoami.Asked{}); who.User != "alice" || err != nil {
		t.Errorf("%+v, %v", who, err)
	}
	if who, err := unnamed.Identify(r, whoami.Asked{}); who.User != "" || !errors.Is(err, identity.ErrAmbiguous) {
		t.Errorf("%+v, %v, want ambiguous", who, err)
	}
}

// TestS21CookieAndAuthorization: cookies of one user and the Authorization of
// another are nobody's, whichever the page that is asked goes by; the page that was
// asked for may go by the other.
func TestS21CookieAndAuthorization(t *testing.T) {
	by := func(first, second string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			users := map[string]string{"sid=a": "alice", "sid=m": "mallory", "Basic a": "alice", "Basic m": "mallory"}
			user := users[r.Header.Get(first)]
			if user == "" {
				user = users[r.Header.Get(second)]
			}
			fmt.Fprintf(w, `{"user":%q}`, user)
		}
	}
	for _, handler := range []http.HandlerFunc{by("Cookie", "Authorization"), by("Authorization", "Cookie")} {
		app := serve(t, handler)
		var c clock
		s := source(t, whoami.Options{
			URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, Now: c.now,
			Ignored: []identity.Credential{{Kind: identity.Cookie, Name: "theme"}},
		})
		for _, k := range []struct{ cookie, authorization, want string }{
			{"sid=a", "Basic m", "!"}, {"sid=m", "Basic a", "!"},
			{"sid=a", "Basic a", "alice"}, {"sid=a", "Basic x", "!"}, {"sid=x", "Basic a", "!"}, {"sid=x", "Basic x", ""},
			{"tracker=1", "Basic a", "!"}, {"theme=1", "Basic a", "alice"}, {"_ga_X1=1; csrftoken=2", "Basic a", "alice"},
			{"tracker=1", "Basic m", "!"},
		} {
			who, err := s.Identify(request("Cookie", k.cookie, "Authorization", k.authorization), whoami.Asked{})
			want := map[string]error{"!": identity.ErrAmbiguous, "": identity.ErrNobody}[k.want]
			if !errors.Is(err, want) || want == nil && who.User != k.want || want != nil && who.User != "" {
				t.Errorf("%s and %s: %+v, %v, want %q", k.cookie, k.authorization, who, err, k.want)
			}
		}
		before := len(app.questions())
		for range 100 {
			s.Identify(request("Cookie", "sid=a", "Authorization", "Basic a"), whoami.Asked{})
		}
		if n := len(app.questions()); n != before {
			t.Errorf("%d questions more", n-before)
		}
	}
}

// TestS17Logout: who has logged out is nobody as soon as the answer's time is
// over, and another session of the same user is another.
func TestS17Logout(t *testing.T) {
	var users sync.Map
	users.Store("1", "alice")
	users.Store("2", "alice")
	app := serve(t, sessions(&users))
	var c clock
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, SessionCookie: "sid", Cache: 5 * time.Second, Now: c.now})

	first, err := s.Identify(request("Cookie", "sid=1; tracker=a"), whoami.Asked{})
	if first.User != "alice" || first.Session == "" || err != nil {
		t.Fatalf("%+v, %v", first, err)
	}
	if same, err := s.Identify(request("Cookie", "tracker=b; sid=1"), whoami.Asked{}); same != first || err != nil {
		t.Errorf("another cookie made another session: %+v, %v", same, err)
	}
	if second, err := s.Identify(request("Cookie", "sid=2"), whoami.Asked{}); second.User != "alice" || second.Session == first.Session || err != nil {
		t.Errorf("another session is the same: %+v, %v", second, err)
	}

	users.Delete("1")
	c.advance(5*time.Second - 1)
	if who, err := s.Identify(request("Cookie", "sid=1; tracker=a"), whoami.Asked{}); who != first || err != nil {
		t.Errorf("within the answer's time: %+v, %v", who, err)
	}
	c.advance(1)
	if who, err := s.Identify(request("Cookie", "sid=1; tracker=a"), whoami.Asked{}); who.User != "" || !errors.Is(err, identity.ErrNobody) {
		t.Errorf("stale after logout: %+v, %v", who, err)
	}

	// Logging in is seen within a second.
	users.Store("1", "bob")
	c.advance(time.Second)
	if who, err := s.Identify(request("Cookie", "sid=1; tracker=a"), whoami.Asked{}); who.User != "bob" || err != nil {
		t.Errorf("after logging in again: %+v, %v", who, err)
	}

	// An application that stops answering ends it too.
	app.Close()
	c.advance(5 * time.Second)
	if who, err := s.Identify(request("Cookie", "sid=1; tracker=a"), whoami.Asked{}); who.User != "" || err == nil {
		t.Errorf("with the application gone: %+v, %v", who, err)
	}
}

// TestS17NoSession: somebody whom the application knows by another cookie than
// the session's has no session that a grant could end with.
func TestS17NoSession(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"user":"alice"}`) })
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, SessionCookie: "sid"})
	for _, cookie := range []string{"remember=1", "sid=", "sid"} {
		if who, err := s.Identify(request("Cookie", cookie), whoami.Asked{}); who.User != "" || !errors.Is(err, identity.ErrNobody) {
			t.Errorf("%s: %+v, %v", cookie, who, err)
		}
	}
	if who, err := s.Identify(request("Authorization", "Basic YTpi"), whoami.Asked{}); who != (whoami.Who{User: "alice"}) || err != nil {
		t.Errorf("by password: %+v, %v", who, err)
	}
}

// Different credentials never share an answer, however they are cut into fields.
func TestCacheKey(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"user":%q}`, fmt.Sprintf("%q %q %q", r.Header["Cookie"], r.Header["Authorization"], r.UserAgent()))
	})
	var c clock
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, Forward: []string{"User-Agent"}, Now: c.now})
	seen := make(map[string]bool)
	requests := []*http.Request{
		request("Cookie", "a=1; b=2"), request("Cookie", "b=2; a=1"), request("Cookie", "a=1", "Cookie", "b=2"), request("Cookie", "b=2", "Cookie", "a=1"),
		request("Cookie", "a=1;b=2"), request("Cookie", "a=1"), request("Authorization", "a=1"),
		request("Cookie", "a=1", "User-Agent", "x"), request("Cookie", "a=1", "User-Agent", "y"),
	}
	for range 2 {
		for _, r := range requests {
			who, err := s.Identify(r, whoami.Asked{})
			if err != nil {
				t.Fatal(err)
			}
			seen[who.User] = true
		}
	}
	if len(seen) != len(requests) || len(app.questions()) != len(requests) {
		t.Errorf("%d names and %d questions for %d credentials", len(seen), len(app.questions()), len(requests))
	}
}

// TestS19OneQuestion: 200 requests a second of one session, a few of them at the
// same time, cause one question in each period.
func TestS19OneQuestion(t *testing.T) {
	var users sync.Map
	users.Store("1", "alice")
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		sessions(&users)(w, r)
	})
	var c clock
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, Cache: 5 * time.Second, Now: c.now})
	for second := range 20 {
		var g sync.WaitGroup
		for range 200 {
			g.Go(func() {
				if who, err := s.Identify(request("Cookie", "sid=1"), whoami.Asked{}); who.User != "alice" || err != nil {
					t.Errorf("%+v, %v", who, err)
				}
			})
		}
		g.Wait()
		if asked := len(app.questions()); asked > second/5+1 {
			t.Fatalf("second %d: %d questions", second, asked)
		}
		c.advance(time.Second)
	}
	if asked := len(app.questions()); asked != 4 {
		t.Errorf("%d questions in 20 s", asked)
	}
}

// A request that came after the answer's time does not wait for a question from
// before: who asked may have logged out since.
func TestS17SlowQuestion(t *testing.T) {
	release := make(chan struct{})
	var n atomic.Int32
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			<-release
			io.WriteString(w, `{"user":"alice"}`)
			return
		}
		io.WriteString(w, `{"user":null}`)
	})
	var c clock
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, Cache: time.Second, Timeout: 10 * time.Second, Now: c.now})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Identify(request("Cookie", "sid=1"), whoami.Asked{})
	}()
	for n.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	c.advance(time.Second)
	if who, err := s.Identify(request("Cookie", "sid=1"), whoami.Asked{}); who.User != "" || !errors.Is(err, identity.ErrNobody) {
		t.Errorf("%+v, %v", who, err)
	}
	close(release)
	<-done
	if who, err := s.Identify(request("Cookie", "sid=1"), whoami.Asked{}); who.User != "" || !errors.Is(err, identity.ErrNobody) {
		t.Errorf("the older answer came later and counted: %+v, %v", who, err)
	}
}

func TestNewRefuses(t *testing.T) {
	json := whoami.Reader{JSON: pointer(t, "/user")}
	const url = "http://localhost/me"
	for name, o := range map[string]whoami.Options{
		"no URL":           {Reader: json},
		"relative":         {URL: "/me", Reader: json},
		"scheme":           {URL: "ftp://localhost/", Reader: json},
		"no host":          {URL: "http:///me", Reader: json},
		"user":             {URL: "http://a:b@localhost/", Reader: json},
		"fragment":         {URL: url + "#x", Reader: json},
		"no reader":        {URL: url},
		"two readers":      {URL: url, Reader: whoami.Reader{JSON: json.JSON, Header: "X-User"}},
		"no group":         {URL: url, Reader: whoami.Reader{Regexp: regexp.MustCompile(`user`)}},
		"two groups":       {URL: url, Reader: whoami.Reader{Regexp: regexp.MustCompile(`(a)(b)`)}},
		"answer field":     {URL: url, Reader: whoami.Reader{Header: "X User"}},
		"session apart":    {URL: url, Reader: whoami.Reader{Header: "X-User", Session: json.JSON}},
		"two sessions":     {URL: url, Reader: whoami.Reader{JSON: json.JSON, Session: json.JSON}, SessionCookie: "sid"},
		"cookie name":      {URL: url, Reader: json, SessionCookie: "a=b"},
		"forwards cookie":  {URL: url, Reader: json, Forward: []string{"cookie"}},
		"forwards host":    {URL: url, Reader: json, Forward: []string{"Host"}},
		"sets credentials": {URL: url, Reader: json, Fields: http.Header{"Authorization": {"x"}}},
		"sets range":       {URL: url, Reader: json, Fields: http.Header{"Range": {"bytes=0-1"}}},
		"field twice":      {URL: url, Reader: json, Fields: http.Header{"X-A": {"x"}}, Forward: []string{"x-a"}},
		"line break":       {URL: url, Reader: json, Fields: http.Header{"X-A": {"x\r\nCookie: sid=2"}}},
	} {
		if _, err := whoami.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
