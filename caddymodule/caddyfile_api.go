package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// parseAPI reads the directive. Like step_up it takes no matcher.
func parseAPI(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(API)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile reads the directive of the API for servers. Syntax:
//
//	step_up_api {
//		base_url      URL
//		session_token ACTION [DURATION]
//		identity      jwt { … } | header NAME | placeholder {http.auth.user.id} | whoami URL { … }
//		tenant        NAME
//		user_id       folded | exact
//	}
//
// The directive takes no matcher and ends every request: to mount it beside
// something else, put it into a handle_path block and set base_url. All settings
// are optional, and so is the block; tenant is required with identity.
func (h *API) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive, words := d.Token(), block.Lines{}
	h.Source = config.Source{"": block.Line(directive)}
	if d.NextArg() {
		return d.Errf("step_up_api takes no matcher, and %q looks like one: what it does not see an application would answer; to mount it beside something else write `handle_path /mfa/* { step_up_api }`", d.Val())
	}
	err := block.Block{
		Name:  "step_up_api",
		Lines: words,
		Order: []string{"base_url", "session_token", "identity", "tenant", "user_id"},
		Settings: map[string]block.Setting{
			"base_url": block.CheckedWord(&h.BaseURL, "https://internal.example.com:8443", config.CheckBaseURL),
			"session_token": func(d *caddyfile.Dispenser) error {
				s := &h.SessionToken
				if err := block.Word(d, &s.Action, "SESSION 10m"); err != nil {
					return err
				}
				if d.NextArg() {
					ttl, err := config.ParseDuration(d.Val())
					if err != nil {
						return d.WrapErr(err)
					}
					if ttl == 0 {
						return d.Err("a session token cannot last 0: write a duration such as 10m")
					}
					s.TTL = ttl
				}
				return block.Checked(d, s.Validate())
			},
			"identity": func(d *caddyfile.Dispenser) error {
				raw, err := block.Guest(d, "step_up.identity", "source", "header X-Auth-User", h.Source, "identity")
				h.IdentityRaw = raw
				return err
			},
			"tenant":  block.CheckedWord(&h.Tenant, "staff", config.CheckTenant),
			"user_id": block.CheckedWord(&h.UserID, config.UserIDExact, config.CheckUserID),
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return words.At(directive, h.check())
}

// Interface guard
var _ caddyfile.Unmarshaler = (*API)(nil)
