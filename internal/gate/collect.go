package gate

import (
	"fmt"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// A request is decided in two steps. What follows collects what every rule says
// of every reading, observing rules included, and changes nothing; judge makes
// one judgment of it. Explain prints the same list.

// decision is what is known of one request.
type decision struct {
	g    *Gate
	body body
	all  matches
}

func (g *Gate) deciding(r *http.Request, original string) decision {
	return decision{g: g, body: bodyOf(r, original, g.fields)}
}

// decide finds what the request needs before anything is known of who sent it.
// It fails with errAmbiguous, errHidden, readings.ErrTooMany, and with the error of
// an enforced rule's matcher.
//
// original is what Server.Original gave, empty for nothing; hinted is what
// scrub found.
func (d *decision) decide(r *http.Request, original string, hinted hints) (judgment, error) {
	if err := d.collect(r, original, hinted); err != nil {
		return judgment{}, err
	}
	return judge(&d.all, d.body.peek.TooLarge())
}

// collect spares requests with one reading the search for others.
func (d *decision) collect(r *http.Request, original string, hinted hints) error {
	g := d.g
	if !plain(r, original) || hinted&namesPath != 0 || g.usesHost && !oneHost(r) {
		return d.collectAll(r, original)
	}
	if g.hides(r.URL.Path) {
		return errHidden
	}
	if !g.usesMethod {
		return d.one(r, nil, false, nil) // no rule asks
	}
	form := d.body.peek.Form()
	if hinted&namesMethod == 0 && asSent(r) && form == (readings.Form{}) {
		return d.one(r, nil, readings.SafeMethod(r.Method) && len(r.Header["Upgrade"]) == 0, nil)
	}
	m, err := d.methods(r, form, 1)
	if err != nil {
		return err
	}
	if len(m.Methods) == 1 && m.Methods[0] == r.Method && !m.CannotTell {
		return d.one(r, nil, !m.Unsafe && len(r.Header["Upgrade"]) == 0, nil)
	}
	path := []string{r.URL.Path}
	return d.each(r, ways{paths: path, bare: path, methods: m})
}

// collectAll looks at every reading, also where there is but one.
func (d *decision) collectAll(r *http.Request, original string) error {
	all, err := d.ways(r, original)
	if err != nil {
		return err
	}
	return d.each(r, all)
}

// each collects over several readings.
func (d *decision) each(r *http.Request, all ways) error {
	for _, p := range all.paths {
		if d.g.hides(p) {
			return errHidden
		}
	}
	if len(all.hosts) == 0 {
		all.hosts = []string{r.Host}
	}
	for _, host := range all.hosts {
		if err := d.eachOf(r, host, all); err != nil {
			return err
		}
	}
	return nil
}

// eachOf collects over the readings that are for one host.
func (d *decision) eachOf(r *http.Request, host string, all ways) error {
	upgrade := r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0
	for _, p := range all.paths {
		for _, method := range all.methods.Methods {
			// What comes after an upgrade is unsafe under whatever method.
			safe := readings.SafeMethod(method) && !upgrade
			read := d.reading(r, host, p, method)
			if err := d.one(read, d.g.o.Unclean(read), safe, all.bare); err != nil {
				return err
			}
		}
		if all.methods.CannotTell {
			if err := d.anyMethod(r, host, p, all.bare); err != nil {
				return err
			}
		}
	}
	return nil
}

// reading makes the request of one reading.
func (d *decision) reading(r *http.Request, host, path, method string) *http.Request {
	read := d.g.o.WithReading(r, path, method)
	read.Host = host
	return read
}

// one collects over the reading that r is, up to the first enforced rule that
// decides it. unclean are further requests in which Match has to be asked for the
// same reading, see Options.Unclean. bare are the paths of all readings, on which except depends; nil
// where r has the only one.
func (d *decision) one(r *http.Request, unclean []*http.Request, safe bool, bare []string) error {
	m := match{method: r.Method, path: r.URL.Path}
	var uncertain either
	var candidates readings.Set
	if bare == nil {
		candidates = d.g.o.Candidates(r)
	}
	all := len(d.g.rules)
	for i := candidates.Next(0, all); i < all; i = candidates.Next(i+1, all) {
		rl := &d.g.rules[i]
		if rl.Unsafe && safe {
			continue
		}
		m.rule, m.near = rl, false
		if rl.Unsafe && rl.spares(r) {
			d.note(m, excepts)
			continue
		}
		if rl.Match != nil {
			ok, near, err := rl.matches(r, unclean)
			m.near = near
			switch {
			case err != nil && rl.Observe:
				d.note(m, observes)
				continue
			case err != nil:
				return fmt.Errorf("matching rule %d: %w", rl.number, err)
			case !ok:
				continue
			}
		}
		if d.decided(&uncertain, rl) {
			return nil
		}
		switch says := d.bearing(m, r, bare, !m.near); {
		case says == decides:
			return nil
		case says == mayDecide && !m.near:
			uncertain.add(rl)
		}
	}
	m.rule, m.near = nil, false
	d.note(m, unruled)
	return nil
}

// matches asks Match for one reading, in all the requests that stand for it, and
// where none matches Near.
func (rl *rule) matches(r *http.Request, unclean []*http.Request) (ok, near bool, err error) {
	ok, err = rl.Match(r)
	for i := 0; i < len(unclean) && !ok && err == nil; i++ {
		ok, err = rl.Match(unclean[i])
	}
	if !ok && err == nil && rl.Near != nil {
		near, err = rl.Near(r)
	}
	return ok || near, near, err
}

// bearing notes what a rule says of a reading that it matches by path, method and
// headers: it is left to its exceptions and its fields. certain is false if it
// cannot be told whether the search should have come so far.
func (d *decision) bearing(m match, r *http.Request, bare []string, certain bool) says {
	rl := m.rule
	if len(rl.except) > 0 && rl.excepts(r, bare) {
		return d.note(m, excepts)
	}
	v := d.holds(rl)
	m.ifBody = v.ifBody
	switch {
	case v.is == readings.No:
		return unruled
	case rl.Observe:
		return d.note(m, observes)
	case v.is == readings.Yes && certain:
		return d.note(m, decides)
	default:
		return d.note(m, mayDecide)
	}
}

// holds reports whether the request's fields are those that the rule asks for.
func (d *decision) holds(rl *rule) verdict {
	if len(rl.Fields) == 0 {
		return verdict{is: readings.Yes}
	}
	return d.body.holds(rl, len(d.g.rules))
}

func (d *decision) note(m match, what says) says {
	m.says = what
	d.all.add(m)
	return what
}

// anyMethod collects over one path under a method that cannot be told: an
// override may be there that could not be read. Every rule is noted that could be
// the first for some method. A rule that depends on the method does not end the
// search; any other does.
func (d *decision) anyMethod(r *http.Request, host, path string, bare []string) error {
	var asked [][]*http.Request // with each method, made once for all rules
	certain := true             // no rule before may have decided
	for i := range d.g.rules {
		rl := &d.g.rules[i]
		matched, near := rl.Match == nil, false
		for j := 0; !matched && j < len(overridden); j++ {
			if j == len(asked) {
				read := d.reading(r, host, path, overridden[j])
				asked = append(asked, append([]*http.Request{read}, d.g.o.Unclean(read)...))
			}
			var err error
			if matched, near, err = rl.matches(asked[j][0], asked[j][1:]); err != nil && rl.Observe {
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
		depends := rl.UsesMethod || rl.Unsafe || near
		switch d.bearing(match{rule: rl, method: "?", path: path, near: near}, r, bare, certain && !depends) {
		case decides:
			return nil
		case mayDecide:
			if !depends && d.holds(rl).is == readings.Yes {
				return nil
			}
			certain = false
		}
	}
	return nil
}

// overridden are the methods that an override could name to some effect.
var overridden = []string{
	"POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS", "TRACE", "CONNECT",
	"COPY", "LINK", "LOCK", "MERGE", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "REPORT", "SEARCH", "UNLINK", "UNLOCK",
}
