// Package coverage judges what the rules of a site cover: which requests a rule
// takes besides those that it names, whether each way through a server's routes
// passes the gateway, and what came by that no rule covers.
//
//   - [CompileMatch] makes one function of a rule's matchers, which says no only if
//     it is sure; [CompileNear] finds the neighbors of the paths that a rule names,
//     and [Unclean] the forms in which a path has to be matched besides.
//   - [Follow] leads requests through routes, as Caddy would, and refuses a gateway
//     that protects nothing.
//   - A [Tally] counts the requests that no rule covers, by their kind.
//
// It does not decide about requests, and it does not know Caddy: matchers come
// through a [Loader], routes in their JSON form.
package coverage

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// Limits on what is remembered of requests that no rule covers. Anyone who can send
// requests can send ever new paths.
const (
	maxPatterns   = 500  // of a tenant
	maxRuleCounts = 5000 // of a tenant; over it, counting begins again
	maxSegments   = 10   // of a path
	maxSegment    = 32   // bytes of one
	sampled       = 16   // patterns among which room is made for a new one
)

// Tally is what was seen of the requests of one tenant's sites: what each rule
// met, and the requests that may change something and that no rule covers. It
// lives as long as the process, across reloads. It knows methods and patterns of
// paths, never a query, a body or a user.
type Tally struct {
	mu       sync.Mutex
	Since    time.Time
	patterns map[pattern]*sighting
	unlisted uint64 // requests of patterns that had to make room
	rules    map[string]*atomic.Uint64
}

// pattern is a kind of request.
type pattern struct {
	method, path string
	excepted     bool // by a rule's except
}

type sighting struct {
	count uint64
	last  time.Time
}

// coverages are those of all tenants.
var coverages = struct {
	sync.Mutex
	of map[string]*Tally
}{of: map[string]*Tally{}}

// TallyOf returns the tally of a tenant.
func TallyOf(tenant string, now time.Time) *Tally {
	coverages.Lock()
	defer coverages.Unlock()
	c := coverages.of[tenant]
	if c == nil {
		c = NewTally(now)
		coverages.of[tenant] = c
	}
	return c
}

func NewTally(now time.Time) *Tally {
	return &Tally{Since: now, patterns: map[pattern]*sighting{}, rules: map[string]*atomic.Uint64{}}
}

// Counter returns the counter of a rule, known by how it is written.
func (c *Tally) Counter(line string) *atomic.Uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.rules[line]
	if n == nil {
		if len(c.rules) >= maxRuleCounts {
			clear(c.rules)
		}
		n = new(atomic.Uint64)
		c.rules[line] = n
	}
	return n
}

// Uncovered counts a request that no rule covers. Where there is no room for its
// pattern, the rarest of some others makes way, so that a flood of ever new paths
// drives out itself before it does what people really use.
func (c *Tally) Uncovered(method, path string, excepted bool, now time.Time) {
	p := pattern{method, Collapse(path), excepted}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.patterns[p]
	if s == nil {
		if len(c.patterns) >= maxPatterns {
			c.makeRoom()
		}
		s = new(sighting)
		c.patterns[p] = s
	}
	s.count++
	s.last = now
}

func (c *Tally) makeRoom() {
	var rarest pattern
	var least *sighting
	n := 0
	for p, s := range c.patterns { // in random order
		if least == nil || s.count < least.count || s.count == least.count && s.last.Before(least.last) {
			rarest, least = p, s
		}
		if n++; n == sampled {
			break
		}
	}
	c.unlisted += least.count
	delete(c.patterns, rarest)
}

// Sighting is a kind of request that was seen.
type Sighting struct {
	Method   string    `json:"method"`
	Path     string    `json:"path"` // with {id} for what differs from one object to the next
	Count    uint64    `json:"count"`
	LastSeen time.Time `json:"last_seen"`
	// Suggestion is the first line of a rule that would cover it; empty where
	// none can be written.
	Suggestion string `json:"suggestion,omitempty"`
}

// List returns what was seen, the most frequent first.
func (c *Tally) List() (uncovered, excepted []Sighting, unlisted uint64) {
	uncovered, excepted = []Sighting{}, []Sighting{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for p, s := range c.patterns {
		one := Sighting{Method: p.method, Path: p.path, Count: s.count, LastSeen: s.last}
		if p.excepted {
			excepted = append(excepted, one)
			continue
		}
		one.Suggestion = Suggest(p.method, p.path)
		uncovered = append(uncovered, one)
	}
	for _, l := range [][]Sighting{uncovered, excepted} {
		slices.SortFunc(l, func(a, b Sighting) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
		})
	}
	return uncovered, excepted, c.unlisted
}

// Collapse makes a pattern of a path: segments that name one object among many,
// or that may be a secret or a person, become {id}; so does all that is not plain
// text, since it is shown on terminals and in configurations.
func Collapse(path string) string {
	segments := strings.SplitN(strings.TrimPrefix(path, "/"), "/", maxSegments+1)
	if len(segments) > maxSegments {
		segments[maxSegments] = "..."
	}
	for i, s := range segments {
		if i < maxSegments && names(s) {
			segments[i] = "{id}"
		}
	}
	return "/" + strings.Join(segments, "/")
}

// names tells of a segment that it names one object, and not a kind of them:
// numbers, UUIDs, hashes, tokens, addresses.
func names(s string) bool {
	var digits, letters, hex int
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			digits++
			hex++
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			letters++
			if c|0x20 <= 'f' {
				hex++
			}
		case c != '-' && c != '_' && c != '.' && c != '~':
			return true
		}
	}
	switch {
	case len(s) > maxSegment, digits > 3, digits > 0 && letters == 0:
		return true
	case hex == len(s):
		return len(s) >= 16 || digits > 0 && len(s) >= 8
	}
	return len(s) >= 20 && digits > 0
}

// Suggest writes the first line of a rule for a pattern; the operator gives the
// action type a better name.
func Suggest(method, path string) string {
	if strings.HasSuffix(path, "/...") {
		path = strings.TrimSuffix(path, "...") + "*"
	}
	path = strings.ReplaceAll(path, "{id}", "*")
	word := func(r rune) rune {
		if 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}
	words := strings.FieldsFunc(strings.Map(word, strings.ToUpper(method+path)), func(r rune) bool { return r == '_' })
	action := strings.Join(words, "_")
	if len(action) > 64 {
		action = strings.Trim(action[:64], "_")
	}
	if path == "/*" || config.CheckPath(path) != nil || config.CheckAction(action) != nil {
		return ""
	}
	return "protect " + action + " " + path
}
