package gate

import (
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// ways are the readings of one request: every path under every method on
// every host.
type ways struct {
	paths []string
	// bare are the paths on which except is judged: without what an outer
	// handle_path took off, since operators write them so.
	bare    []string
	methods readings.MethodReadings
	hosts   []string // none: the one that was sent
}

// plain reports whether the path can be read in one way only, which is r.URL.Path.
func plain(r *http.Request, original string) bool {
	t, p := r.RequestURI, r.URL.Path
	if !readings.Single(t) || !strings.HasPrefix(t, p) || len(t) > len(p) && t[len(p)] != '?' {
		return false
	}
	return original == "" || original == t
}

// ways lists the paths and methods as which a request may be taken.
func (d *decision) ways(r *http.Request, original string) (ways, error) {
	now := r.RequestURI
	if now == "" {
		now = r.URL.RequestURI()
	}
	w := ways{paths: []string{r.URL.Path}, bare: []string{r.URL.Path}}
	base := inbound.Base(original, now)
	for i, target := range [...]string{now, original} {
		if target == "" {
			continue
		}
		more, err := readings.Paths(target)
		if err != nil {
			return ways{}, err
		}
		for _, p := range more {
			w.paths = include(w.paths, p)
			if i > 0 {
				p = strings.TrimPrefix(p, base)
			}
			w.bare = include(w.bare, p)
		}
	}
	if err := w.named(r, original, now, base); err != nil {
		return ways{}, err
	}
	w.methods = asSentMethod(r)
	if d.g.usesMethod {
		_, query, _ := strings.Cut(original, "?")
		var err error
		if w.methods, err = d.methods(r, d.body.peek.Form(), len(w.paths), query); err != nil {
			return ways{}, err
		}
	}
	if d.g.usesHost {
		var err error
		if w.hosts, err = hosts(r); err != nil {
			return ways{}, err
		}
	}
	if len(w.paths)*len(w.methods.Methods)*max(len(w.hosts), 1) > readings.Limit {
		return ways{}, readings.ErrTooMany
	}
	return w, nil
}

// methods lists the methods of a request that has so many paths. If only
// observing rules depend on the method, too many of them refuse nothing: the
// request is then looked at under the method that was sent.
func (d *decision) methods(r *http.Request, form readings.Form, paths int, queries ...string) (readings.MethodReadings, error) {
	m, err := readings.MethodsOf(r, form, queries...)
	if !d.g.demandsMethod && (err != nil || paths*len(m.Methods) > readings.Limit) {
		return asSentMethod(r), nil
	}
	return m, err
}

func asSentMethod(r *http.Request) readings.MethodReadings {
	return readings.MethodReadings{Methods: []string{r.Method}, Unsafe: !readings.SafeMethod(r.Method)}
}

func include(paths []string, p string) []string {
	for _, have := range paths {
		if have == p {
			return paths
		}
	}
	return append(paths, p)
}

// withReading copies a request with another path and method.
func withReading(r *http.Request, path, method string) *http.Request {
	c := r.WithContext(r.Context())
	u := *r.URL
	u.Path, u.RawPath = path, ""
	c.URL, c.Method = &u, method
	return c
}
