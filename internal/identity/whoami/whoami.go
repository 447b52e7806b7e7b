// Package whoami asks the application itself to whom a session belongs.
//
// The application gets a GET request with the Cookie and Authorization fields of
// the request in question, byte for byte but for the gateway's own cookies, and
// says in its own way who that is: in a JSON document, in a header field, or on a
// page of HTML.
//
//	source, err := whoami.New(whoami.Options{URL: "http://localhost:9000/api/me", Reader: whoami.Reader{JSON: &pointer}, …})
//	who, err := source.Identify(r, "")
//
// It promises that a name is given only where the application gave exactly one to
// exactly these credentials, no longer ago than Options.Cache; that requests with
// the same credentials cause one question in that time, however many they are; and
// that whatever goes wrong names nobody. About credentials of both kinds three
// questions are asked, since each alone must name the same user or nobody. Whoever
// has logged out may be named for as long as Options.Cache.
//
// It cannot tell an application's pages apart: that the answer's name is the one
// of the session, and not one that somebody wrote into a comment, is for the
// operator's choice of URL and reader to ensure.
package whoami

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
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
}

// errNoSession tells of somebody whom the application knows by something other
// than the session that was to be bound to: a remembered login, mostly.
var errNoSession = fmt.Errorf("%w in a session that could be told apart", identity.ErrNobody)

// Source asks one application. It is safe for concurrent use.
type Source struct {
	o      Options
	host   string
	client *outbound.Client
	cache  cache
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
	return &Source{
		o:      o,
		host:   o.Fields.Get("Host"),
		client: outbound.New(outbound.Limits{Timeout: o.Timeout, Body: o.Body, Conns: maxConns}),
		cache:  cache{ttl: o.Cache, max: maxSessions, now: o.Now, questions: make(map[key]*question)},
	}, nil
}

// CheckURL holds the URL that is asked against what it may be.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("whoami takes the absolute URL of a page of the application that says who is signed in, such as http://localhost:9000/api/me")
	}
	return nil
}

// reserved are the fields that make HTTP work, or that are sent on anyway.
var reserved = []string{
	"Cookie", "Authorization", "Accept-Encoding", "Connection", "Content-Length", "Expect", "Keep-Alive",
	"Proxy-Authorization", "Proxy-Connection", "Range", "If-Modified-Since", "If-None-Match", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

func (o *Options) checkFields() error {
	names := slices.Clone(o.Forward)
	for name, values := range o.Fields {
		names = append(names, name)
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the value of %s has a control character in it", name)
			}
		}
	}
	if o.AddressField != "" {
		names = append(names, o.AddressField)
	}
	if len(names) > maxFields {
		return fmt.Errorf("at most %d header fields can be sent with the question", maxFields)
	}
	seen := make(map[string]bool)
	for _, name := range names {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !isToken(name):
			return fmt.Errorf("%q is not the name of a header field", name)
		case slices.Contains(reserved, canonical) || strings.HasPrefix(canonical, "Step-Up-"):
			return fmt.Errorf("the field %s cannot be set or added: Cookie and Authorization are sent as they came, and the others make HTTP work", canonical)
		case seen[canonical]:
			return fmt.Errorf("the field %s is named twice", canonical)
		}
		seen[canonical] = true
	}
	if slices.ContainsFunc(o.Forward, func(n string) bool { return strings.EqualFold(n, "Host") }) {
		return errors.New("the client's Host cannot be sent on: say `send Host` with the name the application expects")
	}
	if o.SessionCookie != "" && !isToken(o.SessionCookie) {
		return fmt.Errorf("session_cookie %q is not the name of a cookie", o.SessionCookie)
	}
	return nil
}

// isToken tells of the names of fields and cookies (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}

// Close closes idle connections.
func (s *Source) Close() { s.client.Close() }

