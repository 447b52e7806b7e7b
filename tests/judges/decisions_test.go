//go:build components

package judges

import "github.com/stepup-gateway/caddy-stepup/internal/readings/spellings"

// byDecision reports whether a request that ran a handler is of a kind that passes
// by decision; see [spellings.Decisions].
func byDecision(r request, ran string) bool {
	if ran != "EXACT" {
		return false
	}
	for _, d := range spellings.Decisions() {
		if d.Covers(r.method, r.target) {
			return true
		}
	}
	return false
}
