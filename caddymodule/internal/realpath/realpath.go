// Package realpath compares paths by the files that they name, so that two
// spellings of one directory are known to be the same.
package realpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// pathPatience is how long finding the real name of a path may take. A file
// system that hangs must not keep a configuration from loading.
const pathPatience = 2 * time.Second

// resolving holds, by path, the one look that is under way and what the last one
// found. A look at a disk that hangs takes a thread until the disk answers, so
// there is never a second one for the same path.
var resolving = struct {
	sync.Mutex
	looks map[string]*look
	known map[string]string
}{looks: make(map[string]*look), known: make(map[string]string)}

type look struct {
	done chan struct{}
	path string
	err  error
}

// Of returns one spelling for all that name the same directory, which need
// not exist yet. Where that cannot be found out, since the disk hangs or does not
// let us look, it is the one found before, or else the absolute path as it is:
// opening the database will tell what is the matter.
func Of(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", path, err)
	}
	resolving.Lock()
	l := resolving.looks[abs]
	if l == nil {
		l = &look{done: make(chan struct{})}
		resolving.looks[abs] = l
		go l.run(abs)
	}
	resolving.Unlock()
	late := time.NewTimer(pathPatience)
	defer late.Stop()
	select {
	case <-l.done:
		if l.err == nil {
			return l.path, nil
		}
	case <-late.C:
	}
	resolving.Lock()
	defer resolving.Unlock()
	if known, ok := resolving.known[abs]; ok {
		return known, nil
	}
	return abs, nil
}

func (l *look) run(abs string) {
	l.path, l.err = resolve(abs)
	resolving.Lock()
	delete(resolving.looks, abs)
	if l.err == nil {
		resolving.known[abs] = l.path
	}
	resolving.Unlock()
	close(l.done)
}

// resolve follows the links on the way to an absolute path as far as it exists.
func resolve(abs string) (string, error) {
	if resolved, err := filepath.EvalSymlinks(abs); err == nil {
		return resolved, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("finding %s: %w", abs, err)
	}
	parent := filepath.Dir(abs)
	if parent == abs {
		return abs, nil
	}
	parent, err := resolve(parent)
	if err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// Inside reports whether path lies in dir or is dir.
func Inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
