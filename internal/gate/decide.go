package gate

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

var (
	// errAmbiguous tells that the readings of a request ask for different
	// actions.
	errAmbiguous = errors.New("the request can be read in ways that need different proofs")
	// errHidden tells that a reading lies under the gateway's own prefix.
	errHidden = errors.New("a reading of the request is one of the gateway's own pages")
)

// deciding is the decision of a request by the rules that are enforced, before
// anything is known of it.
func (g *Gate) deciding(r *http.Request, original string) decision {
	return decision{g: g, rules: g.rules, usesMethod: g.usesMethod, body: bodyOf(r, original)}
}

// decide finds the rule whose demand the request must satisfy; nil where there
// is none. Each reading is decided by the first rule that matches it; one of
// which that cannot be told, since it asks for what the body holds, is counted
// and the search goes on. Readings without a rule do not count where others have
// one; if two name different actions it fails with errAmbiguous, since a grant
// for one would open the other's resource to whoever makes the application read
// it so. Where that is for a large body only, the others are left in d.also.
//
// It fails with readings.ErrTooMany too, with errHidden, and with a matcher's error.
//
// original is what Options.Original gave, empty for nothing; overrides is what
// scrub told.
func (d *decision) decide(r *http.Request, original string, overrides bool) (*rule, error) {
	g := d.g
	if plain(r, original) {
		if g.hides(r.URL.Path) {
			return nil, errHidden
		}
		if !d.usesMethod {
			return d.answer(d.first(r, false, nil)) // no rule asks
		}
		form := d.body.peek.Form()
		if !overrides && asSent(r) && form == (readings.Form{}) {
			return d.answer(d.first(r, readings.SafeMethod(r.Method) && len(r.Header["Upgrade"]) == 0, nil))
		}
		m, err := readings.Methods(r, form)
		if err != nil {
			return nil, err
		}
		if len(m.Methods) == 1 && m.Methods[0] == r.Method && !m.CannotTell {
			return d.answer(d.first(r, !m.Unsafe, nil))
		}
		one := []string{r.URL.Path}
		return d.answer(d.all(r, ways{paths: one, bare: one, methods: m}))
	}
	all, err := d.ways(r, original)
	if err != nil {
		return nil, err
	}
	return d.answer(d.all(r, all))
}

// decision is what was found so far about one request.
type decision struct {
	g          *Gate
	rules      []rule // those that are looked at
	usesMethod bool   // one of them depends on the method
	body       body
	found      *rule
	ambiguous  bool
	excepted   bool // a rule matched but for its except
	// maybe are the rules of readings of which it cannot be told whether they
	// are. also are those of them that answer found besides the one that it gave:
	// all of their demands have to be satisfied. untold tells that they are there
	// since a body is larger than what was looked through.
	maybe, also []*rule
	untold      bool
	// observed are the rules among them that would have been added, were they
	// enforced.
	observed []*rule
	// tell, where it is not nil, is told of every reading with its rule, or nil,
	// and whether that depends on the body. method and path are those of the
	// reading that is looked at.
	tell         func(method, path string, rl *rule, ifBody bool)
	method, path string
}

// answer is what decide gives once all was looked at without err.
func (d *decision) answer(err error) (*rule, error) {
	switch {
	case err != nil:
		return nil, err
	case d.ambiguous:
		return nil, errAmbiguous
	case len(d.maybe) == 0:
		return d.found, nil
	}
	return d.answerMaybe()
}

// answerMaybe is answer where something could not be told. An honest upload may
// be larger than what is looked through, and may then be several actions: it
// needs the grants for all of them, which open no more together than each for
// itself. What hides its body in another way is ambiguous.
func (d *decision) answerMaybe() (*rule, error) {
	rules := d.maybe
	if d.found != nil {
		rules = append(rules, d.found)
	}
	for _, rl := range rules[1:] {
		known := func(other *rule) bool { return other.Demand.Action == rl.Demand.Action }
		if !known(rules[0]) && !slices.ContainsFunc(d.also, known) {
			d.also = append(d.also, rl)
		}
	}
	if d.untold = d.body.peek.TooLarge(); len(d.also) > 0 && !d.untold {
		return nil, errAmbiguous
	}
	return rules[0], nil
}

// add counts the rule of a reading; nil where it has none.
func (d *decision) add(rl *rule) {
	switch {
	case rl == nil:
	case d.found == nil:
		d.found = rl
	case d.found.Demand.Action != rl.Demand.Action:
		d.ambiguous = true
	}
	d.say(rl)
}

// addMaybe counts a rule that may decide a reading, and does not end the search.
func (d *decision) addMaybe(rl *rule) {
	d.maybe = append(d.maybe, rl)
	d.say(rl)
}

func (d *decision) say(rl *rule) {
	if d.tell != nil {
		d.tell(d.method, d.path, rl, false)
	}
}

