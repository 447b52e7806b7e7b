package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// readCredentials reads where requests carry credentials. Syntax:
//
//	credentials {
//		cookie NAME...
//		header NAME...
//		query  NAME...
//		field  NAME | POINTER...
//
//		ignore cookie | header | query | field NAME...
//		deny   cookie | header | query | field NAME...
//	}
//
// ignore and deny may be repeated; each other setting is set at most once.
func (h *Handler) readCredentials(d *caddyfile.Dispenser) error {
	c := new(config.Credentials)
	h.Credentials = c
	directive, lines := d.Token(), block.Lines{}
	if d.NextArg() {
		return d.Errf("credentials takes its settings in a block, not %q", d.Val())
	}
	err := block.Block{
		Lines:   lines,
		Name:    "credentials",
		Repeats: "ignore deny",
		Order:   []string{"cookie", "header", "query", "field", "ignore", "deny"},
		Settings: map[string]block.Setting{
			"cookie": block.Words(&c.Cookies, "autologin"),
			"header": block.Words(&c.Headers, "X-Redmine-API-Key"),
			"query":  block.Words(&c.Queries, "key"),
			"field":  block.Words(&c.Fields, "/session_id"),
			"ignore": func(d *caddyfile.Dispenser) error { return readPlaces(d, &c.Ignore, "header Authorization") },
			"deny":   func(d *caddyfile.Dispenser) error { return readPlaces(d, &c.Deny, "query api_key") },
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return block.CheckedAt(directive, c.Validate())
}

// readPlaces reads a kind of places and their names.
func readPlaces(d *caddyfile.Dispenser, into *config.Places, example string) error {
	setting := d.Val()
	var kind string
	if d.NextArg() {
		kind = d.Val()
	}
	names, known := map[string]*[]string{
		"cookie": &into.Cookies, "header": &into.Headers, "query": &into.Queries, "field": &into.Fields,
	}[kind]
	if more := d.RemainingArgs(); known && len(more) > 0 {
		*names = append(*names, more...)
		return nil
	}
	return d.Errf("%s takes cookie, header, query or field, and then names, such as `%s %s`", setting, setting, example)
}

// showBlock reads the fields of show that stand in a block, one a line with its label.
func showBlock(d *caddyfile.Dispenser, r *config.Rule) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		field := d.Val()
		if !d.NextArg() {
			return d.Errf("show: %s has no label: write `%s \"Amount\"`, or the fields without labels in one line, `show amount payee`", field, field)
		}
		if r.ShowLabels == nil {
			r.ShowLabels = map[string]string{}
		}
		r.Show = append(r.Show, field)
		if _, twice := r.ShowLabels[field]; twice {
			return d.Errf("show names %s twice: remove one of them", field)
		}
		r.ShowLabels[field] = d.Val()
		if err := config.CheckShowLabels(r.Show, r.ShowLabels); err != nil {
			return d.WrapErr(err)
		}
		if d.NextArg() {
			return d.Errf("show: %q is more than the label of %s: put the label in quotes", d.Val(), field)
		}
	}
	return nil
}
