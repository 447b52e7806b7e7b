package sources

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

func init() {
	caddy.RegisterModule(Header{})
}

// Header takes the user id from a header field that a proxy in front of this Caddy
// has set after signing the user in.
//
// Only the proxies of the server's trusted_proxies are believed; from everybody
// else nobody is signed in, whatever the field says. The proxy must replace the
// field where the client sends one: it, or a spelling of it with _ or . in place
// of -, may occur once, and a list is not taken, since it is what becomes of two
// fields on the way.
//
// The field stands for nothing else that the request carries: an Authorization
// field beside it, which most proxies pass on as the client wrote it, is answered
// with 400. If the proxy sets that itself, or the application does not read it,
// write `credentials { ignore header Authorization }`.
//
// Requests that no rule covers reach the application with the field as it came:
// whoever can reach this Caddy past the proxy can write it there. Where a
// forward_auth on this site signs users in, identity placeholder is the source to
// use.
type Header struct {
	// Name of the field. Required.
	Name string `json:"name"`

	name    string // in Go's spelling
	vouched []identity.Credential
	once    *sync.Once
	logger  *zap.Logger
}

// CaddyModule returns the module's id.
func (Header) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.identity.header", New: func() caddy.Module { return new(Header) }}
}

// UnmarshalCaddyfile reads the identity source. Syntax:
//
//	header NAME
//
// The server must have trusted_proxies, in the global options:
//
//	servers {
//		trusted_proxies static 10.0.0.0/8
//	}
func (h *Header) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := block.Word(d, &h.Name, "Remote-User"); err != nil {
		return err
	}
	if err := checkIdentityHeader(h.Name); err != nil {
		return d.WrapErr(err)
	}
	if d.NextArg() || d.NextBlock(0) {
		return d.Errf("identity header takes one name only, and %q follows it", d.Val())
	}
	return nil
}

// notIdentities are fields that proxies pass on as the client wrote them, or that
// mean something else.
var notIdentities = []string{
	"accept", "authorization", "client-ip", "connection", "content-length", "content-type", "cookie", "forwarded", "host", "origin",
	"proxy-authorization", "referer", "te", "trailer", "transfer-encoding", "true-client-ip", "upgrade", "user-agent", "via",
	"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-original-url", "x-real-ip", "x-requested-with", "x-rewrite-url",
}

// checkIdentityHeader refuses names that are none, and fields that cannot name
// users.
func checkIdentityHeader(name string) error {
	bad := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-')
	}
	if name == "" || len(name) > 128 || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("identity header %q is not the name of a header field: write letters, digits and hyphens, such as Remote-User", name)
	}
	lower := strings.ToLower(name)
	if slices.Contains(notIdentities, lower) || strings.HasPrefix(lower, "step-up-") {
		return fmt.Errorf("identity header %s does not name the user: take the field that your proxy sets after signing in, such as Remote-User", name)
	}
	return nil
}

// Provision checks the name. Whether the server has trusted_proxies cannot be seen
// here: Caddy hides it from modules.
func (h *Header) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	h.once = new(sync.Once)
	h.name = textproto.CanonicalMIMEHeaderKey(h.Name)
	h.vouched = []identity.Credential{{Kind: identity.Header, Name: h.name}}
	return checkIdentityHeader(h.Name)
}

// Identify reads the field of a request that a trusted proxy has sent.
func (h *Header) Identify(r *http.Request) (Answer, error) {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		h.once.Do(func() {
			h.logger.Warn("a request did not come from a trusted proxy, so its identity header was not believed; if it should be, add the proxy's address to trusted_proxies in the servers option (told once)",
				zap.String("remote_addr", r.RemoteAddr))
		})
		return Answer{}, identity.ErrNobody
	}
	user, found := "", false
	for name, values := range r.Header {
		if !sameField(name, h.name) || len(values) == 0 {
			continue
		}
		if found || len(values) > 1 || name != h.name {
			return Answer{}, identity.ErrAmbiguous
		}
		user, found = strings.TrimSpace(values[0]), true
	}
	if strings.Contains(user, ",") {
		return Answer{}, identity.ErrAmbiguous
	}
	if user == "" {
		return Answer{}, identity.ErrNobody
	}
	return Answer{Subject: grants.Subject{User: user}, Vouched: h.vouched}, nil
}

// fieldSpellings are what CGI makes one of, and some servers with it.
var fieldSpellings = strings.NewReplacer("_", "-", ".", "-")

// sameField tells whether some application takes the names of two fields for one.
func sameField(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(fieldSpellings.Replace(a), fieldSpellings.Replace(b))
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Header)(nil)
	_ caddyfile.Unmarshaler = (*Header)(nil)
)
