package coverage

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// A rule that names one path means what the application does there, and many
// applications do the same at its neighbors: "/transfer.json" is another format
// of "/transfer" (Rails, Django REST, Spring, Express), "/transfer/index.html" and
// "/transfer/" are one file to web servers. A rule covers the neighbors too, where
// it names a path in a matcher that is not turned around.

// Reading makes the request that matchers are run on for another path and method
// of r.
type Reading func(r *http.Request, path, method string) *http.Request

// CompileNear returns gate.Rule.Near for a rule whose Match is match: whether the
// rule names a neighbor of the request's path. It is nil for rules of which no
// neighbor is known.
func CompileNear(r config.Rule, match func(*http.Request) (bool, error), reading Reading) func(*http.Request) (bool, error) {
	var n namedPaths
	sets := r.Match
	if len(sets) == 0 {
		sets = []config.Matchers{nil}
	}
	for _, set := range sets {
		n.add(r.On, set)
	}
	if match == nil || len(n.exact) == 0 && !n.patterns {
		return nil
	}
	return func(r *http.Request) (bool, error) {
		if !n.index && !maySpell(r.URL.Path) {
			return false, nil
		}
		var buf [8]string
		for _, p := range neighbors(buf[:0], r.Method, r.URL.Path, n.index) {
			if !n.patterns && !slices.Contains(n.exact, strings.ToLower(p)) {
				continue
			}
			if ok, err := match(reading(r, p, r.Method)); ok || err != nil {
				return true, nil // what cannot be told is asked for
			}
		}
		return false, nil
	}
}

// namedPaths are the paths that a rule names in full.
type namedPaths struct {
	exact    []string // in lower case
	patterns bool     // there are others, in patterns or regular expressions
	index    bool     // one of these may name an index file
}

// add takes the paths of matchers that have to match together.
func (n *namedPaths) add(sets ...config.Matchers) {
	for _, set := range sets {
		if set["not"] != nil || set["expression"] != nil {
			return
		}
	}
	for _, set := range sets {
		for _, p := range pathsOf(set["path"]) {
			p = strings.ToLower(p)
			start, prefix := strings.CutSuffix(p, "*")
			if prefix && !strings.ContainsAny(start, `*?[\%`) {
				if bare, ok := strings.CutSuffix(start, "/"); ok && bare != "" {
					n.exact = append(n.exact, bare) // see coverBare
				}
				continue // a neighbor of what begins so begins so too
			}
			n.index = n.index || mayNameIndex(p)
			if strings.ContainsAny(p, `*?[\%`) {
				n.patterns = true
			} else {
				n.exact = append(n.exact, p)
			}
		}
		if pattern := set["path_regexp"]; pattern != nil {
			n.patterns = true
			n.index = n.index || mayNameIndex(strings.ToLower(string(pattern)))
		}
	}
}

// pathsOf reads a path matcher; none for what compileMatch has refused.
func pathsOf(raw json.RawMessage) (paths []string) {
	if raw == nil || json.Unmarshal(raw, &paths) != nil {
		return nil
	}
	return paths
}

func mayNameIndex(pattern string) bool {
	return strings.Contains(pattern, "index") || strings.Contains(pattern, "default")
}

// indexFiles are the files that web servers serve for their folder.
var indexFiles = [...]string{
	"index.html", "index.htm", "index.php", "index.jsp", "index.cgi", "index.pl", "index.py", "index.xhtml", "index.shtml", "index.phtml", "index.cfm",
	"default.aspx", "default.asp", "default.htm", "default.html",
}

// neighbors appends to dst the paths under which an application may do what it
// does at path: without the extension, from the first dot and from the last; the
// folder of an index file; and the index files of a folder, if index is set.
//
// Stylesheets, source maps, icons and fonts are files: to fetch one is another
// thing. All else, scripts and images too, may be a format of the same action.
func neighbors(dst []string, method, path string, index bool) []string {
	slash := strings.LastIndexByte(path, '/')
	folder, file := path[:slash+1], path[slash+1:]
	stem := strings.TrimLeft(file, ".") // ".profile" has no extension
	hidden := len(file) - len(stem)
	last := strings.LastIndexByte(stem, '.')
	switch {
	case stem == "" && file != "":
		return dst
	case last > 0 && (method == http.MethodGet || method == http.MethodHead) && isAsset(stem[last+1:]):
		return dst
	}
	name := file
	if last > 0 {
		dst = append(dst, folder+file[:hidden+last])
		if name = file[:hidden+strings.IndexByte(stem, '.')]; len(name) < hidden+last {
			dst = append(dst, folder+name)
		}
	}
	if strings.EqualFold(name, "index") || strings.EqualFold(name, "default") {
		dst = append(dst, folder)
		if slash > 0 {
			dst = append(dst, path[:slash])
		}
	}
	for i := 0; index && last < 0 && i < len(indexFiles); i++ {
		dst = append(dst, strings.TrimSuffix(path, "/")+"/"+indexFiles[i])
	}
	return dst
}

// maySpell reports whether a path may have neighbors, at the cost of a glance:
// it has a dot, or an end like "index" or "default".
func maySpell(path string) bool {
	if strings.IndexByte(path, '.') >= 0 {
		return true
	}
	switch path[max(len(path)-1, 0):] {
	case "x", "X", "t", "T":
		return true
	}
	return false
}

// isAsset reports whether an extension is that of a file which dresses a page.
func isAsset(ext string) bool {
	switch strings.ToLower(ext) {
	case "css", "map", "ico", "woff", "woff2", "ttf", "otf", "eot":
		return true
	}
	return false
}
