package caddymodule_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// tab is a person's browser on the way of a form through a challenge.
type tab struct {
	*person
	jar    map[string]*http.Cookie
	header http.Header // of every request
}

func (p *person) tab() *tab {
	return &tab{person: p, jar: map[string]*http.Cookie{}, header: http.Header{}}
}

// send sends what a browser's window sends.
func (w *tab) send(method, target, body string, more ...string) (*http.Response, map[string]any) {
	w.b.t.Helper()
	r, err := http.NewRequest(method, w.b.URL+target, strings.NewReader(body))
	if err != nil {
		w.b.t.Fatal(err)
	}
	for name, values := range w.header {
		r.Header[name] = values
	}
	headers := []string{"X-Test-User", w.name, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document", "Accept", "text/html"}
	if body != "" {
		headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
	}
	headers = append(headers, more...)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	for _, c := range w.jar {
		r.AddCookie(c)
	}
	resp, answer := w.b.send(r)
	for _, c := range resp.Cookies() {
		w.jar[c.Name] = c
	}
	return resp, answer
}

// proved sends a form that is held, passes its challenge, and returns the address
// by which the browser comes back.
func (w *tab) proved(method, target, body string) string {
	w.b.t.Helper()
	resp, answer := w.send(method, target, body)
	base, id, ok := strings.Cut(resp.Header.Get("Location"), "/.step-up/challenge/")
	if resp.StatusCode != http.StatusSeeOther || !ok {
		w.b.t.Fatalf("%s %s: %d to %q %v", method, target, resp.StatusCode, resp.Header.Get("Location"), answer)
	}
	resp, won := w.send("POST", base+"/.step-up/api/challenges/"+id+"/verify", `{"method":"totp","code":"`+w.code()+`"}`,
		"Content-Type", "application/json", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty")
	if resp.StatusCode != http.StatusOK {
		w.b.t.Fatal(resp.StatusCode, won)
	}
	return won["resume_url"].(string)
}

// noted is an application that writes down what reaches it.
type noted struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

func newNoted(t *testing.T) *noted {
	n := new(noted)
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.got = append(n.got, strings.TrimSpace(strings.Join([]string{r.Method, r.RequestURI, string(body), r.Header.Get("Remote-Groups")}, " ")))
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *noted) addr() string { return strings.TrimPrefix(n.URL, "http://") }

func (n *noted) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.got
	n.got = nil
	return got
}

// frontConfig is a site with the given directives.
func frontConfig(site string) string {
	return `{
	admin localhost:{{admin}}
	step_up {
		store badger {
			dir {{dir}}/data
		}
		` + keyFile + `
		enrollment first_use
		allow_plain_http
	}
}

http://localhost:{{port}} {
	vars user {header.X-Test-User}
	` + site + `
}
`
}

const stepUpUnsafe = `step_up {
	identity placeholder {http.vars.user}
	protect CHANGE {
		unsafe
		grant one_time 2m
	}
}
`

// What stands before the gateway judges the form when it is carried on with, and
// not the GET by which the browser comes back: a write that is refused by now is
// refused, and the form is there when it no longer is.
func TestS10HandlersInFrontJudgeTheHeldForm(t *testing.T) {
	var refuses atomic.Bool
	var asked atomic.Int64
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if refuses.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer auth.Close()
	b, shop := newBed(t), newNoted(t)
	b.Load(frontConfig(`
	@write method POST
	forward_auth @write ` + strings.TrimPrefix(auth.URL, "http://") + ` {
		uri /
	}
	` + stepUpUnsafe + `
	reverse_proxy ` + shop.addr() + `
`))
	refuses.Store(false)
	w := b.enroll("alice").tab()
	back := w.proved("POST", "/pay?to=a", "amount=5")
	shop.take()
	asked.Store(0)
	refuses.Store(true)
	for range 2 {
		if resp, _ := w.send("GET", back, ""); resp.StatusCode != http.StatusForbidden || len(shop.take()) > 0 {
			t.Fatalf("a write that is refused by now: %d", resp.StatusCode)
		}
	}
	refuses.Store(false)
	resp, _ := w.send("GET", back, "")
	if got := shop.take(); resp.StatusCode != http.StatusOK || len(got) != 1 || got[0] != "POST /pay?to=a amount=5" {
		t.Errorf("%d, the application saw %q", resp.StatusCode, got)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("the write was judged %d times, want 3", n)
	}
	if resp, _ := w.send("GET", back, ""); resp.StatusCode != http.StatusSeeOther || len(shop.take()) > 0 {
		t.Errorf("a second time: %d", resp.StatusCode)
	}
}

// A form arrives where it was sent, whatever the handlers in front make of its
// address or its method.
func TestHeldFormFindsItsWay(t *testing.T) {
	shop, reader := newNoted(t), newNoted(t)
	proxy := "reverse_proxy " + shop.addr() + "\n"
	for name, c := range map[string]struct{ site, method, target, want string }{
		"rewrite to a front controller": {`rewrite * /index.php?p={path}` + "\n" + stepUpUnsafe + proxy, "POST", "/pay", "POST /index.php?p=%2Fpay amount=5"},
		"rewrite that keeps the query":  {`rewrite * /index.php?p={path}&{query}` + "\n" + stepUpUnsafe + proxy, "POST", "/pay?to=a", "POST /index.php?p=%2Fpay&to=a amount=5"},
		"try_files":                     {"root * {{dir}}\ntry_files {path} /index.php?{query}\n" + stepUpUnsafe + proxy, "POST", "/pay?to=a", "POST /index.php?to=a amount=5"},
		"uri strip_prefix":              {"uri strip_prefix /shop\n" + stepUpUnsafe + proxy, "POST", "/shop/pay?to=a", "POST /pay?to=a amount=5"},
		"handle":                        {"handle /shop/* {\n" + stepUpUnsafe + proxy + "}\nhandle {\n" + stepUpUnsafe + "reverse_proxy " + reader.addr() + "\n}", "POST", "/shop/pay", "POST /shop/pay amount=5"},
		"route":                         {"route {\nrewrite /old /new\n" + stepUpUnsafe + proxy + "}", "POST", "/old", "POST /new amount=5"},
		"handles by method":             {"@post method POST PUT\nhandle @post {\n" + stepUpUnsafe + proxy + "}\nhandle {\n" + stepUpUnsafe + "reverse_proxy " + reader.addr() + "\n}", "POST", "/pay", "POST /pay amount=5"},
		"another method":                {stepUpUnsafe + proxy, "PUT", "/pay", "PUT /pay amount=5"},
		"without a body":                {stepUpUnsafe + proxy, "DELETE", "/pay/7", "DELETE /pay/7"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			if err := os.WriteFile(filepath.Join(b.Dir, "index.php"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			b.Load(frontConfig(c.site))
			p := &person{b: b, name: "alice"}
			w := p.tab()
			base := "" // of the gateway's pages
			if name == "uri strip_prefix" {
				base = "/shop"
			}
			enrollIn(w, base)
			body := "amount=5"
			if name == "without a body" {
				body = ""
			}
			back := w.proved(c.method, c.target, body)
			shop.take()
			resp, answer := w.send("GET", back, "")
			if got := shop.take(); resp.StatusCode != http.StatusOK || len(got) != 1 || got[0] != c.want {
				t.Errorf("%d to %q, the application saw %q, want %q\n%v", resp.StatusCode, resp.Header.Get("Location"), got, c.want, answer)
			}
			if resp, _ := w.send("GET", back, ""); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != c.target || len(shop.take()) > 0 {
				t.Errorf("a second time: %d to %q", resp.StatusCode, resp.Header.Get("Location"))
			}
			if got := reader.take(); len(got) > 0 && name != "handles by method" {
				t.Errorf("the other application saw %q", got)
			}
		})
	}
}

// enrolIn gives a person an authenticator app, at the pages under base.
func enrollIn(w *tab, base string) {
	w.b.t.Helper()
	script := []string{"Content-Type", "application/json", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}
	resp, begun := w.send("POST", base+"/.step-up/api/totp", "{}", script...)
	if resp.StatusCode != http.StatusCreated {
		w.b.t.Fatal(resp.StatusCode, begun)
	}
	w.secret = begun["secret"].(string)
	resp, done := w.send("POST", base+"/.step-up/api/totp/"+begun["id"].(string)+"/confirm", `{"code":"`+w.code()+`"}`, script...)
	if resp.StatusCode != http.StatusOK {
		w.b.t.Fatal(resp.StatusCode, done)
	}
}

// What a handler in front says of the person is said anew: a group that was taken
// from them meanwhile does not come back with the form.
func TestS21HeldFormBringsBackNothingThatHandlersSet(t *testing.T) {
	var groups atomic.Value
	groups.Store("admin")
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g := groups.Load().(string); g != "" {
			w.Header().Set("Remote-Groups", g)
		}
	}))
	defer auth.Close()
	var got http.Header
	shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() }))
	defer shop.Close()
	b := newBed(t)
	b.Load(frontConfig(`
	forward_auth ` + strings.TrimPrefix(auth.URL, "http://") + ` {
		uri /
		copy_headers Remote-Groups
	}
	@pay header X-Test-Pay 1
	request_header @pay X-Role payer
	request_header @pay Accept-Language en-admin
	request_header @pay +Cookie "role=payer"
	` + stepUpUnsafe + `
	reverse_proxy ` + strings.TrimPrefix(shop.URL, "http://") + `
`))
	w := b.enroll("alice").tab()
	w.header.Set("X-Test-Pay", "1")
	back := w.proved("POST", "/pay", "amount=5")
	w.header.Del("X-Test-Pay")
	groups.Store("")
	w.send("GET", back, "", "X-Request-Id", "new")
	if got == nil {
		t.Fatal("the form did not arrive")
	}
	for _, name := range []string{"Remote-Groups", "X-Role", "X-Test-Pay", "Accept-Language"} {
		if v := got.Get(name); v != "" {
			t.Errorf("%s: %s", name, v)
		}
	}
	if strings.Contains(got.Get("Cookie"), "payer") || got.Get("X-Request-Id") != "new" {
		t.Errorf("%v", got)
	}
}

