package portal

import (
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// TestActivityNamesTheKey shows a person which of the operator's API keys did
// something in their name.
func TestActivityNamesTheKey(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	who := grants.Subject{Tenant: "staff", User: "alice"}
	for _, client := range []string{"key_7Qm2xT", ceremony.UserClient} {
		answer := ceremony.Answer{Method: grants.TOTP, Code: p.code(c)}
		if _, err := s.service.Prove(t.Context(), ceremony.ServerPrincipal(who, client, "192.0.2.9"), reports, answer); err != nil {
			t.Fatal(err)
		}
	}
	page := c.get(Prefix).want(t, 200)
	if n := strings.Count(page.body, "API key"); n != 1 || !strings.Contains(page.body, "API key key_7Qm2xT · ") {
		t.Errorf("%d keys are named: %s", n, strip(page.body))
	}
}
