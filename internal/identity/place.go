package identity

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Kind is a kind of place in a request that can carry a credential.
type Kind uint8

// The kinds. The name of a Certificate is empty.
const (
	Cookie      Kind = iota + 1 // a cookie, by its name
	Header                      // a header field, by its name; Authorization is one
	Query                       // a query or path parameter, by its name
	Field                       // a field of the body: a form's name, or a JSON pointer
	Certificate                 // the client's certificate
)

var kinds = [...]string{Cookie: "cookie", Header: "header", Query: "query", Field: "field", Certificate: "certificate"}

// String is the word for the kind in the configuration.
func (k Kind) String() string {
	if int(k) < len(kinds) && kinds[k] != "" {
		return kinds[k]
	}
	return "unknown"
}

// Any is the name that stands for every place of a kind.
const Any = "*"

// Credential names a place of a request that can carry a credential, not its
// value. The name Any stands for every place of the kind; names of cookies may
// end in a star.
type Credential struct {
	Kind Kind
	Name string
}

func (c Credential) String() string { return strings.TrimSpace(c.Kind.String() + " " + c.Name) }

// Covers reports whether c names the place of that kind and name. Names are
// compared as the loosest applications compare them; see FoldName.
func (c Credential) Covers(k Kind, name string) bool {
	if c.Kind != k {
		return false
	}
	if c.Name == name || c.Name == Any {
		return true
	}
	if prefix, star := strings.CutSuffix(c.Name, Any); star && k == Cookie {
		return strings.HasPrefix(FoldName(k, name), FoldName(k, prefix))
	}
	return len(c.Name) == len(name) && k == Header && strings.EqualFold(c.Name, name) || FoldName(k, c.Name) == FoldName(k, name)
}

// FoldName returns the same for names of places that some application takes for
// one.
func FoldName(k Kind, name string) string {
	switch k {
	case Header:
		return fieldFolds.Replace(strings.ToLower(name))
	case Cookie:
		return FoldCookieName(name)
	case Query:
		return foldQueryName(name)
	}
	return name
}

// fieldFolds are the characters in names of header fields that CGI maps to one.
var fieldFolds = strings.NewReplacer("_", "-", ".", "-")

// maxDecodings is how often applications and what stands in front of them may
// decode a name. A name that is encoded more often stays as it is.
const maxDecodings = 6

func foldQueryName(name string) string {
	for range maxDecodings {
		if !strings.ContainsAny(name, "%+") {
			break
		}
		decoded, err := url.QueryUnescape(name)
		if err != nil || decoded == name {
			break
		}
		name = decoded
	}
	name, _, _ = strings.Cut(name, "\x00")
	name = strings.Trim(name, " \t\r\n")
	if before, _, subscript := strings.Cut(name, "["); subscript && before != "" {
		name = before
	}
	return queryFolds.Replace(strings.ToLower(name))
}

var queryFolds = strings.NewReplacer(".", "_", " ", "_", "-", "_", "[", "_")

// UnvouchedError reports a place with a credential that the identity source's
// answer does not stand for. It is ErrAmbiguous, and never quotes a value.
type UnvouchedError struct {
	Place  Credential
	Denied bool // the operator denies the place
}

func (e *UnvouchedError) Error() string {
	if e.Denied {
		return fmt.Sprintf("the request carries %s, which the configuration denies", e.Place)
	}
	return fmt.Sprintf("the request carries %s, a credential that the identity source did not check", e.Place)
}

// Is reports that the error is ErrAmbiguous.
func (e *UnvouchedError) Is(target error) bool { return target == ErrAmbiguous }

// Places are the places that are looked into for credentials. Make one with
// NewPlaces; it is then safe for concurrent use.
type Places struct {
	headers map[string]known // by FoldName
	exact   map[string]known // the same, by the name as net/http spells it
	looked  Filter           // of the headers' names
	queries map[string]known
	asked   Filter // of the queries' names
	cookies []Credential
}

type known struct {
	Credential
	sameCookie, secret bool
}

// NewPlaces returns the well-known places and those that the operator named,
// without the ignored ones.
func NewPlaces(named, ignored []Credential) *Places {
	p := OnlyPlaces(nil)
	for _, k := range WellKnown {
		p.add(known{Credential: k.Credential, sameCookie: k.SameCookie, secret: k.Secret}, ignored)
	}
	for _, c := range named {
		p.add(known{Credential: c}, ignored)
	}
	return p
}

// OnlyPlaces returns these places and no well-known ones.
func OnlyPlaces(named []Credential) *Places {
	p := &Places{headers: make(map[string]known), exact: make(map[string]known), queries: make(map[string]known)}
	for _, c := range named {
		p.add(known{Credential: c}, nil)
	}
	return p
}

