// Package whoami asks the application itself to whom a session belongs.
//
// The application gets a GET request with the Cookie and Authorization fields of
// the request in question, byte for byte but for the gateway's own cookies, under
// the same name and scheme; it says in its own way who that is: in a JSON
// document, in a header field, or on a page of HTML.
//
//	source, err := whoami.New(whoami.Options{URL: "http://localhost:9000/api/me", Reader: whoami.Reader{JSON: &pointer}, …})
//	who, err := source.Identify(r, whoami.Asked{Host: r.Host, …})
//
// It promises that a name is returned only if the application gave exactly one to
// exactly these credentials, sent together, no longer ago than Options.Cache; that
// requests with the same credentials cause one question in that time, however many
// they are; and that whatever goes wrong names nobody. If a request carries more
// than one credential, each is also asked about alone, and each must name the same
// user: the application may go by another on the page that was asked for. Anyone
// who has logged out may be named for as long as Options.Cache.
//
// It cannot tell an application's pages apart: that the answer's name is the one
// of the session, and not one that somebody wrote into a comment, is for the
// operator's choice of URL and reader to ensure.
package whoami

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/textproto"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/digest"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/outbound"
)

// Limits and defaults.
const (
	DefaultTimeout = 2 * time.Second
	DefaultCache   = 5 * time.Second
	DefaultBody    = 64 << 10

	// maxCredentials bounds, in bytes, what is sent on: headers of a megabyte
	// are within net/http's own limit.
	maxCredentials = 32 << 10
	// maxSessions bounds the answers that are remembered. A flood of made-up
	// cookies can push answers out, and then costs a question each.
	maxSessions = 10_000
	// maxConns bounds the questions at the same time. It keeps a flood from
	// being passed on to the application as one.
	maxConns = 64
	// maxFields bounds the further fields of a question.
	maxFields = 16
)

