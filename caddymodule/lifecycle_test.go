package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
)

func TestWayOfARequest(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin+protectTransfer, ""))
	alice := b.enroll("alice")

	resp, _ := alice.do("GET", "/", nil)
	if resp.StatusCode != 200 || len(b.app.requests()) != 1 {
		t.Fatalf("unprotected: %d, %d requests reached the application", resp.StatusCode, len(b.app.requests()))
	}
	resp, answer := alice.do("GET", "/admin/", nil)
	if resp.StatusCode != 401 || answer["action_type"] != "ADMIN" {
		t.Errorf("without a grant: %d %v", resp.StatusCode, answer)
	}
	grant := alice.win("ADMIN")
	for range 3 {
		if resp, answer := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
			t.Fatalf("with a grant: %d %v", resp.StatusCode, answer)
		}
	}
	last := b.app.requests()[3]
	if got := last.Header.Get("Step-Up-User") + " " + last.Header.Get("Step-Up-Action") + " " + last.Header.Get("Cookie"); got != "alice ADMIN " {
		t.Errorf("the application was told %q", got)
	}
	// The path without its slash is covered, and so is another case.
	for _, path := range []string{"/admin", "/ADMIN/x", "/%61dmin/", "//admin//x", "/x/../admin/"} {
		if resp, _ := alice.do("GET", path, nil); resp.StatusCode != 401 {
			t.Errorf("%s: %d, want 401", path, resp.StatusCode)
		}
	}
	if resp, _ := alice.do("GET", "/transfer", nil); resp.StatusCode != 200 {
		t.Errorf("GET /transfer: %d, want 200", resp.StatusCode)
	}
	once := alice.win("TRANSFER")
	if resp, _ := alice.do("POST", "/transfer", map[string]int{"amount": 1}, once); resp.StatusCode != 200 {
		t.Errorf("one-time grant: %d", resp.StatusCode)
	}
	if resp, _ := alice.do("POST", "/transfer", map[string]int{"amount": 1}, once); resp.StatusCode != 401 {
		t.Errorf("one-time grant, again: %d, want 401", resp.StatusCode)
	}
	if resp, _ := (&person{b: b, name: "mallory"}).do("GET", "/admin/", nil, grant); resp.StatusCode != 401 {
		t.Errorf("another user's grant: %d, want 401", resp.StatusCode)
	}
	// S13: nothing of what was used stands in any log, at any level.
	log := b.Log()
	for name, secret := range map[string]string{"grant": grant.Value, "one-time grant": once.Value, "secret": alice.secret} {
		if strings.Contains(log, secret) {
			t.Errorf("the %s is in the log", name)
		}
	}
	if !strings.Contains(log, `"logger":"step_up.audit"`) {
		t.Error("nothing was written to the logger step_up.audit")
	}
}

// TestS01Refused: nobody, and a matcher that fails, never reach the application,
// not even by way of handle_errors.
func TestS01Refused(t *testing.T) {
	b := newBed(t)
	upstream := strings.TrimPrefix(b.app.URL, "http://")
	b.Load(b.config(keyFile, protectAdmin+`protect FAILS /fails {
		match {
			expression `+"`{http.request.uri.path}.size() > 0 && int({http.vars.nothing}) > 0`"+`
		}
		grant one_time
	}
`, "handle_errors {\n reverse_proxy "+upstream+"\n}\n"))
	nobody := &person{b: b}
	for _, tc := range []struct{ method, path string }{
		{"GET", "/admin/"}, {"GET", "/fails"}, {"POST", "/.step-up/unknown"}, {"GET", "/.step-up/"}, {"FROB", "/"},
	} {
		resp, answer := nobody.do(tc.method, tc.path, nil)
		if resp.StatusCode < 400 || answer["text"] == "application" {
			t.Errorf("%s %s: %d %v", tc.method, tc.path, resp.StatusCode, answer)
		}
	}
	if got := b.app.requests(); len(got) > 0 {
		t.Errorf("%d refused requests reached the application, the first for %s", len(got), got[0].RequestURI)
	}
}