func (p *Places) add(k known, ignored []Credential) {
	if slices.ContainsFunc(ignored, func(c Credential) bool { return c.Covers(k.Kind, k.Name) }) {
		return
	}
	name := FoldName(k.Kind, k.Name)
	switch k.Kind {
	case Header:
		p.headers[name] = k
		p.exact[http.CanonicalHeaderKey(k.Name)] = k
		p.looked.add(name)
	case Query:
		p.queries[name] = k
		p.asked.add(name)
	case Cookie:
		p.cookies = append(p.cookies, k.Credential)
	}
}

// HeaderNames are the names of header fields that Check looks for.
func (p *Places) HeaderNames() Filter { return p.looked }

// Check returns an *UnvouchedError for the first place of r that has a credential
// and is not among vouched. targets are further request targets by which an
// application may know r. Bodies are not looked into.
func (p *Places) Check(r *http.Request, vouched []Credential, targets ...string) error {
	for name, values := range r.Header {
		if !p.looked.May(name) || !anyValue(values) {
			continue
		}
		k, ok := p.exact[name]
		if !ok && strings.ContainsAny(name, "_.") {
			k, ok = p.headers[FoldName(Header, name)]
		}
		if ok && !covered(vouched, Header, k.Name) {
			return &UnvouchedError{Place: k.Credential}
		}
	}
	return p.CheckBare(r, vouched, targets...)
}

// CheckBare is Check for a request of whose header fields none has a name that
// HeaderNames may have.
func (p *Places) CheckBare(r *http.Request, vouched []Credential, targets ...string) error {
	if len(p.cookies) > 0 {
		for name, value := range Cookies(r.Header) {
			for _, c := range p.cookies {
				if value != "" && c.Covers(Cookie, name) && !covered(vouched, Cookie, name) {
					return &UnvouchedError{Place: c}
				}
			}
		}
	}
	if len(p.queries) == 0 {
		return nil
	}
	if r.URL != nil {
		if r.URL.User != nil {
			return &UnvouchedError{Place: Credential{Query, "user@host"}}
		}
		if err := p.query(r, r.URL.RawQuery, vouched); err != nil {
			return err
		}
	}
	for _, target := range targets {
		if err := p.target(r, target, vouched); err != nil {
			return err
		}
	}
	return p.target(r, r.RequestURI, vouched)
}

func covered(vouched []Credential, k Kind, name string) bool {
	for i := range vouched {
		if vouched[i].Covers(k, name) {
			return true
		}
	}
	return false
}

func anyValue(values []string) bool {
	for _, v := range values {
		if strings.Trim(v, " \t") != "" {
			return true
		}
	}
	return false
}

// target looks into a request target: its query, and the parameters of its path
// (RFC 3986 section 3.3), where servlets keep their session.
func (p *Places) target(r *http.Request, target string, vouched []Credential) error {
	path, query, _ := strings.Cut(target, "?")
	if query != "" && (r.URL == nil || query != r.URL.RawQuery) {
		if err := p.query(r, query, vouched); err != nil {
			return err
		}
	}
	for range maxDecodings {
		if i := strings.IndexByte(path, ';'); i >= 0 {
			for segment := range strings.SplitSeq(path[i+1:], "/") {
				if err := p.query(r, segment, vouched); err != nil {
					return err
				}
			}
		}
		if strings.IndexByte(path, '%') < 0 {
			return nil
		}
		decoded, err := url.PathUnescape(path)
		if err != nil || decoded == path {
			return nil
		}
		path = decoded
	}
	return nil
}

func (p *Places) query(r *http.Request, query string, vouched []Credential) error {
	for query != "" {
		var pair string
		if i := strings.IndexAny(query, "&;?"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			pair, query = query, ""
		}
		name, value, _ := strings.Cut(pair, "=")
		if name == "" || value == "" || isWord(name) && !p.asked.May(name) {
			continue
		}
		k, ok := p.queries[foldQueryName(name)]
		switch {
		case !ok, k.secret && !looksSecret(value), covered(vouched, Query, k.Name):
		case k.sameCookie && sameAsCookie(r.Header, k.Name, value, vouched):
		default:
			return &UnvouchedError{Place: k.Credential}
		}
	}
	return nil
}

// isWord reports of most names that folding does not change their length.
func isWord(name string) bool {
	for i := range len(name) {
		if c := name[i]; !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

// sameAsCookie reports whether the session in the address is the one of a cookie
// that was vouched for, as servlets write it into the first links.
func sameAsCookie(h http.Header, name, value string, vouched []Credential) bool {
	cookie, found, err := OneCookie(h, strings.ToUpper(name))
	return err == nil && found && cookie == value && covered(vouched, Cookie, name)
}

// looksSecret reports whether a value can be a generated key: 32 letters and
// digits or more, of both kinds.
func looksSecret(value string) bool {
	if decoded, err := url.QueryUnescape(value); err == nil {
		value = decoded
	}
	value = strings.Trim(value, " \t")
	if len(value) < 32 || len(value) > 512 {
		return false
	}
	letters, digits := false, false
	for i := range len(value) {
		switch c := value[i]; {
		case '0' <= c && c <= '9':
			digits = true
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			letters = true
		case c == '-' || c == '_':
		default:
			return false
		}
	}
	return letters && digits
}
