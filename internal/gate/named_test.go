package gate_test

import (
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// TestS23Destination: where MOVE and COPY put a resource is a path of the request,
// and so is what some applications take for the address from a header.
func TestS23Destination(t *testing.T) {
	s := newSite(t)
	for _, tt := range []struct {
		method, target, header, value string
		want                          int
	}{
		{"MOVE", "/assets/a", "Destination", "https://app.test/admin/x", 400}, // two actions: CHANGE by unsafe
		{"COPY", "/assets/a", "Destination", "/transfer/x", 401},
		{"COPY", "/assets/a", "Destination", "/assets/../transfer", 401},
		{"COPY", "/assets/a", "Destination", "http://h\\assets/b", 401},   //  no client writes it so
		{"COPY", "/assets/a", "Destination", "http://h/%61ssets/b", 401},  // as sent it is not excepted
		{"COPY", "/assets/a", "Destination", "http://h:81/assets/b", 200}, // as WebDAV clients write it
		{"COPY", "/assets/a", "Destination", "/assets/b", 200},
		{"GET", "/assets/a", "Destination", "/admin", 401},
		{"GET", "/assets/a", "X-Forwarded-Uri", "/admin", 401},
		{"GET", "/assets/a", "X-Original-Uri", "/x/%2e%2e/admin", 401},
		{"GET", "/assets/a", "X-Original-Uri", "/assets/a", 200},
		{"GET", "/assets/a", "X-Forwarded-Path", "/assets/b", 200},
		{"GET", "/foo/admin", "X-Script-Name", "/foo", 401},
		{"GET", "/foo/admin", "X-Forwarded-Prefix", "/foo/", 401},
		{"POST", "/login", "X-Forwarded-Prefix", "/foo", 200},
		{"POST", "/login", "X-Original-Uri", "/foo/login", 200}, // a proxy in front took /foo off
		{"BIND", "/assets/a", "X-Y", "", 405},
		{"LINK", "/assets/a", "X-Y", "", 405},
	} {
		a := s.do(tt.method, tt.target, "", tt.header, tt.value)
		s.expect(a, tt.want, tt.want == 200)
	}
}

// TestS06CutsBeforeDots: a router by prefix that resolves nothing runs what stands
// before the dots; with two rules the one's grant does not open the other's.
func TestS06CutsBeforeDots(t *testing.T) {
	pay := ceremonytest.Demand("PAY", grants.TimeBased, 10*60e9)
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{{Demand: admin, Match: below("/admin")}, {Demand: pay, Match: below("/pay")}}
	})
	grant := grantCookie(admin, s.token("alice", admin))
	for target, want := range map[string]int{
		"/admin/graphql/../..":     401,
		"/admin/..":                401,
		"/admin/x/../../public/y":  401,
		"/admin/%2e%2e/x":          401,
		"/admin/..;/x":             401,
		`/admin/..\x`:              401,
		"/pay/now/../../admin/x":   400,
		"/public/a/../b":           200,
		"/pay/..%2f..%2fadmin/..":  400,
		"/x/../pay/%2e%2e/admin/x": 400,
	} {
		s.expect(s.do("GET", target, ""), want, want == 200)
		if want == 400 || strings.HasPrefix(target, "/pay") {
			s.expect(s.do("GET", target, "", "Cookie", grant), 400, false)
		}
	}
}
