package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// readBrand reads how the pages look. Syntax:
//
//	brand {
//		name   TEXT
//		logo   FILE
//		accent "#RRGGBB"
//		link   TEXT URL
//	}
//
// The color stands in quotes: without them # begins a comment. link may be repeated up to five times. An accent that cannot be told from the page
// is refused with the nearest one that can.
func (a *App) readBrand(d *caddyfile.Dispenser) error {
	b := &a.Brand
	if d.NextArg() {
		return d.Errf("brand takes a block, not %q", d.Val())
	}
	// said reads one word, and checks it against what it must be.
	said := func(into *string, example string, check func(string) error) block.Setting {
		return func(d *caddyfile.Dispenser) error {
			if err := block.Word(d, into, example); err != nil {
				return err
			}
			return block.Checked(d, check(*into))
		}
	}
	return block.Block{
		Name:    "brand",
		Order:   []string{"name", "logo", "accent", "link"},
		Repeats: "link",
		Settings: map[string]block.Setting{
			"name": said(&b.Name, `"Acme Intranet"`, config.CheckBrandName),
			"logo": said(&b.Logo, "/etc/step_up/logo.svg", config.CheckLogo),
			"accent": func(d *caddyfile.Dispenser) error {
				if !d.NextArg() {
					return d.Err("accent takes a color in quotes, such as `accent \"#1a56c4\"`: without them # begins a comment")
				}
				b.Accent = d.Val()
				return block.Checked(d, config.CheckAccent(b.Accent))
			},
			"link": func(d *caddyfile.Dispenser) error {
				var l config.Link
				if !d.Args(&l.Text, &l.URL) {
					return d.Err("link takes a text and an address, such as `link Help https://help.example.com/`")
				}
				b.Links = append(b.Links, l)
				return block.Checked(d, b.Validate())
			},
		},
	}.Read(d)
}
