package gate_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// TestAsks tells of pages whether they are open to a browser with a grant for the
// administration, and again when that has ended.
func TestAsks(t *testing.T) {
	s := newSite(t)
	cookie := grantCookie(admin, s.token("alice", admin))
	alice := ceremony.Principal{Site: ceremonytest.Site, Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}}
	bob := ceremony.Principal{Site: ceremonytest.Site, Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: "bob"}}
	asks := func(who ceremony.Principal, base, page string) bool {
		r := httptest.NewRequest("POST", "/.step-up/challenge/abc/cancel", strings.NewReader("from=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", cookie)
		return s.Gate.Asks(r, who, base, page)
	}
	for _, c := range []struct {
		base, page string
		want       bool
	}{
		{"", "/", false}, {"", "/transfer?to=bob", false}, {"", "/admin/users?q=1", false}, {"/base", "/base/admin", false}, {"/base", "/base/x", false},
		{"/base", "/admin", true}, {"", "https://evil.example/", true}, {"", "//evil.example/", true}, {"", "", true}, {"", "/a\nb", true},
		{"", "/.step-up/x/../../%2estep-up/", true},
	} {
		if got := asks(alice, c.base, c.page); got != c.want {
			t.Errorf("base %q, page %q: asks %v", c.base, c.page, got)
		}
	}
	if !asks(bob, "", "/admin") {
		t.Error("alice's grant opens the page to bob")
	}
	s.Clock.Advance(11 * time.Minute)
	if !asks(alice, "", "/admin") || asks(alice, "", "/transfer") {
		t.Error("the grant has ended, and the page is still open to it")
	}
	if n := len(s.takeReached()); n != 0 || len(s.counted) != 0 {
		t.Errorf("%d requests reached the application, %v are counted", n, s.counted)
	}
}