// TestS01Panic: a module of somebody else's that panics refuses the request.
func TestS01Panic(t *testing.T) {
	b := newBed(t)
	b.Load(strings.Replace(b.config(keyFile, protectAdmin, "handle_errors {\n reverse_proxy "+strings.TrimPrefix(b.app.URL, "http://")+"\n}\n"),
		"placeholder {http.vars.user}", "panicking", 1))
	resp, answer := (&person{b: b, name: "alice"}).do("GET", "/admin/", nil)
	if resp.StatusCode != 503 || answer["code"] != "unavailable" || len(b.app.requests()) > 0 {
		t.Errorf("got %d %v, and %d requests reached the application", resp.StatusCode, answer, len(b.app.requests()))
	}
	if resp, _ := (&person{b: b, name: "alice"}).do("GET", "/.step-up/", nil); resp.StatusCode != 503 {
		t.Errorf("a page gave %d, want 503", resp.StatusCode)
	}
	if !strings.Contains(b.Log(), "out of its wits") {
		t.Error("the panic is not in the log")
	}
}

// panicking is an identity source that panics.
type panicking struct{}

func init() { caddy.RegisterModule(panicking{}) }

func (panicking) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.identity.panicking", New: func() caddy.Module { return new(panicking) }}
}

func (*panicking) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }

func (*panicking) Identify(*http.Request) (caddymodule.Identity, error) { panic("out of its wits") }

var _ caddymodule.IdentitySource = (*panicking)(nil)

// TestS03GivenBack: a one-time grant comes back where the application was not
// reached, and only there.
func TestS03GivenBack(t *testing.T) {
	b := newBed(t)
	dying := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer dying.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	b.Load(b.config(keyFile, protectTransfer, `
	@closed header X-Upstream closed
	reverse_proxy @closed `+strings.TrimPrefix(closed.URL, "http://")+`
	@dying header X-Upstream dying
	reverse_proxy @dying `+strings.TrimPrefix(dying.URL, "http://")))
	alice := b.enroll("alice")
	post := func(upstream string, grant *http.Cookie) int {
		t.Helper()
		r, err := http.NewRequest("POST", b.URL+"/transfer", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Test-User", "alice")
		r.Header.Set("X-Upstream", upstream)
		r.AddCookie(grant)
		resp, _ := b.send(r)
		return resp.StatusCode
	}
	once := alice.win("TRANSFER")
	if status := post("closed", once); status != 502 {
		t.Fatalf("nobody there: %d, want 502", status)
	}
	if status := post("", once); status != 200 {
		t.Errorf("after that: %d, want 200 with the grant given back", status)
	}
	once = alice.win("TRANSFER")
	if status := post("dying", once); status != 502 {
		t.Fatalf("taken and failed: %d, want 502", status)
	}
	if status := post("", once); status != 401 {
		t.Errorf("after that: %d, want 401 with the grant spent", status)
	}
}

func TestValidateBesideRunningServer(t *testing.T) {
	b := newBed(t)
	text := b.config(keyFile, protectAdmin, "")
	b.Load(text)
	grant := b.enroll("alice").win("ADMIN")
	adapted, err := b.Adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	if err := json.Unmarshal(adapted, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Errorf("validating beside the running server: %v", err)
	}
	if resp, _ := (&person{b: b, name: "alice"}).do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
		t.Errorf("a grant after validate: %d", resp.StatusCode)
	}
}

