package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/config"
)

func TestTheLogoIsASmallImage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "h.png")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	png := "\x89PNG\r\n\x1a\n"
	for name, c := range map[string]struct{ file, want string }{
		"image":      {write("a.png", png+strings.Repeat("x", config.MaxLogo-len(png))), ""},
		"drawing":    {write("b.svg", `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`), ""},
		"other type": {write("c.png", "<svg/>"), ""},
		"too large":  {write("d.png", png+strings.Repeat("x", config.MaxLogo)), "more than 4 KiB"},
		"a page":     {write("e.svg", "<!doctype html><svg>"), "neither PNG"},
		"empty":      {write("f.png", ""), "neither PNG"},
		"missing":    {filepath.Join(dir, "g.png"), "opening brand logo"},
		"directory":  {dir, "is not a file"},
		"pipe":       {pipe, "is not a file"},
	} {
		a := App{App: config.App{Brand: config.Brand{Logo: c.file, Accent: "#c2185b"}}}
		err := a.loadBrand()
		if c.want == "" && (err != nil || a.brand.Logo.URI() == "" || a.brand.Accent == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || a.brand != nil) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
