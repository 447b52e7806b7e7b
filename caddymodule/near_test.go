package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/readings/spellings"
)

const nearRules = `protect EXACT /exact /folder/ /Docs/index.php {
	grant time_based 10m
	except /exact.js
}
protect AREA /area/* {
	grant time_based 10m
}
protect NUMBER {
	match {
		path_regexp ^/reports/\d+$
	}
	grant time_based 10m
}
protect FILE {
	match {
		path_regexp ^/files/[a-z]+/index\.html$
	}
	grant time_based 10m
}
protect OTHER {
	match {
		path /other/*
		not path /other/open
	}
	grant time_based 10m
}
protect READ /api/report {
	grant time_based 10m
}
protect API /api/* {
	grant time_based 10m
}
`

// needs is the action that the gateway asks a stranger for, "" for none.
func (b *bed) needs(method, target string) string {
	b.t.Helper()
	r, err := http.NewRequest(method, b.URL, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.URL.Opaque = target
	r.Header.Set("X-Test-User", "alice")
	resp, problem := b.send(r)
	switch resp.StatusCode {
	case http.StatusOK:
		return ""
	case http.StatusUnauthorized:
		return problem["action_type"].(string)
	}
	return resp.Status
}

// TestS06Neighbours: where a rule names a path, it covers those at which many
// applications do the same.
func TestS06Neighbours(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, nearRules, ""))
	alice := b.enroll("alice")
	for target, want := range map[string]string{
		"/exact": "EXACT", "/exact.json": "EXACT", "/exact.HTML": "EXACT", "/Exact.json": "EXACT", "/exact.tar.gz": "EXACT", "/exact.png": "EXACT",
		"/exact/index.html": "EXACT", "/exact/index": "EXACT", "/exact/Default.aspx": "EXACT", "/exact%2ejson": "EXACT", "/exact.json/": "EXACT", "/x/../exact.json": "EXACT", "/exact.json;v=1": "EXACT",
		"/exact.css": "", "/exact.js": "", "/exactly": "", "/exact/more": "", "/exact/more.json": "", "/.exact": "", "/exact/.json": "",
		"/folder/": "EXACT", "/folder/index.html": "EXACT", "/folder/index.rhtml": "EXACT", "/folder/other.html": "",
		"/docs/index.php": "EXACT", "/docs/": "EXACT", "/docs": "EXACT", "/docs/index.html": "", "/docs/x": "",
		"/area.json": "AREA", "/area.ico": "", "/areas.json": "",
		"/reports/17": "NUMBER", "/reports/17.pdf": "NUMBER", "/reports/17.json": "NUMBER", "/reports/x.json": "",
		"/files/a/": "FILE", "/files/a/index.html": "FILE", "/files/a/index.htm": "", "/files/": "",
		"/other/x.json": "OTHER", "/other/open": "", "/other/open.json": "OTHER", "/other.json": "",
		"/api/report": "READ", "/api/other.json": "API", "/api/report.csv": "READ",
	} {
		if got := b.needs("GET", target); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	// Both rules are held: neither's grant alone opens another format.
	read, api := alice.win("READ"), alice.win("API")
	for _, alone := range []*http.Cookie{read, api} {
		if resp, _ := alice.do("GET", "/api/report.csv", nil, alone); resp.StatusCode != 401 {
			t.Errorf("with %s alone: %s", alone.Name, resp.Status)
		}
	}
	if resp, _ := alice.do("GET", "/api/report.csv", nil, read, api); resp.StatusCode != 200 {
		t.Errorf("with both: %s", resp.Status)
	}
	if got := b.needs("POST", "/exact.css"); got != "EXACT" {
		t.Errorf("POST /exact.css: %q", got)
	}
}

// TestS06PassesByDecision holds the list of what passes although some server takes
// it for a protected path to what the gateway does.
func TestS06PassesByDecision(t *testing.T) {
	b := newBed(t)
	for _, d := range spellings.Decisions() {
		b.Load(b.config(keyFile, "protect RULE "+d.Rule+" {\ngrant time_based 10m\n}\n", ""))
		if got := b.needs("GET", d.Rule); got != "RULE" {
			t.Errorf("%s itself: %q", d.Rule, got)
		}
		for _, target := range d.Examples {
			if got := b.needs("GET", target); got != "" {
				t.Errorf("%s is asked for: %q", target, got)
			}
			if d.Kind != nil && !d.Covers("GET", target) {
				t.Errorf("%s is not of its kind", target)
			}
		}
		for _, held := range []string{"/exact", "/exact.json", "/exact;x", "/exact%20", "/exact/x", "/exact%00x", "/exact;.css", "/exact%c2%a0"} {
			if d.Covers("GET", held) || d.Covers("POST", "/exact.css") {
				t.Errorf("%s is not to be of the kind of %q", held, d.Examples)
			}
		}
		if len(d.Examples) == 0 || len(d.Reason) < 40 || !strings.HasSuffix(d.Reason, ".") {
			t.Errorf("%+v lacks examples or a reason", d)
		}
	}
}
