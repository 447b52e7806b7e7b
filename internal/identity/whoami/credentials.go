package whoami

import (
	"context"
	"errors"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// maxAlone bounds the questions about one request.
const maxAlone = 16

// about asks whom all credentials together name, as the application will see
// them, and then whom each alone does.
func (s *Source) about(ctx context.Context, credentials, around http.Header) (answer, error) {
	together, err := s.question(ctx, credentials, around)
	if err != nil {
		return answer{}, err
	}
	alone, err := s.alone(credentials)
	if err != nil {
		return answer{}, err
	}
	if len(alone) < 2 {
		return together, nil
	}
	for _, one := range alone {
		// The page that is asked may go by one credential and the page that was
		// asked for by another (S21). One that names nobody here is no more
		// harmless: Redmine takes it for its API formats only.
		switch a, err := s.question(ctx, one.fields, around); {
		case errors.Is(err, identity.ErrNobody):
			return answer{}, &identity.UnvouchedError{Place: one.place}
		case err != nil:
			return answer{}, err
		case a.user != together.user:
			return answer{}, &identity.UnvouchedError{Place: one.place}
		default:
			if a.email != together.email {
				together.email = "" // one of them does not vouch for it
			}
			together.narrow(a)
		}
	}
	return together, nil
}

// question asks about these credentials and no others.
func (s *Source) question(ctx context.Context, credentials, around http.Header) (answer, error) {
	sent := make(http.Header, len(around)+len(credentials))
	for name, values := range around {
		sent[name] = values
	}
	for name, values := range credentials {
		sent[name] = values
	}
	return s.cache.ask(ctx, keyOf(sent), func() (answer, error) { return s.ask(sent) })
}

// lone is one credential of several.
type lone struct {
	place  identity.Credential
	fields http.Header
}

// alone lists the credentials of a request: the cookies, each of those that the
// operator named, and each header field. Cookies of which it is known that they
// sign nobody in do not count.
func (s *Source) alone(sent http.Header) (list []lone, err error) {
	count := 0
	var named []lone
	seen := make(map[string]bool)
	for name, value := range identity.Cookies(sent) {
		if value == "" || s.harmless(name) {
			continue
		}
		count++
		if covered(s.o.Cookies, identity.Cookie, name) {
			folded := identity.FoldCookieName(name)
			if seen[folded] {
				return nil, identity.ErrAmbiguous
			}
			seen[folded] = true
			place := identity.Credential{Kind: identity.Cookie, Name: name}
			named = append(named, lone{place, http.Header{"Cookie": {name + "=" + value}}})
		}
	}
	if count > 0 {
		place := identity.Credential{Kind: identity.Cookie, Name: s.o.SessionCookie}
		list = append(list, lone{place, http.Header{"Cookie": sent["Cookie"]}})
	}
	if count > 1 {
		list = append(list, named...)
	}
	for name, values := range sent {
		if name == "Cookie" || covered(s.o.Ignored, identity.Header, name) {
			continue
		}
		list = append(list, lone{identity.Credential{Kind: identity.Header, Name: name}, http.Header{name: values}})
	}
	if len(list) > maxAlone {
		return nil, identity.ErrAmbiguous
	}
	return list, nil
}

func (s *Source) harmless(cookie string) bool {
	return covered(identity.Harmless, identity.Cookie, cookie) || covered(s.o.Ignored, identity.Cookie, cookie)
}

func covered(list []identity.Credential, k identity.Kind, name string) bool {
	return slices.ContainsFunc(list, func(c identity.Credential) bool { return c.Covers(k, name) })
}

// credentials are the fields that tell the application who is asking.
func (s *Source) credentials(h http.Header) http.Header {
	sent := make(http.Header, 4)
	if lines := h["Cookie"]; len(lines) > 0 {
		sent["Cookie"] = slices.Clone(lines) // Strip changes it in place
		cookies.Strip(sent)
	}
	if !slices.ContainsFunc(sent["Cookie"], func(line string) bool { return strings.Trim(line, " \t;") != "" }) {
		delete(sent, "Cookie")
	}
	for _, name := range s.fields {
		if values := h[name]; len(values) > 0 {
			sent[name] = values
		}
	}
	return sent
}

// credentialFields are Authorization and the further fields that carry
// credentials: those that the operator named, and those to forward that are
// known to.
func (o *Options) credentialFields() []string {
	names := []string{"Authorization"}
	for _, n := range o.Headers {
		names = append(names, textproto.CanonicalMIMEHeaderKey(n))
	}
	o.Forward = slices.DeleteFunc(slices.Clone(o.Forward), func(n string) bool {
		known := slices.ContainsFunc(identity.WellKnown, func(k identity.WellKnownPlace) bool { return k.Covers(identity.Header, n) })
		if known {
			names = append(names, textproto.CanonicalMIMEHeaderKey(n))
		}
		return known
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// dependsOn are the names of all fields of a request that the answer depends on:
// those with credentials, and those that are sent besides. See Source.around.
func (o *Options) dependsOn(credentials []string) []string {
	names := append([]string{"Cookie", "User-Agent"}, credentials...)
	for _, n := range o.Forward {
		names = append(names, textproto.CanonicalMIMEHeaderKey(n))
	}
	return names
}

// Vouched are the places that answers stand for: everything that is sent with a
// question.
func (s *Source) Vouched() []identity.Credential {
	list := []identity.Credential{{Kind: identity.Cookie, Name: identity.Any}}
	for _, name := range s.fields {
		list = append(list, identity.Credential{Kind: identity.Header, Name: name})
	}
	return list
}
