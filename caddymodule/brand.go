package caddymodule

import (
	"fmt"
	"io"
	"os"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/color"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// loadBrand makes what the pages need of the settings. They are valid.
func (a *App) loadBrand() error {
	said := a.Brand
	brand := pages.Brand{Name: said.Name}
	if said.Logo != "" {
		content, err := readLogo(said.Logo)
		if err != nil {
			return err
		}
		if brand.Logo, err = pages.NewLogo(content); err != nil {
			return fmt.Errorf("brand logo %s: %w", said.Logo, err)
		}
	}
	if said.Accent != "" {
		accent, err := color.Parse(said.Accent)
		if err != nil {
			return fmt.Errorf("brand accent: %w", err)
		}
		accents, err := color.NewAccents(accent)
		if err != nil {
			return fmt.Errorf("brand accent: %w", err)
		}
		brand.Accent = &accents
	}
	for _, l := range said.Links {
		brand.Links = append(brand.Links, pages.BrandLink{Text: l.Text, URL: l.URL})
	}
	a.brand = &brand
	return nil
}

// readLogo reads a small file, and no more of a large one than tells that it is.
func readLogo(file string) ([]byte, error) {
	// Looked at before it is opened: opening a pipe would wait for whoever writes
	// to it, and all reloads with it.
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("brand logo %s is not a file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("opening brand logo: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, config.MaxLogo+1))
	if err != nil {
		return nil, fmt.Errorf("reading brand logo: %w", err)
	}
	if len(content) > config.MaxLogo {
		return nil, fmt.Errorf("brand logo %s has more than %d KiB, and it comes with every page: make it smaller, such as an SVG or a PNG 64 pixels high", file, config.MaxLogo>>10)
	}
	return content, nil
}
