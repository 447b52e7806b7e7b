package config

import (
	"strings"
	"testing"
)

func TestBrand(t *testing.T) {
	good := Brand{
		Name: "Acme Intranet", Logo: "/etc/step_up/logo.SVG", Accent: "#c2185b",
		Links: []Link{{"Help", "https://help.example.com/step-up?x=1#y"}, {"Imprint", "/imprint"}},
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := (Brand{}).Validate(); err != nil {
		t.Fatal(err)
	}
	links := func(text, url string) func(*Brand) { return func(b *Brand) { b.Links = []Link{{text, url}} } }
	for name, c := range map[string]struct {
		change func(*Brand)
		says   string
	}{
		"long name":        {func(b *Brand) { b.Name = strings.Repeat("x", 65) }, "1 to 64 bytes"},
		"blank name":       {func(b *Brand) { b.Name = " " }, "1 to 64 bytes"},
		"turned name":      {func(b *Brand) { b.Name = "a\u202eb" }, "printable"},
		"no image":         {func(b *Brand) { b.Logo = "/etc/passwd" }, "PNG, JPEG, WebP or SVG"},
		"placeholder":      {func(b *Brand) { b.Logo = "{env.LOGO}.svg" }, "path of a file"},
		"colour by name":   {func(b *Brand) { b.Accent = "red" }, "#rrggbb"},
		"short colour":     {func(b *Brand) { b.Accent = "#fff" }, "#rrggbb"},
		"faint colour":     {func(b *Brand) { b.Accent = "#ffd400" }, "has a contrast of 1.43:1 to the light page, and buttons need 3:1 (WCAG 2.2, 1.4.11): the nearest shade that has it is #b09200"},
		"white":            {func(b *Brand) { b.Accent = "#ffffff" }, "the nearest shade that has it is #949494"},
		"six links":        {func(b *Brand) { b.Links = make([]Link, 6) }, "keep the 5"},
		"the same twice":   {func(b *Brand) { b.Links = append(b.Links, b.Links[0]) }, "two links"},
		"link without":     {links("", "/x"), "1 to 100 bytes"},
		"http":             {links("x", "http://example.com/"), "https://"},
		"script":           {links("x", "javascript:alert(1)"), "https://"},
		"data":             {links("x", "data:text/html,x"), "https://"},
		"other host":       {links("x", "//evil.example/"), "https://"},
		"backslash":        {links("x", `/\evil.example/`), "https://"},
		"relative":         {links("x", "help"), "https://"},
		"long address":     {links("x", "/"+strings.Repeat("x", MaxLinkURL)), "of 201 bytes"},
		"with a password":  {links("x", "https://a:b@example.com/"), "https://"},
		"without a host":   {links("x", "https:///x"), "https://"},
		"with a line feed": {links("x", "/x\ny"), "https://"},
		"placeholder link": {links("x", "https://{host}/"), "https://"},
	} {
		b := good
		c.change(&b)
		if err := b.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
