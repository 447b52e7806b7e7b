package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stepup-gateway/caddy-stepup/internal/durable"
)

// ErrInUse reports that a gateway, or another command, has the file open.
var ErrInUse = errors.New("the file is in use")

// EraseFile is [Erase] of a file in its place. The new file replaces the old one at
// once, or not at all, with its mode and owner. It fails with [ErrInUse] while a
// gateway writes to the file.
func EraseFile(path string, who Person) (done Erasure, err error) {
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return done, fmt.Errorf("opening log: %w", err)
	}
	defer old.Close()
	if err := lockFile(old); err != nil {
		return done, err
	}
	info, err := old.Stat()
	if err != nil {
		return done, fmt.Errorf("examining log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return done, fmt.Errorf("%s is not a regular file", path)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return done, fmt.Errorf("examining log: %w", err)
	}
	dir := filepath.Dir(path)
	fresh, err := os.CreateTemp(dir, ".audit-erase-*")
	if err != nil {
		return done, fmt.Errorf("making the new log: %w", err)
	}
	defer os.Remove(fresh.Name()) // it has another name once all went well
	defer fresh.Close()
	if done, err = Erase(fresh, old, who); err != nil {
		return done, err
	}
	if err := likeness(fresh, info); err != nil {
		return done, err
	}
	if err := fresh.Sync(); err != nil {
		return done, fmt.Errorf("writing the new log: %w", err)
	}
	if err := os.Rename(fresh.Name(), path); err != nil {
		return done, fmt.Errorf("replacing the log: %w", err)
	}
	return done, durable.Names(dir)
}
