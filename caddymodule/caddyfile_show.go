package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/config"
)

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
			return d.Errf("show names %s twice", field)
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
