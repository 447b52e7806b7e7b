package config

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/color"
)

// Limits on what every page carries.
const (
	// MaxLogo bounds the logo's file, in bytes: with it, every page has less than
	// 30,000.
	MaxLogo = 4 << 10
	// MaxLinks bounds the links at the foot of every page.
	MaxLinks = 5
	// MaxLinkURL bounds where a link leads to, in bytes.
	MaxLinkURL = 200
)

// Brand is how the gateway's pages look, so that people recognize whose they are.
type Brand struct {
	// Name stands at the top of every page. 1 to 64 bytes. Default: the issuer.
	Name string `json:"name,omitempty"`

	// Logo is the file of an image that stands beside the name, 32 pixels high:
	// PNG, JPEG, WebP or SVG, at most 4 KiB. It is read when the configuration is
	// loaded and comes with every page, so a small one is a quick one. Default: none.
	Logo string `json:"logo,omitempty"`

	// Accent is the color of buttons, links and the focus, as #rrggbb. It must
	// have a contrast of 3:1 to a white page; the shades for text, and for dark
	// pages, are derived from it. Default: #1a56c4.
	Accent string `json:"accent,omitempty"`

	// Links stand at the foot of every page: help, imprint. At most 5.
	Links []Link `json:"links,omitempty"`
}

// Link is one link of a Brand.
type Link struct {
	// Text is what the link says, at most 100 bytes.
	Text string `json:"text"`
	// URL is where it leads: https://, or a path on the site itself. At most 200
	// bytes.
	URL string `json:"url"`
}

// Validate returns the first thing that is wrong with b, as a sentence.
func (b Brand) Validate() error {
	if err := CheckBrandName(b.Name); b.Name != "" && err != nil {
		return err
	}
	if err := CheckLogo(b.Logo); b.Logo != "" && err != nil {
		return err
	}
	if err := CheckAccent(b.Accent); b.Accent != "" && err != nil {
		return err
	}
	if len(b.Links) > MaxLinks {
		return fmt.Errorf("brand has %d links: keep the %d that people need here", len(b.Links), MaxLinks)
	}
	for i, l := range b.Links {
		if err := l.Validate(); err != nil {
			return err
		}
		for _, other := range b.Links[:i] {
			if other.Text == l.Text {
				return fmt.Errorf("brand has two links %q: give each its own text", l.Text)
			}
		}
	}
	return nil
}

// CheckBrandName checks the name at the top of the pages against its limits.
func CheckBrandName(name string) error {
	if strings.TrimSpace(name) == "" || len(name) > 64 || !printable(name) {
		return errors.New(`brand name must be 1 to 64 bytes of printable text, such as "Acme Intranet"`)
	}
	return nil
}

// CheckLogo looks at the name of the logo's file; what is in it is looked at
// where it is read.
func CheckLogo(file string) error {
	switch strings.ToLower(path.Ext(file)) {
	case ".png", ".jpg", ".jpeg", ".webp", ".svg":
	default:
		return fmt.Errorf("brand logo must be a PNG, JPEG, WebP or SVG file, such as /etc/step_up/logo.svg, not %q", file)
	}
	if strings.ContainsAny(file, "{}") || !printable(file) {
		return fmt.Errorf("brand logo must be the path of a file, such as /etc/step_up/logo.svg, not %q", file)
	}
	return nil
}

// CheckAccent refuses what is no color, and a color that cannot be told from
// the page.
func CheckAccent(accent string) error {
	c, err := color.Parse(accent)
	if err != nil {
		return fmt.Errorf("brand accent %q is not known: %w", accent, err)
	}
	if _, err := color.NewAccents(c); err != nil {
		return fmt.Errorf("brand accent %w", err)
	}
	return nil
}

// Validate returns what is wrong with l, as a sentence.
func (l Link) Validate() error {
	if strings.TrimSpace(l.Text) == "" || len(l.Text) > MaxLabel || !printable(l.Text) {
		return fmt.Errorf("the text of a link must be 1 to %d bytes of printable text", MaxLabel)
	}
	if len(l.URL) > MaxLinkURL {
		return fmt.Errorf("the link %q leads to an address of %d bytes, and it comes with every page: make that at most %d", l.Text, len(l.URL), MaxLinkURL)
	}
	wrong := fmt.Errorf("the link %q must lead to an https:// address or to a path on the site such as /help, not to %q", l.Text, l.URL)
	if !printable(l.URL) || strings.ContainsAny(l.URL, "{} \\") {
		return wrong
	}
	u, err := url.Parse(l.URL)
	switch {
	case err != nil, u.User != nil:
		return wrong
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "" && u.Host == "" && strings.HasPrefix(l.URL, "/") && !strings.HasPrefix(l.URL, "//"):
		return nil
	}
	return wrong
}
