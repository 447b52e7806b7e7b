// Package foresight looks for mistakes in a whole configuration while it is loaded.
//
// Caddy shows a module its own settings alone, and forgets those of others once it
// has loaded them. A [Foresight] puts the configuration together again, from what
// the servers still have, and lets package doctor look at it. It reads no file and
// asks no other server.
package foresight

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/doctor"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

// Foresight is what is known of a configuration that is being loaded.
type Foresight struct {
	app     json.RawMessage
	paths   map[string]string
	routes  func(caddyhttp.RouteList) []coverage.Route
	servers map[string]map[string]any // those with a step_up, before it was loaded
	told    map[doctor.Finding]bool
}

// New returns a Foresight for the settings of the gateway, before its guests are
// loaded: the app itself, its key file, and its store. routes reads a server's
// routes, loaded or not.
func New(app any, keyFile string, store json.RawMessage, routes func(caddyhttp.RouteList) []coverage.Route) (*Foresight, error) {
	var badger struct {
		Dir  string `json:"dir"`
		Mark string `json:"mark"`
	}
	_ = json.Unmarshal(store, &badger) // another engine's has others
	f := &Foresight{paths: map[string]string{}, routes: routes, servers: map[string]map[string]any{}, told: map[doctor.Finding]bool{}}
	for setting, path := range map[string]string{"dir": badger.Dir, "mark": badger.Mark, "key_file": keyFile} {
		if path != "" {
			f.paths[setting] = path
		}
	}
	var err error
	if f.app, err = json.Marshal(app); err != nil {
		return nil, fmt.Errorf("writing the settings: %w", err)
	}
	return f, nil
}

// Look returns what the configuration shows to be a mistake and no earlier call
// returned. It is called when the first step_up of a server is about to be loaded;
// the servers after it are still as they were written.
func (f *Foresight) Look(ctx caddy.Context, current *caddyhttp.Server) ([]doctor.Finding, error) {
	servers, all := serversOf(ctx), map[string]any{}
	for name, s := range servers {
		if _, known := f.servers[name]; s == current && !known {
			f.servers[name] = f.written(s)
		}
		if before, known := f.servers[name]; known {
			all[name] = before
		} else {
			all[name] = f.written(s)
		}
	}
	raw, err := json.Marshal(map[string]any{
		"admin": adminOf(ctx),
		"apps":  map[string]any{"http": map[string]any{"servers": all}, "step_up": f.app},
	})
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	var found []doctor.Finding
	for _, one := range doctor.Foresee(doctor.Input{Config: raw, Servers: servers, Now: time.Now, Paths: doctor.Paths{Said: f.paths}}) {
		if !f.told[one] {
			f.told[one] = true
			found = append(found, one)
		}
	}
	return found, nil
}

// written returns a server as the configuration has it, as far as it is looked at.
func (f *Foresight) written(s *caddyhttp.Server) map[string]any {
	certificates := []map[string]any{}
	for _, p := range s.TLSConnPolicies {
		policy := map[string]any{}
		if p.ClientAuthentication != nil {
			policy["client_authentication"] = map[string]any{}
		}
		certificates = append(certificates, policy)
	}
	described := map[string]any{
		"listen": s.Listen, "routes": f.routes(s.Routes), "trusted_proxies": trustedBy(s), "tls_connection_policies": certificates,
	}
	if s.Errors != nil {
		described["errors"] = map[string]any{"routes": f.routes(s.Errors.Routes)}
	}
	if s.Logs != nil {
		described["logs"] = map[string]any{"should_log_credentials": s.Logs.ShouldLogCredentials}
	}
	return described
}

// serversOf are the servers of the configuration that is loaded.
func serversOf(ctx caddy.Context) map[string]*caddyhttp.Server {
	for _, module := range ctx.Modules() {
		if app, ok := module.(*caddyhttp.App); ok {
			return app.Servers
		}
	}
	return nil
}

// trustedBy is trusted_proxies of a server, which Caddy loads before the routes and
// then keeps to itself. If its type has changed, it is taken for one of which no
// address is known.
func trustedBy(s *caddyhttp.Server) any {
	if len(s.TrustedProxiesRaw) > 0 {
		return s.TrustedProxiesRaw
	}
	field := reflect.ValueOf(s).Elem().FieldByName("trustedProxies")
	if !field.IsValid() || field.Kind() != reflect.Interface {
		return map[string]any{"source": "unknown"}
	}
	if field.IsNil() {
		return nil
	}
	loaded := reflect.Indirect(field.Elem())
	if list := loaded; loaded.Type() == reflect.TypeFor[caddyhttp.StaticIPRange]() {
		list = list.FieldByName("Ranges")
		ranges := []string{}
		for i := range list.Len() {
			ranges = append(ranges, list.Index(i).String())
		}
		return map[string]any{"source": "static", "ranges": ranges}
	}
	return map[string]any{"source": "module " + loaded.Type().String()}
}

// adminOf is Caddy's admin endpoint as it is configured, which no function of Caddy
// returns. If its type has changed, nothing is known of it.
func adminOf(ctx caddy.Context) map[string]any {
	admin := reflect.ValueOf(ctx).FieldByName("cfg")
	if admin.Kind() != reflect.Pointer || admin.IsNil() {
		return nil
	}
	admin = admin.Elem().FieldByName("Admin")
	if admin.Kind() != reflect.Pointer || admin.IsNil() {
		return nil
	}
	return map[string]any{"disabled": admin.Elem().FieldByName("Disabled").Bool(), "listen": admin.Elem().FieldByName("Listen").String()}
}