// ways are the readings of one request.
type ways struct {
	paths []string
	// bare are the paths on which except is judged: without what an outer
	// handle_path took off, since operators write them so.
	bare    []string
	methods readings.MethodReadings
}

// plain tells that the path can be read in one way only, which is r.URL.Path.
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
	base := Base(original, now)
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
	w.methods = readings.MethodReadings{Methods: []string{r.Method}, Unsafe: !readings.SafeMethod(r.Method)}
	if d.usesMethod {
		_, query, _ := strings.Cut(original, "?")
		var err error
		if w.methods, err = readings.Methods(r, d.body.peek.Form(), query); err != nil {
			return ways{}, err
		}
	}
	if len(w.paths)*len(w.methods.Methods) > readings.Limit {
		return ways{}, readings.ErrTooMany
	}
	return w, nil
}

func include(paths []string, p string) []string {
	for _, have := range paths {
		if have == p {
			return paths
		}
	}
	return append(paths, p)
}

// all decides several readings.
func (d *decision) all(r *http.Request, all ways) error {
	g := d.g
	for _, p := range all.paths {
		if g.hides(p) {
			return errHidden
		}
	}
	upgrade := r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0
	for _, p := range all.paths {
		d.path = p
		for _, method := range all.methods.Methods {
			// What comes after an upgrade is unsafe under whatever method.
			safe := readings.SafeMethod(method) && !upgrade
			d.method = method
			if err := d.first(g.o.WithReading(r, p, method), safe, all.bare); err != nil {
				return err
			}
		}
		if all.methods.CannotTell {
			d.method = "?"
			if err := d.unknownMethod(r, all.bare); err != nil {
				return err
			}
		}
	}
	return nil
}

// first adds the first rule that matches one reading, and before it those of
// which it cannot be told. bare are the paths of all readings, on which except
// depends; nil where r has the only one.
func (d *decision) first(r *http.Request, safe bool, bare []string) error {
	for i := range d.rules {
		rl := &d.rules[i]
		if rl.Unsafe && safe {
			continue
		}
		if rl.Match != nil {
			ok, err := rl.Match(r)
			if err != nil && rl.Observe {
				d.observe(rl)
				continue
			}
			if err != nil {
				return fmt.Errorf("matching rule %d: %w", rl.number, err)
			}
			if !ok {
				continue
			}
		}
		if len(rl.except) > 0 && rl.excepts(r, bare) {
			d.excepted = true
			continue
		}
		switch v := d.holds(rl); {
		case v == readings.No:
		case rl.Observe:
			d.observe(rl)
		case v == readings.Yes:
			d.add(rl)
			return nil
		default:
			d.addMaybe(rl)
		}
	}
	d.add(nil)
	return nil
}

// holds tells whether the request's fields are those that the rule asks for.
func (d *decision) holds(rl *rule) readings.Verdict {
	if len(rl.Fields) == 0 {
		return readings.Yes
	}
	v := d.body.holds(rl, len(d.g.o.Rules))
	if d.tell != nil && v == readings.CannotTell && d.body.unknown {
		d.tell(d.method, d.path, rl, true)
		return readings.No
	}
	return v
}

// unknownMethod adds every rule that could be the first for some method: an
// override may be there that could not be read. A rule that depends on the
// method cannot be told and does not end the search; any other does.
func (d *decision) unknownMethod(r *http.Request, bare []string) error {
	var asked []*http.Request // with each method, made once for all rules
	for i := range d.rules {
		rl := &d.rules[i]
		matched := rl.Match == nil
		for j := 0; !matched && j < len(anyMethod); j++ {
			if j == len(asked) {
				asked = append(asked, d.g.o.WithReading(r, d.path, anyMethod[j]))
			}
			var err error
			if matched, err = rl.Match(asked[j]); err != nil && rl.Observe {
				matched = true
			} else if err != nil {
				return fmt.Errorf("matching rule %d: %w", rl.number, err)
			}
			if !rl.UsesMethod {
				break
			}
		}
		if !matched {
			continue
		}
		if len(rl.except) > 0 && rl.excepts(r, bare) {
			d.excepted = true
			continue
		}
		v := d.holds(rl)
		if rl.Observe {
			if v != readings.No {
				d.observe(rl)
			}
			continue
		}
		if v != readings.No {
			d.addMaybe(rl)
		}
		if v == readings.Yes && !rl.UsesMethod && !rl.Unsafe {
			return nil
		}
	}
	return nil
}

// anyMethod are the methods that an override could name to some effect.
var anyMethod = []string{
	"POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS", "TRACE", "CONNECT",
	"COPY", "LINK", "LOCK", "MERGE", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "REPORT", "SEARCH", "UNLINK", "UNLOCK",
}

// withReading copies a request with another path and method.
func withReading(r *http.Request, path, method string) *http.Request {
	c := r.WithContext(r.Context())
	u := *r.URL
	u.Path, u.RawPath = path, ""
	c.URL, c.Method = &u, method
	return c
}
