package portal

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/totp"
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
	if n := strings.Count(page.body, "API key"); n != 1 || !strings.Contains(strip(page.body), "API key key_7Qm2xT · ") {
		t.Errorf("%d keys are named: %s", n, strip(page.body))
	}
}

// TestActivityNamesTheAuthenticator tells which one was used, renamed and removed.
func TestActivityNamesTheAuthenticator(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	c.prove(p, c.begin(reports, "/reports")).want(t, 200)
	rename := "/authenticators/" + p.id
	c.prove(p, c.call("PATCH", rename, obj{"label": "Work phone"}).want(t, 401).str("challenge_id")).want(t, 200)
	c.call("PATCH", rename, obj{"label": "Work phone"}).want(t, 200)
	page := strip(c.get(Prefix).want(t, 200).body)
	for _, want := range []string{"added: Phone", "renamed: Work phone", "View reports just now · Authenticator app · Phone"} {
		if !strings.Contains(page, want) {
			t.Errorf("the activity lacks %q: %s", want, page)
		}
	}
	c.prove(p, c.call("DELETE", rename, nil).want(t, 401).str("challenge_id")).want(t, 200)
	c.call("DELETE", rename, nil).want(t, 204)
	if page := strip(c.get(Prefix).want(t, 200).body); !strings.Contains(page, "removed: Work phone") {
		t.Errorf("what was removed is not named: %s", page)
	}
}

// TestNamesThatNobodyGave are in the language of the page that sets an
// authenticator up.
func TestNamesThatNobodyGave(t *testing.T) {
	for lang, want := range map[string]string{"de": "Authenticator-App", "ja": "認証アプリ", "en": "Authenticator app"} {
		s := newSite(t)
		c := s.browser("alice")
		c.get(Prefix + "enroll")
		shown := c.post(Prefix+"enroll", url.Values{"kind": {"totp"}, "label": {" "}}, "Accept-Language", lang).to(t)
		key := keyOf(t, secretOn(t, c.get(shown).want(t, 200).body))
		code, err := totp.Code(key, s.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		c.post(shown+"/confirm", url.Values{"code": {code}}).want(t, 200)
		if me := c.call("GET", "/me", nil).want(t, 200); !strings.Contains(me.body, `"label":"`+want+`"`) {
			t.Errorf("%s: not called %q: %s", lang, want, me.body)
		}
	}
}
