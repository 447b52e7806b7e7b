package stores

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/realpath"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
)

// noMark is the mark setting that keeps none.
const noMark = "off"

// markFile is the absolute path of the mark of b.dir; empty for none.
func (b *Badger) markFile() (string, error) {
	switch b.Mark {
	case noMark:
		return "", nil
	case "":
		return b.besideData()
	}
	given, err := secret.Resolve(b.Mark)
	if err != nil {
		return "", fmt.Errorf("reading mark of the badger store: %w", err)
	}
	return b.outside(given)
}

// besideData is the mark's default place.
func (b *Badger) besideData() (string, error) {
	name := "step_up.mark"
	if usual, err := (&Badger{}).directory(); err != nil || b.dir != usual {
		sum := sha256.Sum256([]byte(b.dir))
		name = fmt.Sprintf("step_up-%x.mark", sum[:4])
	}
	return b.outside(filepath.Join(caddy.AppDataDir(), name))
}

func (b *Badger) outside(mark string) (string, error) {
	path, err := realpath.Of(mark)
	if err != nil {
		return "", err
	}
	if realpath.Inside(path, b.dir) {
		return "", fmt.Errorf("mark %s lies inside the database's directory %s, so an older copy of the one would bring an older copy of the other: "+
			"write `mark PATH` with a path outside", path, b.dir)
	}
	return path, nil
}

// markPatience is how long the check of a mark may take.
const markPatience = 2 * time.Second

// checkMark fails with a sentence where the mark cannot be written. That is for
// the operator to mend, and no fault of a disk that goes away by itself. On a
// disk that hangs it does not wait: the database will not open either.
func checkMark(path string) error {
	if path == "" {
		return nil
	}
	writable := make(chan error, 1)
	go func() { writable <- openMark(path) }()
	select {
	case err := <-writable:
		if err != nil && !ofItsDisk(err) {
			return fmt.Errorf("the mark %s cannot be written (%v): make it writable, write `mark PATH` with another path, or `mark off`, "+
				"with which an older copy of the database goes unnoticed", path, err)
		}
	case <-time.After(markPatience):
	}
	return nil
}

// ofItsDisk reports whether the disk of a mark is at fault, which is most often
// that of the database too: opening that tells, and Caddy goes on without it.
func ofItsDisk(err error) bool {
	for _, fault := range []error{syscall.EIO, syscall.EROFS, syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

func openMark(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
