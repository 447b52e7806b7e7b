package coverage_test

import (
	"encoding/json"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

// A host counts as the operator's where a route names it; what takes every host names
// none.
func TestHostsThatRoutesName(t *testing.T) {
	var routes []coverage.Route
	if err := json.Unmarshal([]byte(`[
		{"match": [{"host": ["bank.example.com", "*.shops.example.com", "*", "*.com", "{env.HOST}"]}, {"path": ["/x"]}],
		 "handle": [{"handler": "subroute", "routes": [{"match": [{"host": ["Inner.example"]}]}]}]},
		{"handle": [{"handler": "static_response"}]}
	]`), &routes); err != nil {
		t.Fatal(err)
	}
	var hosts coverage.Hosts
	if hosts.Names("bank.example.com") {
		t.Error("the zero value names a host")
	}
	hosts.Add(routes)
	for host, want := range map[string]bool{
		"bank.example.com": true, "BANK.example.com": true, "a.shops.example.com": true, "inner.example": true,
		"shops.example.com": false, "b.a.shops.example.com": false, "evil.example": false, "evil.com": false, "*": false, "{env.HOST}": false, "": false,
	} {
		if hosts.Names(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
