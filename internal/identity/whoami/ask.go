package whoami

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// ask puts the question to the application. It belongs to all requests that wait
// for it, so it does not end with the one that happened to come first.
func (s *Source) ask(sent http.Header) (answer, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.o.URL, nil)
	if err != nil {
		return answer{}, errors.New("asking the application who is signed in: the URL is broken")
	}
	if s.host != "" {
		r.Host = s.host
	}
	r.Header.Set("Accept", s.o.Reader.accept())
	for name, values := range s.o.Fields {
		if name != "Host" {
			r.Header[textproto.CanonicalMIMEHeaderKey(name)] = values
		}
	}
	for name, values := range sent {
		if name == "Host" {
			r.Host = values[0]
			continue
		}
		r.Header[name] = values
	}
	got, err := s.client.Ask(r)
	if err != nil {
		return answer{}, fmt.Errorf("asking the application who is signed in: %w", err)
	}
	a, err := s.o.Reader.read(got)
	if err == nil {
		s.watchSession(sent, got.Header)
	}
	return a, err
}

// watchSession notices a session cookie whose value changes with every answer.
func (s *Source) watchSession(sent, answer http.Header) {
	if s.o.SessionCookie == "" {
		return
	}
	value, found, err := identity.OneCookie(sent, s.o.SessionCookie)
	if err != nil || !found {
		return
	}
	replaced := replaces(answer, s.o.SessionCookie, value)
	if replaced && s.o.Replaced != nil {
		s.o.Replaced()
	}
	if s.rotation.saw(replaced) && s.o.Rotates != nil {
		s.o.Rotates()
	}
}

// Address is the client's address as a proxy would name it, or "" for what is no
// address.
func Address(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		remote = host
	}
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return ""
	}
	return a.WithZone("").String()
}
