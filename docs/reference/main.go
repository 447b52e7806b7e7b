// Command reference writes the pages of docs that are drawn from the code itself:
// every setting, command, metric and event, with what the comments say of them.
//
//	go run ./docs/reference
//
// A test compares the pages with what would be written now, so that nothing is
// described that is gone, and nothing is there that is not described.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/stepup-gateway/caddy-stepup/internal/audit"
)

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// write writes the pages of the repository at root.
func write(root string) error {
	pages, err := draw(root)
	if err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(root, "docs", name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing a page: %w", err)
		}
	}
	return nil
}

// draw returns the pages by their names below docs.
func draw(root string) (map[string]string, error) {
	src := newSource(root)
	settings, err := settingsPage(src)
	if err != nil {
		return nil, err
	}
	events, err := eventsPage(src)
	if err != nil {
		return nil, err
	}
	evidence, err := evidencePage(root)
	if err != nil {
		return nil, err
	}
	return map[string]string{"configuration.md": settings, "commands.md": commandsPage(), "events.md": events, "evidence.md": evidence, "audit.schema.json": string(audit.Schema)}, nil
}
