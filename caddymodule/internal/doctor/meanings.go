package doctor

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// alike looks at rules that load and may mean something else than they say.
func (e *examination) alike(s *site) {
	rules := s.settings.Site.WithDefaults().Rules
	for i, r := range rules {
		at := s.at(fmt.Sprintf("rules[%d]", i))
		for _, earlier := range rules[:i] {
			switch {
			case earlier.Action != r.Action && strings.EqualFold(earlier.Action, r.Action):
				e.warn("actions-alike", at, fmt.Sprintf("%s and %s are two actions, which differ in upper and lower case alone: a grant for one does not open the other", earlier.Action, r.Action),
					"write the same name in both rules, or names that are not mistaken for each other")
			case earlier.Action != r.Action && earlier.Label != "" && strings.EqualFold(earlier.Label, r.Label):
				e.warn("labels-alike", at, fmt.Sprintf("%s and %s have the same label %q: people who are asked for one after the other do not see that these are two actions", earlier.Action, r.Action, r.Label),
					"write another label")
			}
		}
		for _, set := range append([]config.Matchers{r.On}, r.Match...) {
			e.odd(at, r.Action, set)
		}
	}
}

// odd looks at matchers that match less than they seem to.
func (e *examination) odd(at, action string, set config.Matchers) {
	paths := set.Words("path")
	for _, p := range paths {
		if len(p) > 1 && strings.HasSuffix(p, "/") && !slices.Contains(paths, p+"*") {
			e.warn("path-slash", at, fmt.Sprintf("%s covers the address %s alone, and nothing below it", action, p), "write "+p+"* for everything below it, or the path without the slash at its end")
		}
	}
	var expression struct {
		Pattern string `json:"pattern"`
	}
	_ = json.Unmarshal(set["path_regexp"], &expression)
	if text, other := beginsOtherwise(expression.Pattern); other {
		e.error("never-matched", at, fmt.Sprintf("%s is never matched: path_regexp %s asks for a path that begins with %q, and every path begins with a slash", action, expression.Pattern, text), "write ^/ at its beginning")
	}
}

// beginsOtherwise reports whether a regular expression is bound to the beginning of a
// path and asks there for something else than a slash.
func beginsOtherwise(pattern string) (text string, other bool) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || pattern == "" {
		return "", false // Caddy refuses it, or there is none
	}
	parts := []*syntax.Regexp{parsed}
	if parsed.Op == syntax.OpConcat {
		parts = parsed.Sub
	}
	if len(parts) < 2 || parts[0].Op != syntax.OpBeginText || parts[1].Op != syntax.OpLiteral || parts[1].Rune[0] == '/' {
		return "", false
	}
	return string(parts[1].Rune), true
}

// behind looks at whether anything answers the requests that a step_up lets through.
func (e *examination) behind(s *site) {
	silent := []string{"encode", "headers", "intercept", "log_append", "map", "push", "request_body", "rewrite", "step_up", "subroute", "templates", "tracing", "vars"}
	if !slices.ContainsFunc(s.after, func(h handler) bool { return !slices.Contains(silent, h.name) }) && !e.named(s) {
		e.error("nothing-behind", s.at(""), "nothing stands behind the step_up of "+s.name()+": every request that it lets through gets an empty answer", "write what answers the requests below it, such as `reverse_proxy localhost:8080`")
	}
}

// named reports whether a handler on the way to a site may lead elsewhere than its
// place shows.
func (e *examination) named(s *site) bool {
	return slices.ContainsFunc(append(slices.Clone(s.before), s.after...), func(h handler) bool { return h.name == "invoke" })
}

// served looks for the database and the key among the files that a file_server gives
// to everybody.
func (e *examination) served() {
	roots := map[string]bool{}
	for _, h := range e.handlers {
		if h.name != "file_server" && h.name != "vars" {
			continue
		}
		if root := word(h.raw, "root"); filepath.IsAbs(root) && !strings.Contains(root, "{") {
			roots[filepath.Clean(root)] = true
		}
	}
	if !slices.ContainsFunc(e.handlers, func(h handler) bool { return h.name == "file_server" }) {
		return
	}
	for _, setting := range []string{"dir", "mark", "key_file"} {
		path := e.in.Paths.Said[setting]
		for root := range roots {
			if rel, err := filepath.Rel(root, path); filepath.IsAbs(path) && err == nil && filepath.IsLocal(rel) {
				e.error("files-served", e.atFile(setting), fmt.Sprintf("%s %s lies in %s, whose files file_server gives to everybody", setting, path, root), "write a path outside of it, such as /var/lib/step_up")
			}
		}
	}
}
