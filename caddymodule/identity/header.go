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
	// Email names the field in which the same proxy sends the user's mail address,
	// to which codes are then sent. The proxy must replace or remove this field too,
	// also for users without an address: otherwise a client could have its codes
	// sent elsewhere. A field that occurs twice, in any spelling, gives no address.
	// Default: no address is known.
	Email string `json:"email,omitempty"`

	name    string // in Go's spelling
	email   string // likewise; empty: none
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
//	header NAME {
//		email NAME
//	}
//
// The block may be left out. The server must have trusted_proxies, in the global options:
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
	if d.NextArg() {
		return d.Errf("identity header takes one name only, and %q follows it", d.Val())
	}
	return block.Block{
		Name: "header", Order: []string{"email"},
		Settings: map[string]block.Setting{"email": func(d *caddyfile.Dispenser) error {
			if err := block.Word(d, &h.Email, "Remote-Email"); err != nil {
				return err
			}
			return block.Checked(d, h.checkEmail())
		}},
	}.Read(d)
}

// checkEmail refuses a field that cannot give mail addresses.
func (h *Header) checkEmail() error {
	if h.Email == "" {
		return nil
	}
	if err := checkIdentityHeader(h.Email); err != nil {
		return fmt.Errorf("email: %w", err)
	}
	if sameField(h.Email, h.Name) {
		return fmt.Errorf("email names the field of the user, %s: take the one in which your proxy sends the mail address, such as Remote-Email", h.Name)
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
	if h.Email != "" {
		h.email = textproto.CanonicalMIMEHeaderKey(h.Email)
	}
	if err := checkIdentityHeader(h.Name); err != nil {
		return err
	}
	return h.checkEmail()
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
	user, once := onlyField(r.Header, h.name)
	if !once || strings.Contains(user, ",") {
		return Answer{}, identity.ErrAmbiguous
	}
	if user == "" {
		return Answer{}, identity.ErrNobody
	}
	who := Answer{Subject: grants.Subject{User: user}, Vouched: h.vouched}
	if h.email != "" {
		// One of two may be the client's: the user is known all the same, and has
		// no address.
		who.Email, _ = onlyField(r.Header, h.email)
	}
	return who, nil
}

// onlyField returns the value of a field that occurs at most once, in Go's spelling
// and no other; without blanks around it, and empty where there is none. It is not
// once if it occurs twice, or in another spelling.
func onlyField(h http.Header, want string) (value string, once bool) {
	found := false
	for name, values := range h {
		if !sameField(name, want) || len(values) == 0 {
			continue
		}
		if found || len(values) > 1 || name != want {
			return "", false
		}
		value, found = strings.TrimSpace(values[0]), true
	}
	return value, true
}

// fieldSpellings are what CGI makes one of, and some servers with it.
var fieldSpellings = strings.NewReplacer("_", "-", ".", "-")

// sameField reports whether some application takes the names of two fields for one.
func sameField(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(fieldSpellings.Replace(a), fieldSpellings.Replace(b))
}

// GivesEmail reports whether mail addresses of users are known: where a field of them is
// named.
func (h *Header) GivesEmail() bool { return h.Email != "" }

// Interface guards
var (
	_ caddy.Provisioner     = (*Header)(nil)
	_ caddyfile.Unmarshaler = (*Header)(nil)
)
