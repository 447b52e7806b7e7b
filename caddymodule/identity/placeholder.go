package sources

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

func init() {
	caddy.RegisterModule(Placeholder{})
}

// Placeholder takes the user id from one of Caddy's placeholders, after an
// authentication handler in front has set it.
//
// Only placeholders that the client cannot write are accepted: a name that the
// request brings along is anybody's to bring.
//
// {http.reverse_proxy.header.*}, the answer of a forward_auth, stands for all
// cookies and the Authorization field, which that service was sent. After
// basic_auth {http.auth.user.id} stands for `Authorization: Basic` of that user.
// Any other credential beside it is answered with 400; an Authorization field
// which the application does not read is named by `credentials { ignore header
// Authorization }`.
type Placeholder struct {
	// Placeholder is one of {http.auth.user.*}, {http.request.tls.client.*}
	// (of a certificate that was verified), {http.reverse_proxy.header.*}
	// and {http.vars.*}. Required.
	Placeholder string `json:"placeholder"`
	// Email is the placeholder of the user's mail address, to which codes are then
	// sent. It must be of the same family as Placeholder: what names the user has to
	// vouch for the address, too. Default: no address is known.
	Email string `json:"email,omitempty"`

	name  string // Placeholder without its braces
	email string // Email without its braces; empty: none
}

// CaddyModule returns the module's id.
func (Placeholder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.identity.placeholder", New: func() caddy.Module { return new(Placeholder) }}
}

// UnmarshalCaddyfile reads the identity source. Syntax:
//
//	placeholder {http.auth.user.id} {
//		email {http.auth.user.email}
//	}
//
// The block may be left out.
func (p *Placeholder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := block.Word(d, &p.Placeholder, "{http.auth.user.id}"); err != nil {
		return err
	}
	if _, err := checkIdentityPlaceholder(p.Placeholder); err != nil {
		return d.WrapErr(err)
	}
	if d.NextArg() {
		return d.Errf("identity placeholder takes one placeholder only, and %q follows it", d.Val())
	}
	return block.Block{
		Name: "placeholder", Order: []string{"email"},
		Settings: map[string]block.Setting{"email": func(d *caddyfile.Dispenser) error {
			if err := block.Word(d, &p.Email, "{http.auth.user.email}"); err != nil {
				return err
			}
			_, err := p.checkEmail()
			return block.Checked(d, err)
		}},
	}.Read(d)
}

// checkEmail returns the name between the braces of Email, which must be of the
// family of Placeholder.
func (p *Placeholder) checkEmail() (string, error) {
	if p.Email == "" {
		return "", nil
	}
	name, err := checkIdentityPlaceholder(p.Email)
	if err != nil {
		return "", fmt.Errorf("email: %w", err)
	}
	for _, family := range identityPlaceholders {
		if strings.HasPrefix(name, family) && !strings.HasPrefix(p.Placeholder, "{"+family) {
			return "", fmt.Errorf("email %s comes from elsewhere than the user, who is named by %s: take a placeholder of the same family, so that what names the user vouches for the address", p.Email, p.Placeholder)
		}
	}
	return name, nil
}

// Provision checks the placeholder.
func (p *Placeholder) Provision(caddy.Context) (err error) {
	if p.name, err = checkIdentityPlaceholder(p.Placeholder); err != nil {
		return err
	}
	p.email, err = p.checkEmail()
	return err
}

const (
	responseHeader    = "http.reverse_proxy.header."
	clientCertificate = "http.request.tls.client."
)

// identityPlaceholders are the families that only Caddy and the operator write.
var identityPlaceholders = []string{
	"http.auth.user.", // set by authentication handlers after success
	clientCertificate, // of a verified one
	responseHeader,    // the answer of a forward_auth
	"http.vars.",      // set by the operator
}

var placeholderName = regexp.MustCompile(`\A[A-Za-z0-9_.-]+\z`)

// checkIdentityPlaceholder checks s against the allow-list and returns the name
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
func (p *Placeholder) Identify(r *http.Request) (Answer, error) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return Answer{}, errors.New("reading identity: the request has no replacer")
	}
	certificate := strings.HasPrefix(p.name, clientCertificate)
	if certificate && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		// Under client_auth mode request or require the client makes up
		// its own certificate.
		return Answer{}, identity.ErrNobody
	}
	user, ok := repl.GetString(p.name)
	if !ok || user == "" {
		return Answer{}, identity.ErrNobody
	}
	who := Answer{Subject: grants.Subject{User: user}}
	if p.email != "" {
		who.Email, _ = repl.GetString(p.email)
	}
	switch {
	case certificate:
		who.Vouched = vouchedCertificate
	case strings.HasPrefix(p.name, responseHeader):
		who.Vouched = vouchedForward
	case len(r.Header["Authorization"]) == 1:
		if id, _ := repl.GetString("http.auth.user.id"); id != "" && basicOf(r.Header["Authorization"][0], id) {
			who.Vouched = vouchedAuthorization
		}
	}
	return who, nil
}

// What the families of placeholders stand for. The service behind a forward_auth
// was sent all cookies and the Authorization field of the request. Caddy's
// basic_auth checked the Authorization field if that names the user whom Caddy
// named. A certificate and the operator's own variables stand for nothing else.
var (
	vouchedCertificate   = []identity.Credential{{Kind: identity.Certificate}}
	vouchedAuthorization = []identity.Credential{{Kind: identity.Header, Name: "Authorization"}}
	vouchedForward       = []identity.Credential{{Kind: identity.Header, Name: "Authorization"}, {Kind: identity.Cookie, Name: identity.Any}}
)

// basicOf reports whether an Authorization field has the Basic credentials
// (RFC 7617) of that user, and nothing besides. It does not allocate.
func basicOf(field, user string) bool {
	const scheme = "Basic "
	if len(field) < len(scheme) || !strings.EqualFold(field[:len(scheme)], scheme) {
		return false
	}
	text := strings.Trim(field[len(scheme):], " ")
	if text == "" || len(text)%4 != 0 {
		return false
	}
	at := 0 // how many bytes of user have been seen; -1 behind the colon
	for i := 0; i < len(text); i += 4 {
		var in [4]byte
		var out [3]byte
		copy(in[:], text[i:])
		n, err := base64.StdEncoding.Decode(out[:], in[:])
		if err != nil || n < 3 && i+4 < len(text) {
			return false
		}
		for _, c := range out[:n] {
			switch {
			case at < 0:
			case c == ':' && at == len(user):
				at = -1
			case at == len(user) || c != user[at]:
				return false
			default:
				at++
			}
		}
	}
	return at < 0
}

// GivesEmail reports whether mail addresses of users are known: where a placeholder of
// them is named.
func (p *Placeholder) GivesEmail() bool { return p.Email != "" }

// Interface guards
var (
	_ caddy.Provisioner     = (*Placeholder)(nil)
	_ caddyfile.Unmarshaler = (*Placeholder)(nil)
)
