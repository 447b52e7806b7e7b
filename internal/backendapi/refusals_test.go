package backendapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// Bad keys, scopes and tenants are told, with who asked as far as that is known, and
// never with what was sent in the place of a key (S13).
func TestS13RefusalsAreTold(t *testing.T) {
	var told []ceremony.Event
	w := newWorld(t, func(o *Options) {
		o.Refused = func(_ context.Context, e ceremony.Event) { told = append(told, e) }
	})
	reader := w.key(ceremonytest.Tenant, nil, apikeys.ScopeRead)
	payer := w.key(ceremonytest.Tenant, []string{"PAY"}, apikeys.ScopeVerify)
	bad := reader[:len(reader)-3] + "xyz"
	w.Enroll("alice")
	for _, c := range []struct {
		cause string
		actor ceremony.ActorKind
		ask   ask
	}{
		{"key_missing", ceremony.ByNobody, ask{method: "GET", path: userPath + "alice/mfa"}},
		{"bad_key", ceremony.ByNobody, ask{method: "GET", path: userPath + "alice/mfa", key: bad}},
		{"key_scope", ceremony.ByKey, ask{method: "POST", path: verifyTOTPPath, key: reader, body: totpBody("PAY", "alice", "000000")}},
		{"key_scope", ceremony.ByKey, ask{method: "POST", path: verifyTOTPPath, key: payer, body: totpBody("OTHER", "alice", "000000")}},
		{"wrong_tenant", ceremony.ByKey, ask{method: "GET", path: userPath + "alice/mfa", key: reader, header: http.Header{"X-Tenant-Id": {"other"}}}},
		{"", "", ask{method: "GET", path: userPath + "alice/mfa", key: reader}},
		{"", "", ask{method: "GET", path: userPath + "nobody/mfa", key: reader}},
	} {
		told = nil
		w.do(c.ask)
		if c.cause == "" {
			if len(told) > 0 {
				t.Errorf("%s %s: told %+v", c.ask.method, c.ask.path, told)
			}
			continue
		}
		if len(told) != 1 || told[0].Kind != ceremony.EventAPICall || told[0].Outcome != ceremony.Refused || told[0].Cause != c.cause || told[0].Actor.Kind != c.actor || told[0].Address == "" || told[0].Time.IsZero() {
			t.Fatalf("%s: told %+v", c.cause, told)
		}
		if c.actor == ceremony.ByKey && (!strings.HasPrefix(told[0].Actor.ID, "key_") || told[0].Actor.Label != "test" || told[0].Subject.Tenant != ceremonytest.Tenant) {
			t.Errorf("%s: told %+v", c.cause, told)
		}
		if text := fmt.Sprintf("%+v", told); strings.Contains(text, reader) || strings.Contains(text, bad) || strings.Contains(text, payer) {
			t.Errorf("%s: the key is told: %s", c.cause, text)
		}
	}
	told = nil
	for range 2 * badBurst {
		w.get(userPath+"alice/mfa", bad)
	}
	if !slices.ContainsFunc(told, func(e ceremony.Event) bool { return e.Cause == "too_many_bad_keys" }) {
		t.Error("the limit of bad keys is not told")
	}
}
