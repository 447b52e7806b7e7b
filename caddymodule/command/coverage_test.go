package command

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

var update = flag.Bool("update", false, "write the text that the command writes now")

// The command's text, as it stands in testdata.
func TestCoverageText(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one := func(method, path, suggestion string, count uint64) coverage.Sighting {
		return coverage.Sighting{Method: method, Path: path, Count: count, LastSeen: at.Add(time.Hour), Suggestion: suggestion}
	}
	var out bytes.Buffer
	writeCoverage(&out, adminapi.CoverageAnswer{Tenants: []adminapi.TenantCoverage{
		{
			Tenant: "staff", Since: at,
			Uncovered: []coverage.Sighting{one("POST", "/users/{id}/edit", "protect POST_USERS_EDIT /users/*/edit", 1234), one("DELETE", "/{id}", "", 1)},
			Excepted:  []coverage.Sighting{one("POST", "/login", "", 7)},
			NotListed: 3,
			Rules: []adminapi.RuleCoverage{
				{Rule: `protect ADMIN path ["/admin/*"] grant time_based 10m`, Action: "ADMIN", Mode: "enforce", Requests: 12},
				{Rule: "protect CHANGE unsafe grant time_based 10m mode observe", Action: "CHANGE", Mode: "observe"},
			},
		},
		{
			Tenant: "guests", Since: at,
			Rules: []adminapi.RuleCoverage{{Rule: "protect ALL * grant time_based 10m mode observe", Action: "ALL", Mode: "observe", Requests: 2}},
		},
	}}, time.UTC)
	const golden = "testdata/coverage.txt"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
