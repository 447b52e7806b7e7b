package sources

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// TestS21IdentityPlaceholder: whose name the client can write is refused, in JSON
// as in the Caddyfile, whose refusals are among the goldens.
func TestS21IdentityPlaceholder(t *testing.T) {
	for placeholder, accepted := range map[string]bool{
		"{http.auth.user.id}":                       true,
		"{http.auth.user.email}":                    true,
		"{http.request.tls.client.subject}":         true,
		"{http.reverse_proxy.header.Remote-User}":   true,
		"{http.vars.user}":                          true,
		"{http.auth.candidate.id}":                  false,
		"{http.auth.user.}":                         false,
		"{http.auth.user}":                          false,
		"{HTTP.AUTH.USER.ID}":                       false,
		"{http.request.header.X-User}":              false,
		"{http.request.header.Remote-User}":         false,
		"{http.request.cookie.user}":                false,
		"{http.request.uri.query.user}":             false,
		"{http.request.uri.path.0}":                 false,
		"{http.request.host}":                       false,
		"{http.request.body}":                       false,
		"{http.request.tls.server_name}":            false,
		"{http.regexp.user.1}":                      false,
		"{http.matchers.file.relative}":             false,
		"{http.error.message}":                      false,
		"{env.USER}":                                false,
		"{file./etc/user}":                          false,
		"http.auth.user.id":                         false,
		"alice":                                     false,
		"":                                          false,
		"{}":                                        false,
		"{http.auth.user.id}x":                      false,
		"x{http.auth.user.id}":                      false,
		"{http.auth.user.id}{http.request.host}":    false,
		"{http.auth.user.{http.request.header.X}}":  false,
		"{http.auth.user.id\n}":                     false,
		`\{http.auth.user.id}`:                      false,
		"{http.auth.user.id:http.request.header.X}": false,
	} {
		source := &Placeholder{Placeholder: placeholder}
		if err := source.Provision(caddy.Context{}); (err == nil) != accepted {
			t.Errorf("%q: accepted %v, want %v (%v)", placeholder, err == nil, accepted, err)
		}
	}
}

func TestPlaceholderIdentify(t *testing.T) {
	identify := func(placeholder string, set map[string]any, state *tls.ConnectionState) (string, error) {
		t.Helper()
		source := &Placeholder{Placeholder: placeholder}
		if err := source.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		repl := caddy.NewEmptyReplacer()
		for k, v := range set {
			repl.Set(k, v)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.TLS = state
		r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl))
		who, err := source.Identify(r)
		if who.Session != "" || who.Subject.Tenant != "" {
			t.Errorf("%s: tenant %q and session %q from a placeholder", placeholder, who.Subject.Tenant, who.Session)
		}
		return who.Subject.User, err
	}

	const user = "{http.auth.user.id}"
	if got, err := identify(user, map[string]any{"http.auth.user.id": "alice"}, nil); got != "alice" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := identify("{http.reverse_proxy.header.remote-user}", map[string]any{"http.reverse_proxy.header.Remote-User": "alice"}, nil); got != "alice" || err != nil {
		t.Errorf("header in another spelling: got %q, %v", got, err)
	}
	for name, set := range map[string]map[string]any{
		"unset":     nil,
		"empty":     {"http.auth.user.id": ""},
		"candidate": {"http.auth.candidate.id": "alice"},
	} {
		if got, err := identify(user, set, nil); !errors.Is(err, identity.ErrNobody) || got != "" {
			t.Errorf("%s: got %q, %v, want nobody", name, got, err)
		}
	}

	// Under client_auth mode request a client shows whatever certificate it
	// made for itself.
	const cert = "{http.request.tls.client.subject}"
	set := map[string]any{"http.request.tls.client.subject": "CN=alice"}
	if got, err := identify(cert, set, &tls.ConnectionState{}); !errors.Is(err, identity.ErrNobody) {
		t.Errorf("unverified certificate: got %q, %v, want nobody", got, err)
	}
	if got, err := identify(cert, set, nil); !errors.Is(err, identity.ErrNobody) {
		t.Errorf("no TLS: got %q, %v, want nobody", got, err)
	}
	verified := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{}}}}
	if got, err := identify(cert, set, verified); got != "CN=alice" || err != nil {
		t.Errorf("verified certificate: got %q, %v", got, err)
	}
}

// TestEmailPlaceholder: what names the user vouches for the address.
func TestEmailPlaceholder(t *testing.T) {
	for _, c := range []struct {
		user, email string
		accepted    bool
	}{
		{"{http.auth.user.id}", "{http.auth.user.email}", true},
		{"{http.reverse_proxy.header.Remote-User}", "{http.reverse_proxy.header.remote-email}", true},
		{"{http.request.tls.client.subject}", "{http.request.tls.client.san.emails.0}", true},
		{"{http.vars.user}", "{http.vars.email}", true},
		{"{http.auth.user.id}", "{http.vars.email}", false},
		{"{http.request.tls.client.subject}", "{http.auth.user.email}", false},
		{"{http.auth.user.id}", "{http.reverse_proxy.header.Remote-Email}", false},
		{"{http.auth.user.id}", "{http.request.header.X-Email}", false},
		{"{http.auth.user.id}", "{http.request.uri.query.email}", false},
		{"{http.auth.user.id}", "alice@example.com", false},
	} {
		source := &Placeholder{Placeholder: c.user, Email: c.email}
		if err := source.Provision(caddy.Context{}); (err == nil) != c.accepted {
			t.Errorf("%s beside %s: %v", c.email, c.user, err)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	repl := caddy.NewReplacer()
	repl.Set("http.auth.user.id", "alice")
	repl.Set("http.auth.user.email", "alice@example.com")
	r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl))
	source := &Placeholder{Placeholder: "{http.auth.user.id}", Email: "{http.auth.user.email}"}
	if err := source.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if who, err := source.Identify(r); who.Email != "alice@example.com" || err != nil {
		t.Errorf("%+v, %v", who, err)
	}
}
