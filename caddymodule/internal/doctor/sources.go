package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// whoamiSettings are those of the identity source, as far as it is asked here.
type whoamiSettings struct {
	URL       string            `json:"url"`
	JSON      string            `json:"json"`
	Header    string            `json:"header"`
	Regexp    string            `json:"regexp"`
	Anonymous []string          `json:"anonymous"`
	Send      map[string]string `json:"send"`
}

// whoami asks the application who a stranger is: nobody.
func (p *probe) whoami(ctx context.Context, s *site) {
	var w whoamiSettings
	_ = json.Unmarshal(s.Identity, &w)
	at := s.at("identity")
	target, err := secret.Resolve(w.URL)
	u, failed := url.Parse(target)
	if err != nil || failed != nil {
		return // refused, and told so
	}
	if p.loops(u) {
		p.tell(Error, "whoami-loop", at, "whoami asks "+target+", which this Caddy serves itself with a step_up: it would ask itself who is asking", "write the application's own address, as reverse_proxy has it")
		return
	}
	header := http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"192.0.2.1"}}
	if s.view.Scheme != "" {
		header.Set("X-Forwarded-Proto", s.view.Scheme)
	}
	if len(s.hosts) > 0 && u.Scheme == "http" {
		header.Set("Host", s.hosts[0])
		header.Set("X-Forwarded-Host", s.hosts[0])
	}
	for name, value := range w.Send {
		if value, err := secret.Resolve(value); err == nil {
			header.Set(name, value)
		}
	}
	a, err := p.get(ctx, target, at, header)
	switch {
	case err != nil:
		p.tell(Error, "whoami-unreachable", at, fmt.Sprintf("whoami asks %s, which cannot be reached: %v; everything protected is answered with 503", target, err), "check the address, and whether the application runs")
	case a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed || a.status >= 500:
		p.tell(Error, "whoami-status", at, fmt.Sprintf("whoami asks %s, which answers %d: nobody is ever signed in", target, a.status), "write the URL of a page that names who is signed in")
	case a.status == http.StatusOK:
		if name := w.named(a); name != "" {
			p.tell(Error, "whoami-names-strangers", at, fmt.Sprintf("whoami asks %s, which answers a request without any credential with the name %q: every stranger is that user, and may enroll", target, name),
				"write a page that names nobody then, or `anonymous "+name+"`")
		}
	}
}

// loops reports whether a URL leads to a site with a step_up of this configuration.
func (p *probe) loops(u *url.URL) bool {
	host, port, err := net.SplitHostPort(hostPort(u))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(p.sites, func(s *site) bool {
		return portOf(s.view.Listen) == ":"+port && (slices.Contains(s.hosts, host) || len(s.hosts) == 0 && s.local([]string{net.JoinHostPort(host, port)}))
	})
}

// nobodies stand for nobody wherever whoami reads them.
var nobodies = []string{"", "0", "null", "nil", "none", "undefined", "false", "anonymous", "anonymoususer", "guest", "nobody"}

// named is the name in an answer, empty if it stands for nobody.
func (w whoamiSettings) named(a answer) string {
	var name string
	switch {
	case w.Header != "":
		name = a.header.Get(w.Header)
	case w.JSON != "":
		pointer, err := identity.ParsePointer(w.JSON)
		if err != nil {
			return ""
		}
		value, found, err := pointer.Find(a.body)
		if err != nil || !found {
			return ""
		}
		if name, err = identity.Name(value); err != nil {
			return ""
		}
	case w.Regexp != "":
		pattern, err := regexp.Compile(w.Regexp)
		if err != nil {
			return ""
		}
		if found := pattern.FindSubmatch(a.body); len(found) == 2 {
			name = string(found[1])
		}
	}
	name = strings.TrimSpace(name)
	same := func(n string) bool { return strings.EqualFold(n, name) }
	if slices.ContainsFunc(nobodies, same) || slices.ContainsFunc(w.Anonymous, same) {
		return ""
	}
	return name
}

// issuer asks who issues the tokens for the keys, and for what it says of itself.
func (p *probe) issuer(ctx context.Context, s *site) {
	var j struct {
		JWKS   string `json:"jwks"`
		Issuer string `json:"issuer"`
	}
	_ = json.Unmarshal(s.Identity, &j)
	if j.JWKS == "" {
		return
	}
	at := s.at("identity.jwks")
	target, err := secret.Resolve(j.JWKS)
	if err != nil {
		return // refused, and told so
	}
	switch a, err := p.get(ctx, target, at, nil); {
	case err != nil:
		p.tell(Error, "jwks-unreachable", at, fmt.Sprintf("the keys of the issuer are at %s, which cannot be reached: %v; everything protected is answered with 503", target, err), "check the address, and the firewall")
	case a.status != http.StatusOK:
		p.tell(Error, "jwks-status", at, fmt.Sprintf("the keys of the issuer are to be at %s, which answers %d", target, a.status), "write the jwks_uri of the issuer's /.well-known/openid-configuration")
	case usableKeys(a.body) == 0:
		p.tell(Error, "jwks-no-key", at, fmt.Sprintf("at %s there is no key that can verify a token", target), "write the jwks_uri of the issuer's /.well-known/openid-configuration")
	}
	p.discovered(ctx, s, j.Issuer, target)
}

// discovered compares the settings with what the issuer says of itself (OpenID Connect
// Discovery 1.0 section 4), if it does.
func (p *probe) discovered(ctx context.Context, s *site, issuer, jwks string) {
	const document = "/.well-known/openid-configuration"
	bases := []string{strings.TrimSuffix(issuer, "/")}
	if base, _, found := strings.Cut(jwks, "/.well-known/"); found && base != bases[0] {
		bases = append(bases, base)
	}
	for _, base := range bases {
		if !strings.HasPrefix(base, "http") {
			continue
		}
		a, err := p.get(ctx, base+document, s.at("identity.issuer"), nil)
		var said struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &said) != nil {
			continue
		}
		switch {
		case said.Issuer != "" && said.Issuer != issuer:
			p.tell(Error, "issuer-differs", s.at("identity.issuer"), fmt.Sprintf("tokens must be issued by %q, and %s says that it is %q: every token is refused", issuer, base, said.Issuer), "write `issuer "+said.Issuer+"`, byte for byte")
			return
		case said.JWKS != "" && said.JWKS != jwks:
			p.tell(Error, "jwks-of-another", s.at("identity.jwks"), fmt.Sprintf("the issuer %s has its keys at %s, not at %s: tokens of another issuer would be taken, or none", issuer, said.JWKS, jwks), "write `jwks "+said.JWKS+"`")
			return
		}
	}
}

// usableKeys counts the keys of a set that can verify signatures.
func usableKeys(document []byte) (n int) {
	var set struct {
		Keys []struct {
			Type string `json:"kty"`
			Use  string `json:"use"`
		} `json:"keys"`
	}
	_ = json.Unmarshal(document, &set)
	for _, k := range set.Keys {
		if slices.Contains([]string{"RSA", "EC", "OKP"}, k.Type) && (k.Use == "" || k.Use == "sig") {
			n++
		}
	}
	return n
}
