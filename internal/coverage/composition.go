package coverage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// What stands around a step_up decides whether it protects anything (S28). The
// routes of a server are followed as requests do: a step_up that no request
// reaches, a second one behind the first, and one that does not get the requests
// for its own pages are refused; ways around it to the same application are
// listed.

// ownPage stands for the gateway's own pages.
const ownPage = "/.step-up/challenge/x"

// world is a kind of request that may come by: which step_up it has passed, which
// groups of routes it has taken, and for which hosts it is.
type world struct {
	gate   *gateway
	groups string
	hosts  []string
}

// gateway is a step_up that was met.
type gateway struct {
	name    string
	hosts   []string
	noPages error // it does not get the requests for its own pages
}

// place is where in the tree of routes something stands.
type place struct {
	conditions []condition
	strips     []string // prefixes that were taken off the path
	rewritten  bool
	matched    []string // what was matched on the way
	path       string   // in the server's JSON
	depth      int
}

// RouteError is what is wrong with a step_up, in view of what stands around it.
type RouteError struct {
	Path   string        // of the step_up in the server's JSON, such as .routes[0].handle[1]
	Source config.Source // its own
	Err    error
}

// Error is the sentence alone.
func (e *RouteError) Error() string { return e.Err.Error() }

// Unwrap returns the sentence.
func (e *RouteError) Unwrap() error { return e.Err }

// condition is a route's matchers on the way to a place. It has to take the
// request, or, if other is true, to leave it.
type condition struct {
	match  []map[string]json.RawMessage
	strips int
	other  bool
	known  bool // the path is
}

// forward is a handler that passes requests to an application.
type forward struct {
	dials     []string
	hosts     []string
	free      bool // also requests that passed no step_up
	gates     []*gateway
	gate      *gateway // set by around
	matched   string
	rewritten bool
}

// MaxNesting bounds how deep routes are looked into: a named route may invoke
// itself.
const MaxNesting = 32

// Composition is how the routes of one server lead to the step_ups in it and to
// the applications behind them.
type Composition struct {
	forwards []forward
	gateways []*gateway
	err      error
}

// Follow judges the routes of a server. The error says what is wrong with them, as
// a sentence for the operator.
func Follow(routes []Route) (*Composition, error) {
	c := new(Composition)
	c.follow(routes, []world{{}}, place{path: ".routes"})
	return c, c.pagesMissing()
}

// WayAround is a handler that passes requests to an application which lies behind
// a step_up.
type WayAround struct {
	StepUp    string   // the rules of the step_up, in short
	Upstreams []string // the addresses of the application, those that match first
	Matched   string   // the matchers on the way, as JSON
}

// Around lists the ways to an application behind a step_up that do not pass the
// step_up.
func (c *Composition) Around() []WayAround {
	var found []WayAround
	for _, f := range c.around() {
		found = append(found, WayAround{StepUp: f.gate.name, Upstreams: f.dials, Matched: f.matched})
	}
	return found
}

// AroundByErrors lists the ways to an application behind a step_up on which the
// server's error routes pass on requests that were refused, as they are. It
// refuses error routes with a step_up that protects nothing.
func (c *Composition) AroundByErrors(routes []Route) ([]WayAround, error) {
	behind := c.dialsBehind()
	var e Composition
	e.follow(routes, []world{{}}, place{path: ".errors.routes"})
	if e.err != nil {
		return nil, e.err
	}
	var found []WayAround
	for _, f := range e.forwards {
		i := slices.IndexFunc(f.dials, func(d string) bool { g, ok := behind[d]; return ok && !apart(f.hosts, g.hosts) })
		if i >= 0 && f.free && !f.rewritten {
			found = append(found, WayAround{StepUp: behind[f.dials[i]].name, Upstreams: f.dials[i : i+1], Matched: f.matched})
		}
	}
	return found, nil
}

// pagesMissing refuses what was found, and a step_up without its own pages. It may
// leave those to another step_up of the site, as two handles do that have one
// each.
func (c *Composition) pagesMissing() error {
	if c.err != nil {
		return c.err
	}
	for _, g := range c.gateways {
		if g.noPages != nil && !slices.ContainsFunc(c.gateways, func(other *gateway) bool { return other.noPages == nil && !apart(other.hosts, g.hosts) }) {
			return g.noPages
		}
	}
	return nil
}