// Validate provisions: it must make neither database nor key.
func TestValidateMakesNothing(t *testing.T) {
	b := newBed(t)
	adapted, err := b.Adapt(b.config(keyFile, protectAdmin, ""))
	if err != nil {
		t.Fatal(err)
	}
	var cfg caddy.Config
	if err := json.Unmarshal(adapted, &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"data", "key"} {
		if _, err := os.Stat(filepath.Join(b.Dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s exists after validate (%v)", name, err)
		}
	}
}

func TestRejectedReloadChangesNothing(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")

	for name, text := range map[string]string{
		"another key":         b.config("key_file {{dir}}/other\n", protectAdmin, ""),
		"a missing variable":  b.config("key {env.STEP_UP_TEST_IS_NOT_SET}\n", protectAdmin, ""),
		"a key in the data":   b.config("key_file {{dir}}/data/key\n", protectAdmin, ""),
		"a matcher of no use": b.config(keyFile, protectAdmin+"protect B {\nmatch {\nexpression `not an expression`\n}\ngrant one_time\n}\n", ""),
		"a later handler":     b.config(keyFile, protectAdmin, "@bad path_regexp [\nrespond @bad no\n"),
		"the http app":        b.config(keyFile, protectAdmin, "respond {\nclose\n}\nhandle_path\n"),
	} {
		if err := b.TryLoad(text); err == nil {
			t.Errorf("%s was accepted", name)
			b.Load(b.config(keyFile, protectAdmin, ""))
		}
		if resp, answer := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
			t.Errorf("after %s was refused, the grant gives %d %v", name, resp.StatusCode, answer)
		}
	}
	// The one who asked for another key is told what to write.
	err := b.TryLoad(b.config("key_file {{dir}}/other\n", protectAdmin, ""))
	if err == nil || !strings.Contains(err.Error(), "in use with another key") {
		t.Errorf("another key: %v", err)
	}
	// None of them took a reference with it: once Caddy stops, the directory is
	// free.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	s, err := badgerstore.Open(badgerstore.Options{Dir: filepath.Join(b.Dir, "data")})
	if err != nil {
		t.Fatalf("after Stop the directory is still held: %v", err)
	}
	s.Close()
}

// TestS03Reloads: while configurations come and go, a one-time grant opens one
// request, and no request is lost.
func TestS03Reloads(t *testing.T) {
	b := newBed(t)
	variants := []string{
		b.config(keyFile, protectAdmin+protectTransfer, ""),
		b.config(keyFile, protectTransfer+protectAdmin, "header X-Variant 2"),
	}
	b.Load(variants[0])
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	once := alice.win("TRANSFER")

	var passed, wrong atomic.Int32
	stop := make(chan struct{})
	var busy sync.WaitGroup
	// ask returns the status, or 0 where the connection was cut: while two
	// servers hold the port, the kernel may hand a new connection to the one
	// that is about to leave, with or without us.
	ask := func(method, path string, cookie *http.Cookie) int {
		r, err := http.NewRequest(method, b.URL+path, nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("X-Test-User", "alice")
		r.AddCookie(cookie)
		resp, err := b.Client.Do(r)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for range 8 {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status := ask("GET", "/admin/", grant); status != 200 && status != 0 {
					wrong.Add(1)
				}
				switch ask("POST", "/transfer", once) {
				case 200:
					passed.Add(1)
				case 401, 0:
				default:
					wrong.Add(1)
				}
			}
		})
	}
	for i := range 20 {
		b.Load(variants[(i+1)%2])
	}
	close(stop)
	busy.Wait()
	reached := 0
	for _, r := range b.app.requests() {
		if r.Method == "POST" {
			reached++
		}
	}
	if passed.Load() > 1 || reached != 1 || wrong.Load() > 0 {
		t.Errorf("%d requests passed on the one-time grant and %d reached the application, %d answers were wrong; want 1, 1 and 0",
			passed.Load(), reached, wrong.Load())
	}
}

// A reload keeps what is stored; a stop and a start too. That a start is the first
// one, and so makes a new database and key, is told with both paths, once.
func TestRestart(t *testing.T) {
	b := newBed(t)
	text := b.config(keyFile, protectAdmin, "")
	b.Load(text)
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	b.Load(text)
	if resp, answer := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
		t.Errorf("after a restart: %d %v", resp.StatusCode, answer)
	}
	first := 0
	for line := range strings.Lines(b.Log()) {
		if strings.Contains(line, `"msg":"first start: a new database and a new key were created`) {
			first++
			if !strings.Contains(line, `"level":"warn"`) || !strings.Contains(line, `"dir":"/`) || !strings.Contains(line, `"key_file":"/`) {
				t.Error(line)
			}
		}
	}
	if first != 1 {
		t.Errorf("the first start was told %d times", first)
	}
}

