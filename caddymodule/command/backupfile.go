package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stepup-gateway/caddy-stepup/internal/durable"
)

// target is what a backup is written to.
type target interface {
	io.Writer
	// keep makes what was written durable, under the name that it is to have.
	keep() error
	// discard removes what was written and not kept.
	discard()
}

// stream is the standard output, from which nothing can be taken back.
type stream struct{ io.Writer }

func (stream) keep() error { return nil }
func (stream) discard()    {}

// newlyMade is a file that gets its name once it is whole. Until then it has another one
// in the same directory, which a process that is killed leaves behind.
type newlyMade struct {
	*os.File
	name  string
	force bool
	kept  bool
}

func newFile(name string, force bool) (*newlyMade, error) {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("looking for %s: %w", name, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file, but a link, directory or device: name a file", name)
	case !force:
		return nil, fmt.Errorf("%s exists: name another file, or write --force to replace it", name)
	}
	// CreateTemp gives it mode 0600, and takes no name that is there.
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.partial")
	if err != nil {
		return nil, fmt.Errorf("making a file beside %s: %w", name, err)
	}
	return &newlyMade{File: f, name: name, force: force}, nil
}

func (f *newlyMade) keep() error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", f.name, err)
	}
	if err := f.rename(); err != nil {
		return fmt.Errorf("giving the backup its name: %w", err)
	}
	f.kept = true
	return durable.Names(filepath.Dir(f.name))
}

// rename replaces nothing that came to be there meanwhile, unless it may. A link is made
// only where there is no file; where the file system has none it is looked for.
func (f *newlyMade) rename() error {
	if !f.force {
		err := os.Link(f.File.Name(), f.name)
		if err == nil {
			return os.Remove(f.File.Name())
		}
		if _, there := os.Lstat(f.name); errors.Is(err, fs.ErrExist) || !errors.Is(there, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(f.File.Name(), f.name)
}

func (f *newlyMade) discard() {
	if !f.kept {
		f.Close()
		os.Remove(f.File.Name())
	}
}
