package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

func init() {
	caddy.RegisterModule(Placeholder{})
}

// IdentitySource tells who is asking. It is the interface of guest modules in
// the namespace step_up.identity, and is asked for protected requests and for
// the gateway's own pages only.
//
// Identify returns the subject, and what names the login session at the source, or
// "" where it has no sessions: a grant given in one session is no good in another.
// A tenant is left empty unless the source itself names one: where that is not the
// site's, nobody is signed in here. ErrNobody says that nobody is signed in,
// ErrAmbiguous that there is more than one who might be, and is answered with 400.
// Any other error, and a panic, is answered with 503; none ever lets a request
// through. It must be safe for concurrent use and may not keep the request, read
// its body, or change it.
type IdentitySource interface {
	Identify(*http.Request) (s grants.Subject, session string, err error)
}

var (
	// ErrNobody is returned by an IdentitySource where nobody is signed in.
	ErrNobody = identity.ErrNobody
	// ErrAmbiguous is returned by an IdentitySource where a request carries a
	// credential twice, or two that differ: the application might read another
	// than the gateway.
	ErrAmbiguous = identity.ErrAmbiguous
)

// Placeholder takes the user id from one of Caddy's placeholders, after an
// authentication handler in front has set it.
//
// Only placeholders that the client cannot write are accepted: a name that the
// request brings along is anybody's to bring.
type Placeholder struct {
	// Placeholder is one of {http.auth.user.*}, {http.request.tls.client.*}
	// (of a certificate that was verified), {http.reverse_proxy.header.*}
	// and {http.vars.*}. Required.
	Placeholder string `json:"placeholder"`

	name string // Placeholder without its braces
}

// CaddyModule returns the module's id.
func (Placeholder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.identity.placeholder", New: func() caddy.Module { return new(Placeholder) }}
}

// UnmarshalCaddyfile reads the identity source. Syntax:
//
//	placeholder {http.auth.user.id}
func (p *Placeholder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := word(d, &p.Placeholder, "{http.auth.user.id}"); err != nil {
		return err
	}
	if _, err := checkIdentityPlaceholder(p.Placeholder); err != nil {
		return d.WrapErr(err)
	}
	if d.NextArg() || d.NextBlock(0) {
		return d.Errf("identity placeholder takes one placeholder only, and %q follows it", d.Val())
	}
	return nil
}

// Provision checks the placeholder.
func (p *Placeholder) Provision(caddy.Context) (err error) {
	p.name, err = checkIdentityPlaceholder(p.Placeholder)
	return err
}

const responseHeader = "http.reverse_proxy.header."

// identityPlaceholders are the families that only Caddy and the operator write.
var identityPlaceholders = []string{
	"http.auth.user.",          // set by authentication handlers after success
	"http.request.tls.client.", // the client's certificate
	responseHeader,             // the answer of a forward_auth
	"http.vars.",               // set by the operator
}

var placeholderName = regexp.MustCompile(`\A[A-Za-z0-9_.-]+\z`)

// checkIdentityPlaceholder holds s against the allow-list and returns the name
// between the braces. A list of what is dangerous would always be one
// placeholder behind.
func checkIdentityPlaceholder(s string) (string, error) {
	name, ok := config.Placeholder(s)
	if !ok || !placeholderName.MatchString(name) {
		return "", fmt.Errorf("identity placeholder %q must be exactly one placeholder, such as {http.auth.user.id}", s)
	}
	for _, family := range identityPlaceholders {
		field, found := strings.CutPrefix(name, family)
		if !found || field == "" {
			continue
		}
		if family == responseHeader {
			// Caddy sets these under the spelling that Go gives them.
			field = http.CanonicalHeaderKey(field)
		}
		return family + field, nil
	}
	return "", fmt.Errorf("identity placeholder %s may be written by the client: take one that only Caddy or your authentication sets, {http.auth.user.*}, {http.request.tls.client.*}, {http.reverse_proxy.header.*} or {http.vars.*}", s)
}

// Identify reads the placeholder.
func (p *Placeholder) Identify(r *http.Request) (grants.Subject, string, error) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return grants.Subject{}, "", errors.New("reading identity: the request has no replacer")
	}
	if strings.HasPrefix(p.name, "http.request.tls.client.") && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		// Under client_auth mode request or require the client makes up
		// its own certificate.
		return grants.Subject{}, "", ErrNobody
	}
	user, ok := repl.GetString(p.name)
	if !ok || user == "" {
		return grants.Subject{}, "", ErrNobody
	}
	return grants.Subject{User: user}, "", nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Placeholder)(nil)
	_ caddyfile.Unmarshaler = (*Placeholder)(nil)
	_ IdentitySource        = (*Placeholder)(nil)
)