// Identify tells who sent the request. address is the client's, for
// Options.AddressField. Errors are identity.ErrNobody, identity.ErrAmbiguous, and
// failures to get an answer. The request is left as it is.
func (s *Source) Identify(r *http.Request, address string) (Who, error) {
	sent := credentials(r.Header)
	if len(sent) == 0 {
		return Who{}, identity.ErrNobody // there is nothing to ask about
	}
	if size(sent) > maxCredentials {
		return Who{}, fmt.Errorf("%w: the credentials have more than %d bytes", identity.ErrNobody, maxCredentials)
	}
	session, err := s.session(sent)
	if err != nil {
		return Who{}, err
	}
	around := make(http.Header) // sent with the credentials
	for _, name := range s.o.Forward {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if values := r.Header[name]; len(values) > 0 {
			around[name] = values
		}
	}
	if s.o.AddressField != "" && address != "" {
		around.Set(s.o.AddressField, address)
	}
	a, err := s.about(r.Context(), sent, around)
	if err != nil {
		return Who{}, err
	}
	if err := s.agree(r.Context(), a, sent, around); err != nil {
		return Who{}, err
	}
	if session == "" {
		session = a.session
	}
	return Who{User: a.user, Session: session}, nil
}

// about asks who brings these credentials.
func (s *Source) about(ctx context.Context, credentials, around http.Header) (answer, error) {
	question := maps.Clone(around)
	maps.Copy(question, credentials)
	return s.cache.ask(ctx, keyOf(question), func() (answer, error) { return s.ask(question) })
}

// agree refuses a request whose cookies name one user and whose Authorization
// another (S21): the page that is asked may go by the one, and the page that was
// asked for by the other.
func (s *Source) agree(ctx context.Context, both answer, credentials, around http.Header) error {
	if len(credentials) < 2 {
		return nil
	}
	for name, values := range credentials {
		switch alone, err := s.about(ctx, http.Header{name: values}, around); {
		case errors.Is(err, identity.ErrNobody): // it is the other that counts
		case err != nil:
			return err
		case alone.user != both.user:
			return identity.ErrAmbiguous
		}
	}
	return nil
}

// credentials are the fields that tell the application who is asking.
func credentials(h http.Header) http.Header {
	sent := make(http.Header, 4)
	if lines := h["Cookie"]; len(lines) > 0 {
		sent["Cookie"] = slices.Clone(lines) // Strip changes it in place
		cookies.Strip(sent)
	}
	if !slices.ContainsFunc(sent["Cookie"], func(line string) bool { return strings.Trim(line, " \t;") != "" }) {
		delete(sent, "Cookie")
	}
	if fields := h["Authorization"]; len(fields) > 0 {
		sent["Authorization"] = fields
	}
	return sent
}

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
	if len(sent["Authorization"]) > 1 {
		return "", identity.ErrAmbiguous
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
	if len(sent["Authorization"]) > 0 {
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
	number := func(n int) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		h.Write(b[:])
	}
	text := func(s string) {
		number(len(s))
		h.Write([]byte(s))
	}
	for _, name := range names {
		text(name)
		number(len(sent[name]))
		for _, v := range sent[name] {
			text(v)
		}
	}
	return key(h.Sum(nil))
}

// ask puts the question to the application. It belongs to all requests that wait
// for it, so it does not end with the one that happened to come first.
func (s *Source) ask(sent http.Header) (answer, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.o.URL, nil)
	if err != nil {
		return answer{}, errors.New("asking the application who is signed in: the URL is broken")
	}
	if s.host != "" {
		r.Host = s.host
	}
	r.Header.Set("Accept", s.o.Reader.accept())
	r.Header.Set("User-Agent", "step-up")
	for name, values := range s.o.Fields {
		if name != "Host" {
			r.Header[textproto.CanonicalMIMEHeaderKey(name)] = values
		}
	}
	for name, values := range sent {
		r.Header[name] = values
	}
	got, err := s.client.Ask(r)
	if err != nil {
		return answer{}, fmt.Errorf("asking the application who is signed in: %w", err)
	}
	return s.o.Reader.read(got)
}

// Address is the client's address as a proxy would name it, or "" for what is no
// address.
func Address(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return ""
	}
	return a.WithZone("").String()
}