// Options say what is asked, and how.
type Options struct {
	// URL is asked: absolute, http or https, without a user or a fragment.
	URL string
	// Reader finds the name in an answer.
	Reader Reader
	// SessionCookie names the application's session cookie. Its value tells
	// sessions apart, so that a grant ends with its session (S17). Empty: all
	// sessions of a user are one, and no cookie may occur twice.
	SessionCookie string
	// Headers name further fields that carry credentials, such as
	// X-Redmine-API-Key: they are sent together with Cookie and Authorization,
	// and each alone must name the same user.
	Headers []string
	// Cookies name those of the cookies each of which alone must name the same
	// user.
	Cookies []identity.Credential
	// Ignored name cookies and fields that are no credentials: they are sent, but
	// need not name anybody alone.
	Ignored []identity.Credential
	// Rotates is told once if the value of SessionCookie changes with every
	// answer. Nil drops it.
	Rotates func()
	// Replaced is told of every answer that replaces the value of SessionCookie.
	// Nil drops it.
	Replaced func()
	// Forward names further fields that are sent on as they came, for
	// applications that bind a session to them, such as User-Agent.
	Forward []string
	// Fields are sent with every question. Host is the name that is asked for.
	Fields http.Header
	// AddressField is the field in which the application is told the client's
	// address, such as X-Forwarded-For; empty: none.
	AddressField string
	// Timeout bounds a question and its answer. Zero: DefaultTimeout.
	Timeout time.Duration
	// Cache is how long an answer holds, from when it was asked for. Zero:
	// DefaultCache.
	Cache time.Duration
	// Body bounds an answer, in bytes. Zero: DefaultBody.
	Body int64
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Who is somebody that is signed in.
type Who struct {
	User    string
	Session string // tells the user's sessions apart; "" where they are not known
	Email   string // "" where the answer has none
}

// errNoSession tells of somebody whom the application knows by something other
// than the session that was to be bound to: a remembered login, mostly.
var errNoSession = fmt.Errorf("%w in a session that could be told apart", identity.ErrNobody)

// Source asks one application. It is safe for concurrent use.
type Source struct {
	o        Options
	host     string
	fields   []string // that carry credentials, besides Cookie
	depends  []string // on which the answer does
	recall   *recall
	client   *outbound.Client
	cache    cache
	rotation rotation
}

// New checks the options and makes a source. Nothing is asked yet.
func New(o Options) (*Source, error) {
	if err := CheckURL(o.URL); err != nil {
		return nil, err
	}
	if err := o.Reader.check(); err != nil {
		return nil, err
	}
	if o.SessionCookie != "" && o.Reader.Session != nil {
		return nil, errors.New("session_cookie and session exclude each other: keep the one that tells sessions apart")
	}
	if err := o.checkFields(); err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Cache == 0 {
		o.Cache = DefaultCache
	}
	if o.Body == 0 {
		o.Body = DefaultBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	fields := o.credentialFields()
	return &Source{
		o:       o,
		fields:  fields,
		depends: o.dependsOn(fields),
		recall:  &recall{seed: maphash.MakeSeed()},
		host:    o.Fields.Get("Host"),
		client:  outbound.New(outbound.Limits{Timeout: o.Timeout, Body: o.Body, Conns: maxConns}),
		cache:   cache{ttl: o.Cache, max: maxSessions, now: o.Now, questions: make(map[key]*question)},
	}, nil
}

// Close closes idle connections.
func (s *Source) Close() { s.client.Close() }

// Asked is how the request came to the gateway, as far as its fields do not say.
type Asked struct {
	// Host is the name under which the application is asked; empty: that of
	// Options.URL. Options.Fields has precedence.
	Host string
	// Address is the client's, for Options.AddressField.
	Address string
	// Fields are those that a reverse proxy would add to this request, such as
	// X-Forwarded-Proto. Options.Fields and AddressField have precedence.
	Fields http.Header
}

// Identify reports who sent the request. Errors are identity.ErrNobody,
// identity.ErrAmbiguous, and failures to get an answer. The request is left as it
// is.
func (s *Source) Identify(r *http.Request, as Asked) (Who, error) {
	var stack [512]byte
	key, small := s.key(stack[:0], r.Header, &as)
	if small {
		if who, ok := s.recall.get(key, s.o.Now()); ok {
			return who, nil
		}
	}
	who, a, err := s.identify(r, as)
	if err == nil && small {
		s.recall.put(key, who, a.asked, a.until)
	}
	return who, err
}

// identify is Identify without what is recalled. It returns the answer too, with
// the times between which it holds.
func (s *Source) identify(r *http.Request, as Asked) (Who, answer, error) {
	sent := s.credentials(r.Header)
	if len(sent) == 0 {
		return Who{}, answer{}, identity.ErrNobody // there is nothing to ask about
	}
	if size(sent) > maxCredentials {
		return Who{}, answer{}, fmt.Errorf("%w: the credentials have more than %d bytes", identity.ErrNobody, maxCredentials)
	}
	session, err := s.session(sent)
	if err != nil {
		return Who{}, answer{}, err
	}
	a, err := s.about(r.Context(), sent, s.around(r, as))
	if err != nil {
		return Who{}, answer{}, err
	}
	if session == "" {
		session = a.session
	}
	return Who{User: a.user, Session: session, Email: a.email}, a, nil
}

// around is what is sent with the credentials: the answer must hold for this
// request, and applications go by the scheme and host as well (WordPress reads
// other cookies over HTTPS).
func (s *Source) around(r *http.Request, as Asked) http.Header {
	around := make(http.Header, 6)
	for name, values := range as.Fields {
		around[name] = values
	}
	around["User-Agent"] = r.Header["User-Agent"]
	if len(around["User-Agent"]) == 0 {
		around["User-Agent"] = noUserAgent
	}
	for _, name := range s.o.Forward {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if values := r.Header[name]; len(values) > 0 {
			around[name] = values
		}
	}
	if as.Host != "" && s.host == "" {
		around["Host"] = []string{as.Host}
	}
	if s.o.AddressField != "" && as.Address != "" {
		around.Set(s.o.AddressField, as.Address)
	}
	for name := range s.o.Fields {
		delete(around, textproto.CanonicalMIMEHeaderKey(name))
	}
	return around
}

// noUserAgent keeps net/http from sending one of its own.
var noUserAgent = []string{""}

func size(h http.Header) (n int) {
	for _, values := range h {
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// session tells sessions apart by what is sent, and refuses what tells of two
// (S21): the question may be answered by another part of the application than
// the request, and the two may read it in different ways.
func (s *Source) session(sent http.Header) (string, error) {
	for _, name := range s.fields {
		if len(sent[name]) > 1 {
			return "", identity.ErrAmbiguous
		}
	}
	if s.o.SessionCookie == "" {
		seen := make(map[string]bool)
		for name := range identity.Cookies(sent) {
			folded := identity.FoldCookieName(name)
			if seen[folded] {
				return "", identity.ErrAmbiguous
			}
			seen[folded] = true
		}
		return "", nil
	}
	value, found, err := identity.OneCookie(sent, s.o.SessionCookie)
	if err != nil {
		return "", err
	}
	if found && value != "" {
		return value, nil
	}
	if _, cookies := sent["Cookie"]; len(sent) > 1 || !cookies {
		return "", nil // each request brings its own proof: there is no session
	}
	return "", errNoSession
}

// keyOf digests all that is sent, so that no two requests share an answer that
// the application could tell apart.
func keyOf(sent http.Header) key {
	names := make([]string, 0, len(sent))
	for name := range sent {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		digest.Write(h, name)
		digest.Write(h, sent[name]...)
	}
	return key(h.Sum(nil))
}
