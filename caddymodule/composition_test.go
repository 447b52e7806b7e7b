package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// A composition that protects nothing, or not what it names, is refused when it
// loads, with a sentence that says what to write; one that works is not.
func TestS28Compositions(t *testing.T) {
	const gate = `step_up {
		identity placeholder {http.auth.user.id}
		protect %s /admin/* {
			grant time_based 10m
		}
	}
	`
	one, two := strings.Replace(gate, "%s", "ONE", 1), strings.Replace(gate, "%s", "TWO", 1)
	const app = "reverse_proxy localhost:9\n"
	for name, c := range map[string]struct{ global, site, want string }{
		"two in one site":             {"", one + two + app, "two step_up"},
		"a second in a route":         {"", one + "route {\n" + two + app + "}\n", "two step_up"},
		"a second in a handle":        {"", one + "handle {\n" + two + app + "}\n", "two step_up"},
		"narrowed by handle":          {"", "handle /admin/* {\n" + one + app + "}\n" + app, "own pages"},
		"narrowed by route":           {"", "route /admin/* {\n" + one + app + "}\n" + app, "own pages"},
		"narrowed by method":          {"", "@post method POST\nroute @post {\n" + one + app + "}\n" + app, "own pages"},
		"narrowed by not":             {"", "@not not path /.step-up/* /x\nroute @not {\n" + one + app + "}\n" + app, "own pages"},
		"narrowed by expression path": {"", "@re path_regexp ^/admin\nhandle @re {\n" + one + app + "}\n" + app, "own pages"},
		"behind a proxy in a route":   {"", "route {\n" + app + one + "}\n", "reached by no request"},
		"ordered after":               {"order step_up after reverse_proxy\n", one + app, "reached by no request"},
		"behind a file server":        {"", "route {\nroot * /nowhere\nfile_server\n" + one + "}\n", "reached by no request"},
		"two in handle_errors":        {"", one + app + "handle_errors {\nroute {\n" + app + two + "}\n}\n", "handle_errors"},

		"plain":                 {"", one + app, ""},
		"in a route":            {"", "route {\n" + one + app + "}\n", ""},
		"in handle_path":        {"", "handle_path /app/* {\n" + one + app + "}\nrespond 404\n", ""},
		"in the other handle":   {"", "handle /public/* {\nrespond ok\n}\nhandle {\n" + one + app + "}\n", ""},
		"handles behind":        {"", one + "handle /a/* {\n" + app + "}\nhandle {\n" + app + "}\n", ""},
		"by host":               {"", "@a host a.test\n@b host b.test\nhandle @a {\n" + one + app + "}\nhandle @b {\n" + two + app + "}\n", ""},
		"forward_auth in front": {"", "forward_auth localhost:9 {\nuri /auth\ncopy_headers X-User\n}\n" + one + app, ""},
		"redirects in front":    {"", "redir /old /new\n" + one + app, ""},
		"a page of errors":      {"", one + app + "handle_errors {\nrewrite * /error.html\n" + app + "}\n", ""},
		"errors are answered":   {"", one + app + "handle_errors {\nrespond {err.status_code}\n}\n", ""},
		"from outside only":     {"", "@out not remote_ip 10.0.0.0/8\nroute @out {\n" + one + app + "}\n" + app, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := "{\nadmin off\nauto_https off\npersist_config off\n" + c.global + "step_up {\nstore badger {\ndir " + dir + "/data\n}\nkey_file " + dir + "/key\nallow_plain_http\n}\n}\nhttp://:9999 {\n" + c.site + "}\n"
			err := validate(t, text)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func validate(t *testing.T, text string) error {
	t.Helper()
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	var cfg caddy.Config
	if err := caddy.StrictUnmarshalJSON(out, &cfg); err != nil {
		return err
	}
	return caddy.Validate(&cfg)
}

// What basic_auth refuses, and handle_errors passes on, says nothing to the
// application in the gateway's name; and the operator is told.
func TestS08HandleErrorsScrubs(t *testing.T) {
	b := newBed(t)
	to := strings.TrimPrefix(b.app.URL, "http://")
	b.Load(b.config(keyFile, protectAdmin, "basic_auth {\nalice $2a$04$wvVv5x3X1gWOUgsAsA4Ci.XDnRJ1dNrjkHxZzAoO4RZ1hQWWO2UIu\n}\nhandle_errors {\nreverse_proxy "+to+"\n}\n"))
	r, err := http.NewRequest("POST", b.URL+"/admin/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Step-Up-User", "root")
	r.Header.Set("X-Original-URL", "/x")
	b.send(r)
	got := b.app.requests()
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	if h := got[0].Header; h.Get("Step-Up-User") != "" || h.Get("X-Original-URL") != "" {
		t.Errorf("the application heard %v", h)
	}
	if log := b.Log(); !strings.Contains(log, "handle_errors passes requests") {
		t.Error("nothing was said at load")
	}
}

// A handle beside step_up that leads to the same application is told.
func TestS28WaysAroundAreTold(t *testing.T) {
	b := newBed(t)
	to := strings.TrimPrefix(b.app.URL, "http://")
	c := b.config(keyFile, protectAdmin, "")
	c = strings.Replace(c, "\tvars user", "\troute {\nreverse_proxy /public/* "+to+"\nvars user", 1)
	b.Load(strings.TrimSuffix(c, "}\n") + "}\n}\n")
	if log := b.Log(); !strings.Contains(log, "without passing step_up") || !strings.Contains(log, "/public/*") {
		t.Error("nothing was said at load")
	}
}