// follow leads the worlds through a list of routes, and returns those that come
// out behind it.
func (c *Composition) follow(routes []Route, worlds []world, at place) []world {
	if at.depth > MaxNesting {
		return worlds
	}
	at.depth++
	for i, r := range routes {
		var in, next []world
		for _, w := range worlds {
			if r.Group != "" && strings.Contains(w.groups, "\x00"+r.Group+"\x00") {
				next = append(next, w)
				continue
			}
			in = append(in, w)
		}
		inner := at
		inner.conditions = slices.Clone(at.conditions)
		for _, earlier := range routes[:i] {
			if r.Group != "" && earlier.Group == r.Group {
				inner.conditions = append(inner.conditions, condition{earlier.Match, len(at.strips), true, !at.rewritten})
			}
		}
		inner.conditions = append(inner.conditions, condition{r.Match, len(at.strips), false, !at.rewritten})
		hosts := hostsOf(r.Match)
		var m []world
		for _, w := range in {
			if apart(w.hosts, hosts) {
				continue
			}
			if hosts != nil {
				w.hosts = hosts
			}
			if r.Group != "" {
				w.groups += "\x00" + r.Group + "\x00"
			}
			m = append(m, w)
		}
		if len(r.Match) > 0 {
			said, _ := json.Marshal(r.Match)
			inner.matched = append(slices.Clone(at.matched), string(said))
			next = append(next, in...)
		}
		for j, raw := range r.Handle {
			var p part
			if json.Unmarshal(raw, &p) != nil {
				_ = json.Unmarshal(raw, &struct {
					Handler *string `json:"handler"`
				}{&p.Handler})
			}
			if p.Handler == "rewrite" {
				if len(r.Match) == 0 && p.StripPrefix != "" {
					at.strips = append(slices.Clone(at.strips), p.StripPrefix)
				}
				at.rewritten = at.rewritten || p.URI != ""
				inner.rewritten = inner.rewritten || p.URI != ""
				if p.StripPrefix != "" {
					inner.strips = append(slices.Clone(inner.strips), p.StripPrefix)
				}
				continue
			}
			there := inner
			there.path = fmt.Sprintf("%s[%d].handle[%d]", at.path, i, j)
			if m = c.handle(p, m, there); c.err != nil {
				return nil
			}
		}
		if !r.Terminal {
			next = append(next, m...)
		}
		worlds = distinct(next)
	}
	return worlds
}

// handle leads the worlds through one handler.
func (c *Composition) handle(p part, worlds []world, at place) []world {
	switch {
	case p.Handler == "step_up":
		return c.meet(p, worlds, at)
	case p.Handler == "subroute":
		at.path += ".routes"
		return c.follow(p.Routes, worlds, at)
	case !p.answers():
		return worlds
	}
	if dials := p.dials(); len(dials) > 0 {
		f := forward{dials: dials, matched: strings.Join(at.matched, " "), rewritten: at.rewritten}
		for _, w := range worlds {
			f.hosts = w.hosts
			if w.gate == nil {
				f.free = true
			} else {
				f.gates = append(f.gates, w.gate)
			}
		}
		c.forwards = append(c.forwards, f)
	}
	return nil
}

// meet judges a step_up.
func (c *Composition) meet(p part, worlds []world, at place) []world {
	var actions []string
	for _, r := range p.Rules {
		actions = append(actions, r.Action)
	}
	g := &gateway{name: "protect " + strings.Join(actions, ", ")}
	refused := func(format string, args ...any) error {
		return &RouteError{at.path, p.Source, fmt.Errorf(format, args...)}
	}
	if len(worlds) == 0 {
		c.err = refused("step_up (%s) is reached by no request: a handler in front of it answers all of them, so that it protects nothing; put step_up before reverse_proxy and whatever else answers, and remove any `order step_up`", g.name)
		return nil
	}
	c.gateways = append(c.gateways, g)
	g.hosts = worlds[0].hosts
	where := "the site"
	if len(g.hosts) > 0 {
		where = "site " + strings.Join(g.hosts, ", ")
	}
	for _, w := range worlds {
		if w.gate != nil {
			c.err = refused("%s has two step_up for the same requests (%s, and %s): the second can never be passed; put all protect blocks into one step_up", where, w.gate.name, g.name)
			return nil
		}
	}
	for _, cond := range at.conditions {
		strips := at.strips[min(cond.strips, len(at.strips)):]
		took := takes(cond.match, strings.Join(strips, "")+ownPage)
		if cond.known && (!cond.other && took == never || cond.other && took == surely) {
			said, _ := json.Marshal(cond.match)
			g.noPages = refused("step_up (%s) of %s stands in a handle or route that does not get the requests for its own pages, /.step-up/*, because of the matchers %s: put step_up before the handle or route, and name there by paths what it protects, such as `protect ADMIN /admin/*`", g.name, where, said)
		}
	}
	out := make([]world, len(worlds))
	for i, w := range worlds {
		w.gate = g
		out[i] = w
	}
	return out
}

// around lists the ways to an application that lies behind a step_up which do
// not pass it.
func (c *Composition) around() []forward {
	behind := c.dialsBehind()
	var found []forward
	for _, f := range c.forwards {
		for _, d := range f.dials {
			if g, ok := behind[d]; ok && f.free && !apart(f.hosts, g.hosts) {
				f.gate = g
				found = append(found, f)
				break
			}
		}
	}
	return found
}

// dialsBehind are the applications behind a step_up.
func (c *Composition) dialsBehind() map[string]*gateway {
	behind := map[string]*gateway{}
	for _, f := range c.forwards {
		for _, d := range f.dials {
			if len(f.gates) > 0 {
				behind[d] = f.gates[0]
			}
		}
	}
	return behind
}

// maxWorlds bounds the kinds of requests that are followed.
const maxWorlds = 256

func distinct(worlds []world) []world {
	seen := map[string]bool{}
	var out []world
	for _, w := range worlds {
		key := fmt.Sprintf("%p %q %q", w.gate, w.groups, w.hosts)
		if !seen[key] && len(out) < maxWorlds {
			seen[key] = true
			out = append(out, w)
		}
	}
	return out
}
