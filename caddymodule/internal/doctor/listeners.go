package doctor

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Site is a site with a step_up, and what requests look like there.
type Site struct {
	At     string `json:"at"`
	Tenant string `json:"tenant"`
	// Hosts that it serves; none stands for every host.
	Hosts  []string `json:"hosts"`
	Listen []string `json:"listen"`
	// Scheme is https or http; empty if the configuration is refused.
	Scheme string `json:"scheme,omitempty"`
	// TrustedProxies are the addresses whose X-Forwarded-* fields are believed.
	TrustedProxies []string `json:"trusted_proxies"`
	// Identity is the source of who is asking.
	Identity string `json:"identity"`
	Rules    []Rule `json:"rules"`
}

// Rule is a rule of a site.
type Rule struct {
	Action string `json:"action_type"`
	At     string `json:"at"`
	Mode   string `json:"mode"`
}

// listeners looks at how requests come to the sites.
func (e *examination) listeners() {
	for _, s := range e.sites {
		e.view(s)
		e.plain(s)
	}
	for _, name := range sortedKeys(e.doc.Apps.HTTP.Servers) {
		e.trust(name)
	}
	for _, h := range e.apis {
		e.apiListener(h)
	}
	e.admin()
}

func (e *examination) view(s *site) {
	said := s.settings.Site.WithDefaults()
	srv := e.doc.Apps.HTTP.Servers[s.server]
	v := Site{At: s.at(""), Tenant: said.Tenant, Hosts: slices.Clone(s.hosts), Listen: srv.Listen, TrustedProxies: proxies(srv.TrustedProxies), Identity: word(s.Identity, "source"), Rules: []Rule{}}
	slices.Sort(v.Hosts)
	v.Hosts = slices.Compact(v.Hosts)
	if tls, known := e.tls(s.server); known {
		v.Scheme = map[bool]string{true: "https", false: "http"}[tls]
	}
	for i, r := range said.Rules {
		v.Rules = append(v.Rules, Rule{r.Action, s.at(fmt.Sprintf("rules[%d]", i)), r.Mode})
	}
	s.view = v
}

// tls reports whether a server speaks TLS, if that is known.
func (e *examination) tls(name string) (tls, known bool) {
	srv, ok := e.in.Servers[name]
	return ok && len(srv.TLSConnPolicies) > 0, ok
}

// plain looks at what comes without TLS.
func (e *examination) plain(s *site) {
	app := e.doc.Apps.StepUp
	tls, known := e.tls(s.server)
	local := s.local(e.doc.Apps.HTTP.Servers[s.server].Listen)
	switch {
	case app.AllowPlainHTTP && local:
		e.note("plain-http-local", e.appAt("allow_plain_http"), "allow_plain_http is set, and the site is for this machine alone", "remove it before others use the site")
	case app.AllowPlainHTTP:
		e.warn("plain-http", e.appAt("allow_plain_http"), "allow_plain_http is set: cookies and codes of "+s.name()+" may travel in the clear, and cookies lose the Secure attribute and the __Host- prefix",
			"remove it; behind a proxy that ends TLS write `trusted_proxies` in the servers option instead")
	case !known || tls:
	case len(s.view.TrustedProxies) == 0:
		e.error("no-tls", s.at(""), s.name()+" listens without TLS, and no proxy in front is trusted: what is protected is answered with 403",
			"let Caddy serve HTTPS, by writing the site's address without http:// and port 80; or name the proxy that ends TLS by `servers { trusted_proxies static ADDRESS }` in the global options")
	default:
		e.note("tls-in-front", s.at(""), s.name()+" listens without TLS: the scheme is what the proxies at "+strings.Join(s.view.TrustedProxies, ", ")+" write into X-Forwarded-Proto", "let them write it, and let nobody else reach this port")
	}
}

// local reports whether a site is for this machine alone.
func (s *site) local(listen []string) bool {
	loopback := func(host string) bool {
		host = strings.Trim(host, "[]")
		addr, err := netip.ParseAddr(host)
		return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && addr.IsLoopback()
	}
	if len(s.hosts) > 0 && !slices.ContainsFunc(s.hosts, func(h string) bool { return !loopback(h) }) {
		return true
	}
	return len(listen) > 0 && !slices.ContainsFunc(listen, func(l string) bool {
		host, _, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(l, "tcp/"), "udp/"))
		return !strings.HasPrefix(l, "unix/") && (err != nil || !loopback(host))
	})
}

func (s *site) name() string {
	if len(s.hosts) == 0 {
		return "the site " + strings.Join(s.view.Listen, ", ")
	}
	return "the site " + strings.Join(s.view.Hosts, ", ")
}