// The front is the gateway's own to place.
func TestS28FrontByHandIsRefused(t *testing.T) {
	b := newBed(t)
	err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"a":{"listen":["localhost:`+b.Port+`"],"routes":[{"handle":[{"handler":"step_up_resume"}]}]}}}}}`), true)
	if err == nil || !strings.Contains(err.Error(), "remove it from the configuration") {
		t.Errorf("loaded: %v", err)
	}
}

// The only site of a server has no route of its own around its handlers, and a
// server may have sites without the gateway, which see their requests as they are.
func TestHeldFormOnCatchAllAndBesideOthers(t *testing.T) {
	shop := newNoted(t)
	b := newBed(t)
	site := frontConfig("rewrite * /index.php?p={path}\n" + stepUpUnsafe + "reverse_proxy " + shop.addr() + "\n")
	for name, config := range map[string]string{
		"the only site": strings.Replace(site, "http://localhost:{{port}} {", "http://:{{port}} {", 1),
		"beside others": site + "\nhttp://127.0.0.1:{{port}} {\n\trespond \"{query}\"\n}\n",
	} {
		b.Load(config)
		w := (&person{b: b, name: strings.ReplaceAll(name, " ", "-")}).tab()
		enrollIn(w, "")
		back := w.proved("POST", "/pay", "amount=5")
		shop.take()
		if name == "beside others" {
			r, err := http.NewRequest("GET", "http://127.0.0.1:"+b.Port+back, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range w.jar {
				r.AddCookie(c)
			}
			_, query, _ := strings.Cut(back, "?")
			if resp, answer := b.send(r); resp.StatusCode != http.StatusOK || answer["text"] != query {
				t.Errorf("another site got %d %v, want %q", resp.StatusCode, answer, query)
			}
		}
		resp, _ := w.send("GET", back, "")
		if got := shop.take(); resp.StatusCode != http.StatusOK || len(got) != 1 || got[0] != "POST /index.php?p=%2Fpay amount=5" {
			t.Errorf("%s: %d, the application saw %q", name, resp.StatusCode, got)
		}
	}
}
