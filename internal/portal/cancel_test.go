package portal

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// TestCancelLeadsOut: where the page that one came from asks for a proof itself,
// such as one that was open until its grant ended, nobody is led there again.
func TestCancelLeadsOut(t *testing.T) {
	s := newSite(t, func(_ *ceremony.Settings, o *Options, _ *cameIn) {
		o.Asks = func(_ *http.Request, who ceremony.Principal, base, page string) bool {
			return who.User == "alice" && base == "" && page == "/reports?q=1"
		}
	})
	c := s.browser("alice")
	c.enroll()
	for from, want := range map[string]string{"/reports?q=1": Prefix + "?done=cancelled", "/other": "/other"} {
		id := c.begin(withdraw, "/transfer")
		c.get(Prefix + "challenge/" + id)
		done := c.post(Prefix+"challenge/"+id+"/cancel", url.Values{"from": {from}})
		to := done.Header.Get("Location")
		if refresh := done.Header.Get("Refresh"); refresh != "" {
			to = strings.TrimPrefix(refresh, "0;url=")
		}
		if to != want {
			t.Errorf("from %s: sent to %q, want %q", from, to, want)
		}
	}
}
