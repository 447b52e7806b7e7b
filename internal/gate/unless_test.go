package gate_test

import (
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// A rule with harmless values covers what is not certainly one of them, and leaves
// the rest to the rules behind it.
func TestS22HarmlessValues(t *testing.T) {
	harmless, err := form("op").Unless("login", "logout")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{
			{Demand: pay, Match: below("/x"), Fields: []readings.Field{harmless}},
			{Demand: stop, Match: below("/x"), Fields: []readings.Field{form("op", "logout")}},
		}
	})
	const urlencoded = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		method, target, contentType, body string
		want                              int
	}{
		{"GET", "/x?op=login", "", "", 200},
		{"POST", "/x", urlencoded, "op=login&password=a%26b", 200},
		{"POST", "/x", urlencoded, "op=logout", 401},
		{"POST", "/x", urlencoded, "op=delete", 401},
		{"POST", "/x", urlencoded, `op=\login`, 401},
		{"POST", "/x", urlencoded, "OP=login", 401},
		{"POST", "/x?op=login", urlencoded, "op=login", 401},
		{"POST", "/x?op=login", "application/xml", "<op>delete</op>", 401}, // both of the two
		{"GET", "/x", "", "", 401},
		{"GET", "/y", "", "", 200},
		{"GET", "/%78?op=login", "", "", 200},
	} {
		s.expect(s.do(tt.method, tt.target, tt.body, "Content-Type", tt.contentType), tt.want, tt.want == 200)
	}
}

// Methods that the operator takes for safe are, unless something may make another
// of them.
func TestS07FurtherSafeMethods(t *testing.T) {
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{{Demand: admin, Unsafe: true, SafeMethods: []string{"PROPFIND", "REPORT"}, Except: []string{"/login"}}}
	})
	const xml = "application/xml"
	for _, tt := range []struct {
		method, target, body string
		headers              []string
		want                 int
	}{
		{"PROPFIND", "/dav/", "<propfind/>", []string{"Content-Type", xml}, 200},
		{"REPORT", "/dav/", "<report/>", []string{"Content-Type", xml}, 200},
		{"PROPFIND", "/%64av/..%2f", "", nil, 200},
		{"PROPPATCH", "/dav/", "", nil, 401},
		{"POST", "/dav/", "", nil, 401},
		{"PROPFIND", "/dav/?_method=delete", "", nil, 401},
		{"PROPFIND", "/dav/", "", []string{"X-HTTP-Method-Override", "PROPPATCH"}, 401},
		{"PROPFIND", "/dav/", "", []string{"X-HTTP-Method-Override", "REPORT"}, 200},
		{"POST", "/dav/", "", []string{"X-HTTP-Method-Override", "REPORT"}, 401},
		{"PROPFIND", "/dav/", "_method=put", []string{"Content-Type", "application/x-www-form-urlencoded"}, 401},
		{"PROPFIND", "/dav/", "xx", []string{"Content-Type", "application/x-www-form-urlencoded", "Content-Encoding", "br"}, 401},
		{"PROPFIND", "/dav/", "", []string{"Connection", "Upgrade", "Upgrade", "websocket"}, 200}, // S23: an upgrade is by GET, and goes no further here
		{"SEARCH", "/dav/", "", nil, 401},
	} {
		s.expect(s.do(tt.method, tt.target, tt.body, tt.headers...), tt.want, tt.want == 200)
	}
}
