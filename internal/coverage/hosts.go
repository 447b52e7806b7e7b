package coverage

import (
	"encoding/json"
	"strings"
)

// Hosts are the hosts that an operator's routes name. The zero value has none. What is
// added must be before anybody asks.
type Hosts struct{ named []string }

// Add adds the hosts of routes and of the routes in them.
func (h *Hosts) Add(routes []Route) {
	for _, r := range routes {
		for _, set := range r.Match {
			var hosts []string
			if json.Unmarshal(set["host"], &hosts) == nil {
				h.named = append(h.named, hosts...)
			}
		}
		for _, raw := range r.Handle {
			var p part
			if json.Unmarshal(raw, &p) == nil {
				h.Add(p.Routes)
			}
		}
	}
}

// Names reports whether a route names the host, or a domain that it is in by a
// wildcard for its first label. A pattern for any host names none.
func (h *Hosts) Names(host string) bool {
	for _, named := range h.named {
		if strings.EqualFold(named, host) && !strings.ContainsAny(named, "*{") {
			return true
		}
		domain, wild := strings.CutPrefix(named, "*.")
		_, rest, ok := strings.Cut(host, ".")
		if wild && ok && strings.EqualFold(domain, rest) && strings.Contains(domain, ".") && !strings.ContainsAny(domain, "*{") {
			return true
		}
	}
	return false
}
