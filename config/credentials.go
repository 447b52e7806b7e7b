package config

import (
	"errors"
	"fmt"
	"strings"
)

// Credentials name the places of a request that the application reads credentials
// from. The gateway and the application must see the same user, so a protected
// request that has a credential which the identity source did not check is
// answered with 400.
//
// Authorization and well-known API keys and tokens, in header fields and in the
// query, are always looked for; so is access_token in a form. Everything else that
// signs users in, such as a second cookie, must be named here.
type Credentials struct {
	// Places that carry credentials: each must be absent, or checked by the
	// identity source together with the rest. whoami sends the named cookies
	// and header fields to the application, and each alone must name the same
	// user. Where it cannot be told whether a body has a named field, it does.
	Places

	// Ignore names places that the application takes no credential from. They
	// may then hold anything.
	Ignore Places `json:"ignore,omitzero"`

	// Deny names places that no protected request may have, whoever checked
	// them.
	Deny Places `json:"deny,omitzero"`
}

// Places are places of a request, by kind.
type Places struct {
	// Cookies by name; a star at the end stands for any rest.
	Cookies []string `json:"cookie,omitempty"`
	// Headers are names of header fields.
	Headers []string `json:"header,omitempty"`
	// Queries are names of query parameters, and of parameters in the path
	// (;jsessionid=).
	Queries []string `json:"query,omitempty"`
	// Fields of bodies: names in forms and of members in JSON, or JSON pointers
	// (RFC 6901).
	Fields []string `json:"field,omitempty"`
}

// maxPlaces bounds the names of one kind: each is looked for in every protected
// request.
const maxPlaces = 32

// Validate returns the first thing that is wrong with c, as a sentence.
func (c *Credentials) Validate() error {
	seen := make(map[string]string)
	for _, part := range []struct {
		name string
		p    *Places
	}{{"", &c.Places}, {"ignore ", &c.Ignore}, {"deny ", &c.Deny}} {
		for _, k := range []struct {
			kind  string
			names []string
		}{{"cookie", part.p.Cookies}, {"header", part.p.Headers}, {"query", part.p.Queries}, {"field", part.p.Fields}} {
			if err := CheckPlaces(part.name+k.kind, k.kind, k.names); err != nil {
				return err
			}
			for _, n := range k.names {
				at := k.kind + " " + strings.ToLower(n)
				if other, twice := seen[at]; twice {
					return fmt.Errorf("credentials name %s %s in `%s` and in `%s`: keep one of them", k.kind, n, other, strings.TrimSpace(part.name+k.kind))
				}
				seen[at] = strings.TrimSpace(part.name + k.kind)
			}
		}
	}
	return nil
}

// CheckPlaces checks the names of one kind: cookie, header, query or field.
// setting is what the operator wrote.
func CheckPlaces(setting, kind string, names []string) error {
	if len(names) > maxPlaces {
		return fmt.Errorf("credentials: %s takes at most %d names", setting, maxPlaces)
	}
	for _, n := range names {
		if err := checkPlace(kind, n); err != nil {
			return fmt.Errorf("credentials: %s %q: %w", setting, n, err)
		}
	}
	return nil
}

func checkPlace(kind, name string) error {
	switch {
	case name == "" || len(name) > 128:
		return errors.New("a name has 1 to 128 bytes")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("a name has no control characters")
	}
	rest := name
	if kind == "cookie" {
		rest = strings.TrimSuffix(rest, "*")
	}
	if strings.Contains(rest, "*") || rest == "" {
		return errors.New("a star stands for any rest of a cookie's name only, and behind at least one character")
	}
	if kind != "cookie" && kind != "header" {
		return nil
	}
	if kind == "cookie" {
		if err := CheckForeignCookie("this", name); err != nil {
			return err
		}
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) }) {
		return fmt.Errorf("this is not the name of a %s", kind)
	}
	if lower := strings.ToLower(name); kind == "header" && (lower == "cookie" || lower == "host" || strings.HasPrefix(lower, "step-up-")) {
		return errors.New("this header field is not a credential: name cookies with `cookie NAME`")
	}
	return nil
}
