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
