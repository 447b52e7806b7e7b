package caddymodule

import (
	"net/http"

	sources "github.com/stepup-gateway/caddy-stepup/caddymodule/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// IdentitySource reports who is asking. It is the interface of guest modules in
// the namespace step_up.identity, and is asked for protected requests and for
// the gateway's own pages only.
//
// A request can carry several credentials, and the application may go by another
// than the source did. So the source lists in Identity.Vouched all places that
// its answer stands for: it looked at what each of them holds, and they name this
// one user. A protected request that carries a credential elsewhere is answered
// with 400.
//
// ErrNobody says that nobody is signed in, and is answered with 401. ErrAmbiguous
// says that more than one user might be, and is answered with 400. Any other error,
// and a panic, is answered with 503; none ever lets a request through. Identify
// must be safe for concurrent use and may not keep the request, read its body, or
// change it.
type IdentitySource interface {
	Identify(*http.Request) (Identity, error)
}

// Identity is the answer of an IdentitySource. Only Subject.User is required; see
// the package caddymodule/identity for its fields.
type Identity = sources.Answer

// Credential names a place of a request that can carry a credential.
type Credential = identity.Credential

// The kinds of places. A name of AnyName stands for all places of a kind; names of
// cookies may end in a star.
const (
	InCookie      = identity.Cookie      // a cookie, by its name
	InHeader      = identity.Header      // a header field, by its name; Authorization is one
	InQuery       = identity.Query       // a query or path parameter, by its name
	InField       = identity.Field       // a field of the body
	InCertificate = identity.Certificate // the client's certificate
	AnyName       = identity.Any
)

var (
	// ErrNobody is returned by an IdentitySource where nobody is signed in.
	ErrNobody = identity.ErrNobody
	// ErrAmbiguous is returned by an IdentitySource where a request carries a
	// credential twice, or two that differ: the application might read another
	// than the gateway.
	ErrAmbiguous = identity.ErrAmbiguous
)

// Interface guards
var (
	_ IdentitySource = (*sources.Placeholder)(nil)
	_ IdentitySource = (*sources.Header)(nil)
	_ IdentitySource = (*sources.JWT)(nil)
	_ IdentitySource = (*sources.Whoami)(nil)
	_ asksAbout      = (*sources.Whoami)(nil)
)
