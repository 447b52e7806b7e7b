package sender

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func fixed() time.Time { return time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC) }

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sms.jsonl")
	f, err := NewFile(path, fixed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is made before there is a text")
	}
	const each = 20
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range each {
				if err := f.Send(t.Context(), number, text); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	stat, err := os.Stat(path)
	if err != nil || stat.Mode() != 0o600 {
		t.Fatalf("%v %v", stat, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if len(lines) != 4*each {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		var got struct{ Time, To, Text string }
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.To != number || got.Text != text || got.Time != "2026-01-02T15:04:05Z" {
			t.Fatalf("%s: %v", line, err)
		}
	}
	again, err := NewFile(path, fixed)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	noLeak(t, again.Send(ended, number, text))
	noLeak(t, again.Send(t.Context(), number+"x", text))
	noLeak(t, again.Send(t.Context(), number, text+"\x00"))
	if now, _ := os.ReadFile(path); len(now) != len(content) {
		t.Error("something was written for what was refused")
	}
}

// TestS13FileOfOthers refuses to write where others can read, also where that
// changes after the configuration was loaded.
func TestS13FileOfOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sms.jsonl")
	for name, prepare := range map[string]func() error{
		"open to others": func() error {
			return os.WriteFile(path, nil, 0o644)
		},
		"open to the group": func() error { return os.Chmod(path, 0o640) },
		"a symbolic link": func() error {
			other := filepath.Join(dir, "other")
			return errors.Join(os.WriteFile(other, nil, 0o600), os.Symlink(other, path))
		},
		"a pipe": func() error { return pipe(path) },
		"a directory": func() error {
			return os.Mkdir(path, 0o700)
		},
	} {
		os.RemoveAll(path)
		f, err := NewFile(path, fixed)
		if err != nil {
			t.Fatal(err)
		}
		if name == "open to the group" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		if _, err := NewFile(path, fixed); err == nil {
			t.Errorf("%s: accepted", name)
		}
		noLeak(t, f.Send(t.Context(), number, text))
	}
	if text, err := os.ReadFile(filepath.Join(dir, "other")); err != nil || len(text) > 0 {
		t.Errorf("the link was followed: %q %v", text, err)
	}
	if _, err := NewFile("", fixed); err == nil {
		t.Error("no path is accepted")
	}
	missing, err := NewFile(filepath.Join(dir, "none", "sms.jsonl"), fixed)
	if err != nil {
		t.Fatal(err)
	}
	noLeak(t, missing.Send(t.Context(), number, text))
}
