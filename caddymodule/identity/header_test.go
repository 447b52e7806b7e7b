package sources

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// TestS21HeaderSpellings: a second spelling of the field, which Caddy drops unless
// it is told not to, makes the request ambiguous.
func TestS21HeaderSpellings(t *testing.T) {
	h := &Header{Name: "remote-user"}
	if err := h.Provision(caddy.Context{Context: context.Background()}); err != nil {
		t.Fatal(err)
	}
	identify := func(trusted any, fields http.Header) (string, error) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = fields
		vars := map[string]any{caddyhttp.TrustedProxyVarKey: trusted}
		who, err := h.Identify(r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars)))
		if who.Session != "" || who.Subject.Tenant != "" {
			t.Errorf("tenant %q and session %q from a header", who.Subject.Tenant, who.Session)
		}
		return who.Subject.User, err
	}
	for _, c := range []struct {
		fields http.Header
		want   error
	}{
		{http.Header{"Remote-User": {"alice"}}, nil},
		{http.Header{"Remote-User": {"alice"}, "Remote-Username": {"bob"}, "X-Remote-User": {"bob"}}, nil},
		{http.Header{"Remote-User": {"alice"}, "Remote_user": {"bob"}}, identity.ErrAmbiguous},
		{http.Header{"Remote-User": {"alice"}, "Remote.user": {"bob"}}, identity.ErrAmbiguous},
		{http.Header{"Remote-User": {"alice"}, "REMOTE-USER": {"bob"}}, identity.ErrAmbiguous},
		{http.Header{"Remote_user": {"alice"}}, identity.ErrAmbiguous},
		{http.Header{"Remote-User": {"alice", "alice"}}, identity.ErrAmbiguous},
		{http.Header{"Remote-User": {"", "alice"}}, identity.ErrAmbiguous},
		{http.Header{"Remote-User": {"alice,bob"}}, identity.ErrAmbiguous},
		{http.Header{"Remote-User": {""}}, identity.ErrNobody},
		{http.Header{"Remote-User": {}}, identity.ErrNobody},
		{http.Header{}, identity.ErrNobody},
	} {
		for range 10 { // fields come in any order
			if user, err := identify(true, c.fields); !errors.Is(err, c.want) || (err == nil) != (user == "alice") {
				t.Fatalf("%v: %q, %v, want %v", c.fields, user, err, c.want)
			}
		}
		for _, untrusted := range []any{false, nil, "true"} {
			if user, err := identify(untrusted, c.fields); user != "" || !errors.Is(err, identity.ErrNobody) {
				t.Errorf("%v from a peer that is not trusted: %q, %v", c.fields, user, err)
			}
		}
	}
}

// TestS21HeaderEmail: an address that the client may have written beside the
// proxy's is none, and the user is known all the same.
func TestS21HeaderEmail(t *testing.T) {
	h := &Header{Name: "Remote-User", Email: "remote-email"}
	if err := h.Provision(caddy.Context{Context: context.Background()}); err != nil {
		t.Fatal(err)
	}
	const a, m = "alice@example.com", "mallory@example.net"
	for _, c := range []struct {
		fields http.Header
		want   string
	}{
		{http.Header{"Remote-Email": {a}}, a},
		{http.Header{"Remote-Email": {" " + a}, "X-Email": {m}}, a},
		{http.Header{"Remote-Email": {a, m}}, ""},
		{http.Header{"Remote-Email": {a}, "Remote_email": {m}}, ""},
		{http.Header{"Remote-Email": {a}, "REMOTE.EMAIL": {m}}, ""},
		{http.Header{"Remote_email": {m}}, ""},
		{http.Header{"Email": {m}, "X-Email": {m}}, ""},
		{http.Header{}, ""},
	} {
		c.fields["Remote-User"] = []string{"alice"}
		for range 10 { // fields come in any order
			r := httptest.NewRequest("GET", "/", nil)
			r.Header = c.fields
			ask := func(trusted bool) (Answer, error) {
				return h.Identify(r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.TrustedProxyVarKey: trusted})))
			}
			if who, err := ask(true); who.Subject.User != "alice" || who.Email != c.want || err != nil {
				t.Fatalf("%v: %+v, %v, want %q", c.fields, who, err, c.want)
			}
			if who, err := ask(false); who.Email != "" || err == nil {
				t.Fatalf("from a peer that is not trusted: %+v, %v", who, err)
			}
		}
	}
	for _, bad := range []string{"Remote-User", "remote-user", "Cookie", "X Email", "From:", "Step-Up-User"} {
		h := &Header{Name: "Remote-User", Email: bad}
		if err := h.Provision(caddy.Context{Context: context.Background()}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
