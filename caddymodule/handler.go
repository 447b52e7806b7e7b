package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/config"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler is the gateway in one site.
type Handler struct {
	config.Site

	// IdentityRaw tells who is asking, a module of the namespace
	// step_up.identity. Required.
	IdentityRaw json.RawMessage `json:"identity,omitempty" caddy:"namespace=step_up.identity inline_key=source"`

	// named gives the matcher set that the Caddyfile defines under an @name.
	// It is set only while a Caddyfile is read.
	named func(caddyfile.Token) (config.Matchers, error)
}

// CaddyModule returns the module's id.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.step_up", New: func() caddy.Module { return new(Handler) }}
}

// errNoIdentity refuses a site in which everybody would be nobody.
var errNoIdentity = errors.New("step_up does not know who is asking: add `identity placeholder {http.auth.user.id}`, with an authentication directive such as basic_auth or forward_auth in the site")

// Validate returns the first thing that is wrong with the site, as a sentence.
func (h *Handler) Validate() error {
	if len(h.IdentityRaw) == 0 {
		return errNoIdentity
	}
	return h.Site.Validate()
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return errors.New("not built")
}
