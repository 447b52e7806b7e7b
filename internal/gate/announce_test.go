package gate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// The application is told what is announced and nothing else, and a client can
// say nothing of it, whatever is announced (S08).
func TestS08AnnouncedAndNothingElse(t *testing.T) {
	names := []string{"Step-Up-User", "Step-Up-Action", "Step-Up-Method", "Step-Up-Amr", "Step-Up-Auth-Time"}
	for what := range gate.AnnounceAll + 1 {
		s := newSite(t, func(o *gate.Options) { o.Announce = what })
		for _, path := range []string{"/admin", "/transfer", "/"} {
			fields, method := []string{"Cookie", grantCookie(admin, s.token("alice", admin))}, "GET"
			if path == "/transfer" {
				fields[1], method = grantCookie(transfer, s.token("alice", transfer)), "POST"
			}
			for _, n := range names {
				fields = append(fields, n, "forged")
			}
			s.do(method, path, "alice", fields...)
			var want, got []string
			for i, n := range names {
				if what>>i&1 == 1 && path != "/" {
					want = append(want, n)
				}
			}
			r := s.reached[len(s.reached)-1]
			if r.URL.Path != path {
				t.Fatal(r.URL.Path)
			}
			for n, values := range r.Header {
				if strings.HasPrefix(n, "Step-Up-") {
					got = append(got, n)
					if len(values) != 1 || values[0] == "forged" || cap(values) != 1 {
						t.Errorf("%s: %q", n, values)
					}
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%05b %s: %q, want %q", what, path, got, want)
			}
		}
	}
}
