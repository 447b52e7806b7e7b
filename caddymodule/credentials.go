package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// carried is where the requests of a site carry credentials.
type carried struct {
	places *identity.Places
	token  bool             // a form's access_token is looked for
	fields []readings.Field // named by the operator
	table  *readings.Table  // of fields
	deny   *carried         // nil: nothing is denied
	limit  int              // of a body that is looked into
	told   sync.Map         // by place: the operator was told
}

// asksAbout is an identity source that asks about the credentials which the
// operator named, such as whoami.
type asksAbout interface {
	AsksAbout(named, ignored []Credential) error
}

// placeCredentials sets up where credentials are looked for.
func (h *Handler) placeCredentials(said *config.Credentials, limit int) error {
	if said == nil {
		said = new(config.Credentials)
	}
	named, ignored := placesOf(&said.Places), placesOf(&said.Ignore)
	h.carried = &carried{
		places: identity.NewPlaces(named, ignored), limit: limit,
		token: !slices.Contains(said.Ignore.Fields, identity.FormToken),
	}
	var err error
	if err = h.carried.look(said.Fields); err != nil {
		return err
	}
	if denied := placesOf(&said.Deny); len(denied) > 0 {
		h.carried.deny = &carried{places: identity.OnlyPlaces(denied), limit: limit}
		if err = h.carried.deny.look(said.Deny.Fields); err != nil {
			return err
		}
	}
	if source, ok := h.identity.(asksAbout); ok {
		return source.AsksAbout(named, ignored)
	}
	return nil
}

func placesOf(p *config.Places) (list []Credential) {
	for _, k := range []struct {
		kind  identity.Kind
		names []string
	}{{InCookie, p.Cookies}, {InHeader, p.Headers}, {InQuery, p.Queries}, {InField, p.Fields}} {
		for _, n := range k.names {
			list = append(list, Credential{Kind: k.kind, Name: n})
		}
	}
	return list
}

// look sets up the fields of bodies that are looked for.
func (c *carried) look(names []string) error {
	for _, n := range names {
		read := func(n string) (readings.Field, error) { return readings.FormField(n) }
		if strings.HasPrefix(n, "/") {
			read = func(n string) (readings.Field, error) { return readings.JSONField(n) }
		}
		f, err := read(n)
		if err != nil {
			return fmt.Errorf("credentials: field %q: %w", n, err)
		}
		c.fields = append(c.fields, f)
	}
	c.table = readings.NewTable(c.fields...)
	return nil
}

// check refuses credentials outside the body that were not vouched for.
func (c *carried) check(r *http.Request, sent gate.Sent, vouched []Credential) error {
	var room [1]string
	targets := room[:0]
	if sent.Original != "" {
		targets = append(targets, sent.Original)
	}
	if sent.Bare {
		return c.places.CheckBare(r, vouched, targets...)
	}
	return c.places.Check(r, vouched, targets...)
}

// headerNames are the names of headers that check and denied look for.
func (c *carried) headerNames() identity.Filter {
	names := c.places.HeaderNames()
	if c.deny != nil {
		names.AddAll(c.deny.places.HeaderNames())
	}
	return names
}

// denied refuses places outside the body that no request may have.
func (c *carried) denied(r *http.Request, sent gate.Sent) error {
	if c.deny == nil {
		return nil
	}
	return asDenied(c.deny.check(r, sent, nil))
}

// deniedInBody is denied for the body.
func (c *carried) deniedInBody(r *http.Request) error {
	if c.deny == nil {
		return nil
	}
	return asDenied(c.deny.inBody(r, nil))
}

func asDenied(err error) error {
	if at, ok := err.(*identity.UnvouchedError); ok {
		at.Denied = true
	}
	return err
}

// reads reports whether inBody or deniedInBody may read the body.
func (c *carried) reads(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 || r.ContentLength > int64(c.limit) {
		return false
	}
	return len(c.fields) > 0 || c.deny != nil && len(c.deny.fields) > 0 || c.token && isForm(r.Header["Content-Type"])
}

// inBody refuses credentials in the body. A field that the operator named is there
// also where it cannot be told. The one that is looked for unasked (RFC 6750
// section 2.2) is looked for in what says to be a form, as far as that can be
// told: an upload must not be refused for its size.
func (c *carried) inBody(r *http.Request, vouched []Credential) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 || !c.token && len(c.fields) == 0 {
		return nil
	}
	vouches := func(name string) bool {
		return slices.ContainsFunc(vouched, func(v Credential) bool { return v.Covers(InField, name) })
	}
	peek := readings.NewPeek(r, c.limit)
	peek.Reserved()
	found := c.table.Read(r)
	for i := range c.fields {
		f := &c.fields[i]
		if vouches(f.String()) {
			continue
		}
		if found.In(f, c.table.Place(f), &peek) != readings.No {
			return &identity.UnvouchedError{Place: Credential{Kind: InField, Name: f.String()}}
		}
	}
	if !c.token || !isForm(r.Header["Content-Type"]) || vouches(identity.FormToken) {
		return nil
	}
	values, _ := peek.Form().Values(identity.FormToken)
	if slices.ContainsFunc(values, func(v string) bool { return strings.Trim(v, identity.Blanks) != "" }) {
		return &identity.UnvouchedError{Place: Credential{Kind: InField, Name: identity.FormToken}}
	}
	return nil
}

// isForm reports whether a body says to be a form. Some applications take one
// without a type for it.
func isForm(types []string) bool {
	if len(types) == 0 {
		return true
	}
	return slices.ContainsFunc(types, func(t string) bool {
		t = strings.ToLower(t)
		return strings.Contains(t, "urlencoded") || strings.Contains(t, "form-data")
	})
}
