package pages

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/color"
)

// Brand is how the operator wants the pages to look. The zero Brand changes
// nothing.
type Brand struct {
	Name   string         // in place of Page.Issuer
	Logo   Logo           // beside the name
	Accent *color.Accents // nil: our own
	Links  []BrandLink    // at the foot of every page
}

// BrandLink is one link of the operator's, checked by package config.
type BrandLink struct{ Text, URL string }

// Logo is an image that stands in the page.
type Logo struct{ uri template.URL }

// NewLogo makes a logo of a file's content: a PNG, JPEG or WebP image, or an
// SVG drawing. The type is told by the content. A drawing comes to the page as an image,
// where browsers run no scripts and load nothing of it (SVG 2, section 2.4).
func NewLogo(content []byte) (Logo, error) {
	kind := imageType(content)
	if kind == "" {
		return Logo{}, fmt.Errorf("the logo is neither PNG, JPEG, WebP nor SVG")
	}
	return Logo{uri: template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(content))}, nil
}

// imageType tells an image's media type, or nothing.
func imageType(b []byte) string {
	s := string(b)
	switch {
	case strings.HasPrefix(s, "\x89PNG\r\n\x1a\n"):
		return "image/png"
	case strings.HasPrefix(s, "\xff\xd8\xff"):
		return "image/jpeg"
	case len(s) > 12 && s[:4] == "RIFF" && s[8:12] == "WEBP":
		return "image/webp"
	}
	head := strings.TrimLeft(strings.TrimPrefix(s, "\ufeff"), " \t\r\n")
	if (strings.HasPrefix(head, "<svg") || strings.HasPrefix(head, "<?xml") || strings.HasPrefix(head, "<!--")) && strings.Contains(head, "<svg") {
		return "image/svg+xml"
	}
	return ""
}

// URI is the logo as an address that holds it.
func (l Logo) URI() template.URL { return l.uri }

func (b *Brand) hasLogo() bool { return b != nil && b.Logo.uri != "" }

// style sets the accent over that of the style sheet.
func (b *Brand) style() template.CSS {
	if b == nil || b.Accent == nil {
		return ""
	}
	set := func(s color.Scheme) string {
		return fmt.Sprintf(":root{--accent:%s;--on-accent:%s;--link:%s}", s.Accent, s.OnAccent, s.Link)
	}
	return template.CSS(set(b.Accent.Light) + "\n@media screen and (prefers-color-scheme:dark){" + set(b.Accent.Dark) + "}\n")
}
