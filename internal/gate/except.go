package gate

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
)

// excepts reports whether a rule leaves the request alone: every reading of its
// path must be excepted.
func (rl *rule) excepts(r *http.Request, bare []string) bool {
	if bare == nil {
		return rl.excepted(r.URL.Path)
	}
	for _, p := range bare {
		if !rl.excepted(p) {
			return false
		}
	}
	return true
}

func (rl *rule) excepted(p string) bool {
	for _, e := range rl.except {
		if e.matches(p) {
			return true
		}
	}
	return false
}

// pattern is one exception.
type pattern struct {
	text string
	kind patternKind
}

type patternKind uint8

const (
	exactly patternKind = iota
	beginning
	glob
)

func patterns(texts []string) ([]pattern, error) {
	var ps []pattern
	for _, t := range texts {
		if !strings.HasPrefix(t, "/") {
			return nil, fmt.Errorf("gate: except %q must begin with a slash", t)
		}
		if t == "/*" {
			return nil, errors.New("gate: except /* would leave nothing protected")
		}
		if _, err := path.Match(t, ""); err != nil {
			return nil, fmt.Errorf("gate: except %q: %w", t, err)
		}
		p := pattern{text: t}
		start, star := strings.CutSuffix(t, "*")
		switch {
		case star && !strings.ContainsAny(start, `*?[\`):
			p = pattern{text: start, kind: beginning}
		case strings.ContainsAny(t, `*?[\`):
			p.kind = glob
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func (p pattern) matches(s string) bool {
	switch p.kind {
	case exactly:
		return s == p.text
	case beginning:
		return strings.HasPrefix(s, p.text)
	}
	ok, _ := path.Match(p.text, s) // checked when the gate was made
	return ok
}

// spares reports whether the operator takes the method of a reading for safe. r
// has the headers as they were sent: what comes after an upgrade is unsafe.
func (rl *rule) spares(r *http.Request) bool {
	return len(rl.SafeMethods) > 0 && slices.Contains(rl.SafeMethods, r.Method) && len(r.Header["Upgrade"]) == 0
}
