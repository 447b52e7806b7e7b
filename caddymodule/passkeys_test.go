package caddymodule_test

import (
	"slices"
	"strings"
	"testing"
)

// A rule that takes only what the gateway does not offer protects a page that
// nobody can reach; and a challenge names no method that there is not.
func TestMethodsThatAreNotOffered(t *testing.T) {
	b := newBed(t)
	rule := func(methods string) string {
		return "protect ADMIN /admin {\n grant time_based 10m\n " + methods + "\n}"
	}
	for methods, global := range map[string]string{"methods passkey": "passkeys off", "methods sms": "", "methods passkey sms": "passkeys off"} {
		if err := b.TryLoad(b.config(keyFile+global, rule(methods), "")); err == nil || !strings.Contains(err.Error(), "nobody could pass") {
			t.Errorf("%s with %q: %v", methods, global, err)
		}
	}
	for global, want := range map[string][]any{"": {"passkey", "totp", "recovery_code"}, "passkeys off": {"totp", "recovery_code"}} {
		b.Load(b.config(keyFile+global, rule(""), ""))
		alice := &person{b: b, name: "alice"}
		_, answer := alice.do("GET", "/admin", nil)
		if got, _ := answer["methods"].([]any); !slices.Equal(got, want) {
			t.Errorf("%q: %v", global, got)
		}
	}
}
