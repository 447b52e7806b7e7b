package whoami

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/outbound"
)

// Reader finds the name in an answer, in exactly one of three ways.
type Reader struct {
	JSON   *identity.Pointer // in a JSON document
	Header string            // in a header field that occurs once
	Regexp *regexp.Regexp    // by a pattern that matches the body once; its one group is the name

	// Session finds what tells the user's sessions apart, beside JSON. An
	// answer with a name and without it is refused.
	Session *identity.Pointer
	// Email finds the user's mail address, beside JSON. An answer need not have one.
	Email *identity.Pointer
	// Anonymous are further names that stand for nobody, in any case, besides
	// those that always do.
	Anonymous []string
}

// nobodies are what applications write where a name would stand. An account of
// that name cannot pass: better than that everybody who is not signed in is one
// person, who may enroll.
var nobodies = []string{"0", "null", "nil", "none", "undefined", "false", "anonymous", "anonymoususer", "guest", "nobody"}

// What can be wrong with an answer. None of them quotes it.
var (
	errStatus  = errors.New("the application failed to answer who is signed in")
	errNotJSON = errors.New("the application's answer is not JSON")
	errTwice   = errors.New("the application's answer names more than one user")
	errSession = errors.New("the application's answer names a user but no session")
	errName    = errors.New("what the application's answer has in the place of a name is none")
)

// check refuses a reader that could not tell.
func (r Reader) check() error {
	ways := 0
	for _, said := range []bool{r.JSON != nil, r.Header != "", r.Regexp != nil} {
		if said {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("whoami must be told in exactly one way where the answer has the user's name: write one of `json /user/name`, `header X-User` or `regexp PATTERN`")
	case r.Header != "" && !isToken(r.Header):
		return fmt.Errorf("header %q is not the name of a header field", r.Header)
	case r.Regexp != nil && r.Regexp.NumSubexp() != 1:
		return fmt.Errorf("regexp must have exactly one group, around the user's name, not %d: write (?:…) for the others", r.Regexp.NumSubexp())
	case r.Session != nil && r.JSON == nil:
		return errors.New("session is read from a JSON answer: write `json POINTER` beside it, or name the session_cookie")
	case r.Email != nil && r.JSON == nil:
		return errors.New("email is read from a JSON answer: write `json POINTER` beside it")
	}
	return nil
}

func (r Reader) accept() string {
	switch {
	case r.JSON != nil:
		return "application/json"
	case r.Regexp != nil:
		return "text/html, */*;q=0.1"
	}
	return "*/*"
}

// read finds out whom an answer names.
func (r Reader) read(a outbound.Answer) (answer, error) {
	switch {
	case a.Status >= 500 || a.Status == http.StatusTooManyRequests || a.Status == http.StatusRequestTimeout:
		return answer{}, fmt.Errorf("%w: status %d", errStatus, a.Status)
	case a.Status != http.StatusOK:
		return answer{}, identity.ErrNobody
	}
	var who answer
	var err error
	switch {
	case r.JSON != nil:
		who, err = r.readJSON(a)
	case r.Header != "":
		who.user, err = r.readHeader(a)
	default:
		who.user, err = r.readPattern(a)
	}
	if err != nil {
		return answer{}, err
	}
	if who.user == "" || r.isNobody(who.user) {
		return answer{}, identity.ErrNobody
	}
	if _, err := identity.Exact(who.user); err != nil || strings.ContainsRune(who.user, utf8.RuneError) {
		return answer{}, errName
	}
	return who, nil
}

func (r Reader) isNobody(name string) bool {
	same := func(n string) bool { return strings.EqualFold(n, name) }
	return slices.ContainsFunc(nobodies, same) || slices.ContainsFunc(r.Anonymous, same)
}

func (r Reader) readJSON(a outbound.Answer) (answer, error) {
	if isHTML(a.Header) || len(bytes.TrimSpace(a.Body)) == 0 {
		return answer{}, identity.ErrNobody // a page to log in, with status 200
	}
	user, err := nameAt(*r.JSON, a.Body)
	who := answer{user: user}
	if err != nil || user == "" {
		return who, err
	}
	if r.Email != nil {
		// Whatever else stands there is no address, and the name is one all the same.
		who.email, _ = nameAt(*r.Email, a.Body)
	}
	if r.Session == nil {
		return who, nil
	}
	if who.session, err = nameAt(*r.Session, a.Body); err == nil && who.session == "" {
		err = errSession
	}
	return who, err
}

func nameAt(p identity.Pointer, document []byte) (string, error) {
	value, found, err := p.Find(document)
	switch {
	case errors.Is(err, identity.ErrTwice):
		return "", errTwice
	case err != nil:
		return "", errNotJSON
	case !found:
		return "", nil
	}
	name, err := identity.Name(value)
	if err != nil {
		return "", errName
	}
	return name, nil
}

func (r Reader) readHeader(a outbound.Answer) (string, error) {
	values := a.Header.Values(r.Header)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return strings.TrimSpace(values[0]), nil
	}
	return "", errTwice
}

func (r Reader) readPattern(a outbound.Answer) (string, error) {
	// A second match may be somebody's comment on the page: which is the user?
	switch found := r.Regexp.FindAllSubmatch(a.Body, 2); len(found) {
	case 0:
		return "", nil
	case 1:
		name := string(found[0][1])
		if isHTML(a.Header) {
			name = html.UnescapeString(name)
		}
		return strings.TrimSpace(name), nil
	}
	return "", errTwice
}

func isHTML(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
}
