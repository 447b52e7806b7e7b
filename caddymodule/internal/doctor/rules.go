package doctor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// rules looks at what is protected.
func (e *examination) rules() {
	for _, s := range e.sites {
		unsafe := false
		for i, r := range s.settings.Site.WithDefaults().Rules {
			at := s.at(fmt.Sprintf("rules[%d]", i))
			if why := e.never(s, r); why != "" {
				e.error("never-matched", at, r.Action+" is never matched: "+why, "correct the matcher, or remove the rule")
			}
			if r.Unsafe && len(r.Form)+len(r.JSON) == 0 && r.Mode != config.ModeObserve {
				unsafe = true
			}
			unsafe = unsafe || r.Any && r.Mode != config.ModeObserve
			e.exceptions(s, i, r)
		}
		e.alike(s)
		e.behind(s)
		if s.settings.Site.ObservesOnly() {
			e.warn("observes-only", s.at(""), "all rules of "+s.name()+" have mode observe: nothing is protected", "remove `mode observe` where a rule is to be enforced")
		} else if !unsafe {
			e.note("no-unsafe-rule", s.at(""), "the rules of "+s.name()+" name paths: requests that change something at other paths pass unasked",
				"look at `caddy step-up coverage` after a day of use, or end with a rule `protect CHANGE_ANYTHING { unsafe … }`")
		}
		e.around(s)
	}
}

// never says why no request can fall under a rule, or nothing.
func (e *examination) never(s *site, r config.Rule) string {
	sets := r.Match
	if len(sets) == 0 {
		sets = []config.Matchers{{}}
	}
	var why string
	for _, set := range sets {
		if why = e.neverSet(s, r, r.On, set); why == "" {
			return ""
		}
	}
	return why
}

func (e *examination) neverSet(s *site, r config.Rule, sets ...config.Matchers) string {
	for _, set := range sets {
		for name, raw := range set {
			var words []string
			var word string
			if json.Unmarshal(raw, &words) != nil {
				_ = json.Unmarshal(raw, &word)
			}
			switch name {
			case "host":
				if len(words) > 0 && apart(words, s.hosts) {
					return "it names the host " + strings.Join(words, ", ") + ", and the site serves " + strings.Join(s.hosts, ", ")
				}
			case "protocol":
				tls, known := e.tls(s.server)
				if known && (word == "http" && tls || word == "https" && !tls) {
					return "it asks for " + word + ", which this server does not speak"
				}
			case "method":
				if why := neverMethod(s, r, words); why != "" {
					return why
				}
			case "path":
				if why := s.neverPath(words); why != "" {
					return why
				}
				if len(words) > 0 && len(r.Except) > 0 && !slices.ContainsFunc(words, func(p string) bool { return !under(p, r.Except) }) {
					return "except takes out all of its paths"
				}
			}
		}
	}
	return ""
}

func neverMethod(s *site, r config.Rule, methods []string) string {
	possible := slices.DeleteFunc(slices.Clone(methods), func(m string) bool {
		return m != strings.ToUpper(m) || r.Unsafe && (slices.Contains(config.SafeMethods, m) || slices.Contains(r.UnsafeNot, m))
	})
	switch {
	case len(methods) == 0 || len(possible) > 0:
		return ""
	case r.Unsafe && slices.Contains(config.SafeMethods, strings.ToUpper(methods[0])):
		return "it asks for " + strings.Join(methods, ", ") + " and for unsafe, which leaves these methods alone"
	case r.Unsafe:
		return "it asks for " + strings.Join(methods, ", ") + ", which unsafe leaves alone"
	}
	return "methods are written in capital letters: " + strings.ToUpper(strings.Join(methods, ", "))
}

// neverPath says why the site's step_up does not get a rule's paths.
func (s *site) neverPath(paths []string) string {
	for _, set := range s.match {
		reached, narrowed := set["path"]
		if !narrowed || slices.ContainsFunc(paths, func(p string) bool { return meet(p, reached) }) {
			continue
		}
		return "its step_up stands where only " + strings.Join(reached, ", ") + " comes"
	}
	return ""
}

