package sources

import (
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/facts"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/whoami"
)

// AsksAbout adds the credentials that the site names to those that are asked
// about.
func (w *Whoami) AsksAbout(named, ignored []identity.Credential) error {
	o := w.o
	o.Ignored = ignored
	for _, c := range named {
		switch c.Kind {
		case identity.Header:
			if !strings.EqualFold(c.Name, "Authorization") {
				o.Headers = append(o.Headers, c.Name)
			}
		case identity.Cookie:
			o.Cookies = append(o.Cookies, c)
		}
	}
	return w.use(o)
}

// use makes the source, in the place of one that was made before.
func (w *Whoami) use(o whoami.Options) error {
	source, err := whoami.New(o)
	if err != nil {
		return err
	}
	w.o, w.source, w.vouched = o, source, source.Vouched()
	return nil
}

// Identify asks the application, or remembers what it said.
func (w *Whoami) Identify(r *http.Request) (Answer, error) {
	if w.source == nil {
		return Answer{}, errors.New("whoami was not provisioned")
	}
	as := whoami.Asked{Address: whoami.Address(facts.Client(r)), Fields: forwardedFields(r)}
	if !w.overTLS {
		as.Host = r.Host
	}
	who, err := w.source.Identify(r, as)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Subject: grants.Subject{User: who.User}, Session: who.Session, Email: who.Email, Vouched: w.vouched}, nil
}

// forwardedFields are the X-Forwarded-* fields that Caddy's reverse_proxy would send
// with this request, trusting the proxies that the server trusts.
func forwardedFields(r *http.Request) http.Header {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil && (r.RemoteAddr != "@" || !trusted) {
		return nil
	}
	peer, _, _ = strings.Cut(peer, "%")
	host, proto, addresses := r.Host, "http", peer
	if r.TLS != nil {
		proto = "https"
	}
	if trusted {
		if prior := r.Header["X-Forwarded-Proto"]; len(prior) > 0 && prior[len(prior)-1] != "" {
			proto = prior[len(prior)-1]
		}
		if prior := r.Header["X-Forwarded-Host"]; len(prior) > 0 && prior[len(prior)-1] != "" {
			host = prior[len(prior)-1]
		}
		if prior := strings.Join(r.Header["X-Forwarded-For"], ", "); prior != "" && peer != "" {
			addresses = prior + ", " + peer
		} else if prior != "" {
			addresses = prior
		}
	}
	fields := http.Header{"X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}}
	if addresses != "" {
		fields["X-Forwarded-For"] = []string{addresses}
	}
	return fields
}