// trust looks at whose X-Forwarded-* fields a server believes.
func (e *examination) trust(name string) {
	srv := e.doc.Apps.HTTP.Servers[name]
	here := slices.IndexFunc(e.sites, func(s *site) bool { return s.server == name })
	if here < 0 {
		return
	}
	in := "apps.http.servers." + name
	at := e.line("trusted_proxies", in+".trusted_proxies", e.sites[here])
	for _, r := range proxies(srv.TrustedProxies) {
		prefix, err := netip.ParsePrefix(r)
		switch {
		case err != nil || prefix.Addr().IsPrivate() || prefix.Addr().IsLoopback() || prefix.Addr().IsLinkLocalUnicast():
		case prefix.Bits() == 0:
			e.error("trusts-everybody", at, "trusted_proxies names every address ("+r+"): anybody can say by X-Forwarded-* from where and over which scheme they come, and where identity is a header, who they are",
				"name the addresses of your proxy alone, such as `trusted_proxies static 10.0.0.5`")
		case prefix.Addr().Is4() && prefix.Bits() < 12 || prefix.Addr().Is6() && prefix.Bits() < 32:
			e.warn("trusts-many", at, "trusted_proxies names "+r+", which is more than one proxy's network: anybody in it can say who they are", "name the addresses of your proxy alone")
		}
	}
	if srv.Logs != nil && srv.Logs.Credentials {
		e.error("logs-credentials", e.line("log_credentials", in+".logs.should_log_credentials", e.sites[here]), "the access log of this server has credentials: whoever reads it can use the grants and sessions in it", "remove `log_credentials` from the servers option")
	}
}

// line returns where a word of Caddy's own settings stands. If that is not known it
// is the line of the site that it matters to, or else the path.
func (e *examination) line(word, path string, matters *site) string {
	if at, known := e.in.Lines[word]; known {
		return at
	}
	if matters != nil && len(matters.Source) > 0 {
		return matters.at("")
	}
	return path
}

// first is the first site; nil if there is none.
func (e *examination) first() *site {
	if len(e.sites) == 0 {
		return nil
	}
	return e.sites[0]
}

// appAt returns where a setting of the gateway stands; for one that is left out of a
// Caddyfile, the line of the first site.
func (e *examination) appAt(setting string) string {
	if app, s := e.doc.Apps.StepUp, e.first(); len(app.Source) > 0 || s == nil || len(s.Source) == 0 {
		return app.at(setting)
	}
	return e.first().at("")
}

// proxies are the addresses of trusted_proxies.
func proxies(raw json.RawMessage) []string {
	var said struct {
		Source string   `json:"source"`
		Ranges []string `json:"ranges"`
	}
	_ = json.Unmarshal(raw, &said)
	if said.Source != "" && said.Source != "static" {
		return append(said.Ranges, "those of "+said.Source)
	}
	if said.Ranges == nil {
		return []string{}
	}
	return said.Ranges
}

// apiListener looks at where the API for servers is reached.
func (e *examination) apiListener(h handler) {
	var said settings
	_ = json.Unmarshal(h.raw, &said)
	at := placed(said.Source, h.path, "")
	s := site{handler: h}
	listen := e.doc.Apps.HTTP.Servers[h.server].Listen
	if s.local(listen) {
		return
	}
	if tls, known := e.tls(h.server); known && !tls {
		e.warn("api-plain-http", at, "step_up_api listens without TLS on "+strings.Join(listen, ", ")+": whoever reads the network takes its keys",
			"write an https address, or `bind 127.0.0.1`")
	}
	public := slices.ContainsFunc(e.sites, func(s *site) bool { return s.server == h.server && !apart(s.hosts, h.hosts) })
	if public {
		e.warn("api-public", at, "step_up_api is mounted in a site that people use: everybody who reaches it can try keys", "mount it on a listener that only servers reach, such as `http://:8081 { bind 127.0.0.1 }`")
	}
}

// admin looks at Caddy's admin endpoint, which owns the gateway.
func (e *examination) admin() {
	a := e.doc.Admin
	if a.Disabled {
		if e.doc.Apps.StepUp.WithDefaults().Enrollment.Policy == "invite" {
			e.warn("admin-off-invite", e.appAt("enrollment"), "enrollment is by invite, and `admin off` leaves nothing to make invites with: nobody can enroll",
				"remove `admin off`, put the endpoint on a socket with `admin unix//run/caddy-admin.sock`, or write `enrollment first_use until DATE`")
		}
		return
	}
	host, _, err := net.SplitHostPort(strings.TrimPrefix(a.Listen, "tcp/"))
	if a.Listen == "" || strings.HasPrefix(a.Listen, "unix/") || err != nil {
		return
	}
	addr, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !addr.IsLoopback()) {
		e.error("admin-exposed", e.line("admin", "admin.listen", e.first()), "Caddy's admin endpoint listens on "+a.Listen+": whoever reaches it owns the gateway, can reset accounts and make invites", "write `admin localhost:2019`, or a socket")
	}
}

// word is one text in an object.
func word(raw json.RawMessage, name string) string {
	var members map[string]json.RawMessage
	var text string
	_ = json.Unmarshal(raw, &members)
	_ = json.Unmarshal(members[name], &text)
	return text
}