// under reports whether a pattern lies under one of the others.
func under(p string, others []string) bool {
	return slices.ContainsFunc(others, func(o string) bool {
		prefix, star := strings.CutSuffix(strings.ToLower(o), "*")
		return strings.EqualFold(p, o) || star && strings.HasPrefix(strings.ToLower(p), prefix)
	})
}

// meet reports whether one of the patterns may match a path that p matches.
func meet(p string, others []string) bool {
	return under(p, others) || slices.ContainsFunc(others, func(o string) bool {
		return under(o, []string{p}) || strings.ContainsAny(strings.TrimSuffix(o, "*")+strings.TrimSuffix(p, "*"), "*?[")
	})
}

// exceptions asks the gateway itself about the paths that a rule excepts.
func (e *examination) exceptions(s *site, i int, r config.Rule) {
	at := s.at(fmt.Sprintf("rules[%d].except", i))
	paths := r.On.Words("path")
	for _, x := range r.Except {
		if len(paths) > 0 && !meet(x, paths) {
			e.warn("except-outside", at, fmt.Sprintf("%s excepts %s, which is not among its own paths %s", r.Action, x, strings.Join(paths, ", ")), "remove it, or correct the path")
			continue
		}
		if e.in.Explain == nil || strings.ContainsAny(strings.TrimSuffix(x, "*"), "*?[") {
			continue
		}
		target := strings.Replace(x, "*", "x", 1)
		if e.asked(s, target) == r.Action {
			e.warn("except-never-holds", at, fmt.Sprintf("%s excepts %s, and POST %s is asked for it all the same: every way to read the path has to be excepted", r.Action, x, target),
				fmt.Sprintf("write `except %s %s/*` in each rule that covers it; `caddy step-up explain POST URL` lists the ways", strings.TrimRight(strings.TrimSuffix(x, "*"), "/"), strings.TrimRight(strings.TrimSuffix(x, "*"), "/")))
		}
	}
}

// asked is the action that POST of a path needs at a site; empty if it passes, or that
// is not known.
func (e *examination) asked(s *site, target string) string {
	host := "localhost"
	if len(s.hosts) > 0 && !strings.Contains(s.hosts[0], "*") {
		host = s.hosts[0]
	}
	scheme := "https"
	if s.view.Scheme != "" {
		scheme = s.view.Scheme
	}
	_, x, err := e.in.Explain(http.MethodPost, scheme+"://"+host+portOf(s.view.Listen)+target)
	if err != nil || x.Outcome != "step_up" {
		return ""
	}
	return x.Action
}

// portOf is the port of the first address that is listened on, with its colon.
func portOf(listen []string) string {
	if len(listen) == 0 {
		return ""
	}
	i := strings.LastIndexByte(listen[0], ':')
	if i < 0 || strings.HasPrefix(listen[0], "unix/") {
		return ""
	}
	return listen[0][i:]
}

// around looks for the same application behind another server, where nothing asks.
func (e *examination) around(s *site) {
	behind := map[string]bool{}
	for _, h := range s.after {
		if h.name == "reverse_proxy" && !h.asks() {
			for _, d := range h.dials() {
				behind[d] = true
			}
		}
	}
	for _, h := range e.handlers {
		guarded := slices.ContainsFunc(e.sites, func(other *site) bool { return other.server == h.server && !apart(other.hosts, h.hosts) })
		if h.name != "reverse_proxy" || h.asks() || guarded {
			continue
		}
		at := h.path
		if len(s.Source) > 0 {
			at = s.at("")
		}
		for _, d := range h.dials() {
			if behind[d] {
				e.warn("around", at, fmt.Sprintf("the application %s of %s is also reached here, on %s, without step_up", d, s.name(), strings.Join(e.doc.Apps.HTTP.Servers[h.server].Listen, ", ")),
					"write the same step_up here, or remove this way to the application")
			}
		}
	}
}
