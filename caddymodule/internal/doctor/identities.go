package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// identities looks at whether it can be known who is asking.
func (e *examination) identities() {
	for _, s := range e.sites {
		switch s.view.Identity {
		case "placeholder":
			e.placeholder(s)
		case "header":
			if len(s.view.TrustedProxies) == 0 {
				e.error("header-untrusted", s.at("identity"), "identity header is believed only from trusted_proxies, and the server has none: nobody is ever signed in",
					"name the proxy that signs people in by `servers { trusted_proxies static ADDRESS }` in the global options")
			}
		}
	}
}

// families of placeholders, and what sets them.
var families = []struct {
	prefix, setBy, advice string
	sets                  func(handler) bool
}{
	{"http.auth.user.", "an authentication directive", "write `basic_auth`, or another authentication directive, before step_up",
		func(h handler) bool { return h.name == "authentication" || !standard(h.name) }},
	{"http.reverse_proxy.header.", "forward_auth", "write `forward_auth ADDRESS { uri … copy_headers … }` before step_up",
		func(h handler) bool { return h.asks() || !standard(h.name) }},
	{"http.vars.", "a vars directive", "write `vars` before step_up",
		func(h handler) bool { return h.name == "vars" || h.name == "map" || !standard(h.name) }},
}

// standard reports whether a handler is one of Caddy's own: what others set is not
// known.
func standard(name string) bool {
	return slices.Contains([]string{
		"acme_server", "authentication", "copy_response", "copy_response_headers", "encode", "error", "file_server", "headers", "intercept",
		"log_append", "map", "metrics", "push", "request_body", "reverse_proxy", "rewrite", "static_response", "step_up", "step_up_api", "subroute",
		"templates", "tracing", "vars",
	}, name)
}

func (e *examination) placeholder(s *site) {
	name := strings.Trim(word(s.Identity, "placeholder"), "{}")
	if strings.HasPrefix(name, "http.request.tls.client.") {
		policies := e.doc.Apps.HTTP.Servers[s.server].TLSConnPolicies
		if !slices.ContainsFunc(policies, func(p struct {
			ClientAuth json.RawMessage `json:"client_authentication"`
		}) bool {
			return len(p.ClientAuth) > 0
		}) {
			e.error("no-client-certificates", s.at("identity"), "identity is the client's certificate, and the server asks for none: nobody is ever signed in",
				"write `tls { client_auth { mode require_and_verify … } }` in the site")
		}
		return
	}
	for _, f := range families {
		if !strings.HasPrefix(name, f.prefix) || slices.ContainsFunc(s.before, f.sets) {
			continue
		}
		if i := slices.IndexFunc(s.after, f.sets); i >= 0 && standard(s.after[i].name) {
			e.error("identity-after", s.at("identity"), fmt.Sprintf("step_up runs before %s that says who is asking: it sees nobody, and everybody gets 401", f.setBy),
				"put it before step_up: remove `order`, and in a `route` block write step_up below it")
			return
		}
		e.error("identity-missing", s.at("identity"), fmt.Sprintf("identity is {%s}, and nothing before step_up sets it: nobody is ever signed in", name), f.advice)
	}
}
