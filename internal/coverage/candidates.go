package coverage

import (
	"net/http"
	"runtime"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// Candidates returns what finds the rules whose matchers may take a request by
// its path, or name a neighbor of it: one look-up instead of a comparison with
// every rule. All other rules certainly do neither.
func Candidates(rules []config.Rule) func(*http.Request) readings.Set {
	named := make([][]string, len(rules))
	for i := range rules {
		named[i] = neededPaths(&rules[i])
	}
	patterns := readings.NewPatterns(named)
	return func(r *http.Request) readings.Set {
		path := r.URL.Path
		found := patterns.Of(path)
		if found == nil || !maySpell(path) {
			return found
		}
		var buf [8]string
		for _, p := range neighbors(buf[:0], r.Method, path, false) {
			found = found.With(patterns.Of(p))
		}
		return found
	}
}

// neededPaths are the patterns of which a path must match one for the rule to take
// its request; nil if there are none of which that is certain.
func neededPaths(r *config.Rule) []string {
	var named namedPaths
	for _, set := range r.Match {
		named.add(r.On, set)
	}
	named.add(r.On)
	if named.index || r.Unsafe && len(r.UnsafeNot) > 0 || runtime.GOOS == "windows" {
		return nil // index files stand for their folder; what is spared is told; more spellings
	}
	if on := simplePaths(r.On); on != nil {
		return on
	}
	var all []string
	for _, set := range r.Match {
		paths := simplePaths(set)
		if paths == nil {
			return nil
		}
		all = append(all, paths...)
	}
	return all
}

// simplePaths are the patterns of a set's path matcher in lower case; nil if it has
// none, or one that is not simple.
func simplePaths(set config.Matchers) []string {
	raw := set["path"]
	if raw == nil {
		return nil
	}
	widened, err := coverBare(raw)
	if err != nil {
		return nil
	}
	paths := pathsOf(widened)
	for i, p := range paths {
		paths[i] = strings.ToLower(p)
		if !readings.SimplePath(strings.TrimSuffix(paths[i], "*")) {
			return nil
		}
	}
	return paths
}