// TestS16KeyAndData: one without the other refuses to start, with a sentence.
func TestS16KeyAndData(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"key lost":    {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "key")) }, "restore"},
		"data lost":   {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "data")) }, "restore"},
		"another key": {func(t *testing.T, dir string) { exchangeKey(t, filepath.Join(dir, "key")) }, "another key"},
		"key for all": {func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, "key"), 0o644) }, "chmod 600"},
		"in use": {func(t *testing.T, dir string) {
			s, err := badgerstore.Open(badgerstore.Options{Dir: filepath.Join(dir, "data")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
		}, "in use by another process"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			text := b.config(keyFile, protectAdmin, "")
			b.Load(text)
			b.enroll("alice")
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, b.Dir)
			err := b.TryLoad(text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a sentence with %q", err, tc.want)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func exchangeKey(t *testing.T, path string) {
	t.Helper()
	remove(t, path)
	if err := seal.CreateFile(path, seal.GenerateKey()); err != nil {
		t.Fatal(err)
	}
}

// JSON is held to what the Caddyfile is.
func TestS20S21JSON(t *testing.T) {
	b := newBed(t)
	for name, tc := range map[string]struct{ handler, want string }{
		"no rules":    {`{"identity":{"source":"placeholder","placeholder":"{http.auth.user.id}"}}`, "protects nothing"},
		"no identity": {`{"rules":[{"action":"A","any":true,"grant":"one_time"}]}`, "who is asking"},
		"two demands": {`{"identity":{"source":"placeholder","placeholder":"{http.auth.user.id}"},"rules":[{"action":"A","on":{"path":["/a"]},"grant":"one_time"},{"action":"A","any":true,"grant":"time_based"}]}`, "another demand"},
		"dead rule":   {`{"identity":{"source":"placeholder","placeholder":"{http.auth.user.id}"},"rules":[{"action":"A","any":true,"grant":"one_time"},{"action":"B","on":{"path":["/a"]},"grant":"one_time"}]}`, "never be reached"},
		"forged name": {`{"identity":{"source":"placeholder","placeholder":"{http.request.header.X-User}"},"rules":[{"action":"A","any":true,"grant":"one_time"}]}`, "written by the client"},
		"misspelled":  {`{"identity":{"source":"placeholder","placeholder":"{http.auth.user.id}"},"rulez":[],"rules":[{"action":"A","any":true,"grant":"one_time"}]}`, "rulez"},
	} {
		handler := `{"handler":"step_up",` + tc.handler[1:]
		text := `{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"s":{"listen":["localhost:` + b.Port + `"],"routes":[{"handle":[` + handler + `]}]}}}}}`
		if err := caddy.Load([]byte(text), true); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want a sentence with %q", name, err, tc.want)
		}
	}
}

// TestS21Tenants: "alice" of two sources is two people.
func TestS21Tenants(t *testing.T) {
	b := newBed(t)
	second := func(settings string) string {
		return b.config(keyFile, protectAdmin, "") + "\nhttp://127.0.0.1:{{port}} {\nstep_up {\n" + settings + protectAdmin + "}\nrespond ok\n}\n"
	}
	for name, tc := range map[string]struct{ settings, want string }{
		"same source":         {"identity placeholder {http.vars.user}\n", ""},
		"other source":        {"identity placeholder {http.auth.user.id}\n", "share the tenant"},
		"other source apart":  {"identity placeholder {http.auth.user.id}\ntenant other\n", ""},
		"same source, exact":  {"identity placeholder {http.vars.user}\nuser_id exact\n", "compare user ids differently"},
		"exact, on its own":   {"identity placeholder {http.vars.user}\nuser_id exact\ntenant other\n", ""},
		"said to be default":  {"identity placeholder {http.auth.user.id}\ntenant default\n", "share the tenant"},
		"said to be foldable": {"identity placeholder {http.vars.user}\nuser_id folded\n", ""},
	} {
		err := b.TryLoad(second(tc.settings))
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

// TestS21TwoCredentials: Caddy reads the first, the application maybe the last.
func TestS21TwoCredentials(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	grant := b.enroll("alice").win("ADMIN")
	r, _ := http.NewRequest("GET", b.URL+"/admin/", nil)
	r.Header.Set("X-Test-User", "alice")
	r.Header["Authorization"] = []string{"Basic YWxpY2U6eA==", "Basic Ym9iOng="}
	r.AddCookie(grant)
	if resp, answer := b.send(r); resp.StatusCode != 400 {
		t.Errorf("two credentials: %d %v, want 400", resp.StatusCode, answer)
	}
}
