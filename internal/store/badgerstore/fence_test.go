package badgerstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// A place is a database directory and its mark, which can be copied and put back.
type place struct {
	t         *testing.T
	dir, mark string
}

func newPlace(t *testing.T) place {
	root := t.TempDir()
	return place{t, filepath.Join(root, "data"), filepath.Join(root, "state", "mark")}
}

func (p place) open() *Store {
	p.t.Helper()
	s, err := Open(Options{Dir: p.dir, Mark: p.mark})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { s.Close() })
	return s
}

func (p place) close(s *Store) {
	p.t.Helper()
	if err := s.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// copied is the directory as it is now.
func (p place) copied() string {
	p.t.Helper()
	return copied(p.t, p.dir)
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// putBack replaces the directory by a copy.
func (p place) putBack(copy string) {
	p.t.Helper()
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Fatal(err)
	}
	if err := os.CopyFS(p.dir, os.DirFS(copy)); err != nil {
		p.t.Fatal(err)
	}
}

func write(t *testing.T, s *Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := s.Apply(t.Context(), put(key, "value of "+key)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantFence(t *testing.T, s *Store, want store.FenceKind) {
	t.Helper()
	if f := s.Fence(); f.Kind != want || (want == store.FenceNone) != (f.Reason == "") {
		t.Fatalf("fence %+v, want kind %d", f, want)
	}
}

// TestS25OlderCopies puts older copies of a directory back: of this start, taken
// while running, of an earlier one, of before the first change; each is told, also
// after further starts and after it was written to, until it is accepted.
func TestS25OlderCopies(t *testing.T) {
	p := newPlace(t)
	copies := map[string]string{}
	s := p.open()
	copies["of before the first change"] = p.copied()
	write(t, s, "a")
	p.close(s)
	copies["of an earlier start"] = p.copied()
	s = p.open()
	wantFence(t, s, store.FenceNone)
	write(t, s, "b")
	copies["taken while running"] = p.copied()
	write(t, s, "c")
	lost := s.Committed()
	p.close(s)
	newest, mark := p.copied(), mustRead(t, p.mark)
	for name, older := range copies {
		t.Run(name, func(t *testing.T) {
			p := place{t, p.dir, p.mark}
			p.putBack(older)
			if err := os.WriteFile(p.mark, mark, 0o600); err != nil {
				t.Fatal(err)
			}
			s := p.open()
			wantFence(t, s, store.FenceRolledBack)
			if newest := s.Fence().Newest; time.Since(newest) > time.Hour || newest.IsZero() {
				t.Errorf("newest acknowledged at %v", newest)
			}
			write(t, s, "d", "e", "f", "g", "h", "i", "j", "k")
			p.close(s)
			s = p.open()
			wantFence(t, s, store.FenceRolledBack)
			if err := s.AcceptFence(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantFence(t, s, store.FenceNone)
			write(t, s, "l")
			// No version of what was lost is given again.
			if e, err := s.Get(t.Context(), []byte("l")); err != nil || uint64(e.Version) <= lost {
				t.Errorf("version %d, and %d was given before: %v", e.Version, lost, err)
			}
			p.close(s)
			s = p.open()
			wantFence(t, s, store.FenceNone)
			p.close(s)
			// Now the copy that was newest is the one that does not count.
			p.putBack(newest)
			s = p.open()
			wantFence(t, s, store.FenceRolledBack)
			p.close(s)
		})
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestS25Elsewhere brings back a copy that went on elsewhere and came further than
// the mark: the ids of starts tell it. So they do where the mark is older than the
// database, as after a power failure, and the database is of another start.
func TestS25Elsewhere(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	write(t, s, "a")
	p.close(s)
	other := place{t, p.copied(), filepath.Join(t.TempDir(), "mark")}
	if err := os.WriteFile(other.mark, mustRead(t, p.mark), 0o600); err != nil {
		t.Fatal(err)
	}
	s = p.open()
	write(t, s, "b")
	p.close(s)
	s = other.open()
	write(t, s, "c", "d", "e", "f")
	other.close(s)
	p.putBack(other.dir)
	s = p.open()
	wantFence(t, s, store.FenceRolledBack)
	p.close(s)
}

// TestS25KilledBetween is a start that was killed after it wrote the mark and before
// the database got its id: nothing was lost.
func TestS25KilledBetween(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	write(t, s, "a")
	p.close(s)
	before := p.copied()
	s = p.open() // writes the mark, then the database
	p.close(s)
	m := mustRead(t, p.mark)
	// The mark as it was between the two: its sequence was the one before.
	p.putBack(before)
	between := newPlace(t)
	between.putBack(before)
	s, err := Open(Options{Dir: between.dir})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	older := secondSlot(m)
	if err := os.WriteFile(p.mark, older, 0o600); err != nil {
		t.Fatal(err)
	}
	s = p.open()
	wantFence(t, s, store.FenceNone)
	p.close(s)
}

// secondSlot is a mark's file without the slot that was written last.
func secondSlot(m []byte) []byte {
	m = append([]byte(nil), m...)
	newer := 0
	if string(m[4096+52:4096+60]) > string(m[52:60]) {
		newer = 4096
	}
	clear(m[newer : newer+64])
	return m
}

// TestS25MarkMissing removes or damages the mark: it is not known whether something
// was lost, until that is accepted. A database that never had one is not blamed.
func TestS25MarkMissing(t *testing.T) {
	p := newPlace(t)
	s, err := Open(Options{Dir: p.dir})
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, "a")
	p.close(s)
	s = p.open()
	wantFence(t, s, store.FenceNone)
	write(t, s, "b")
	p.close(s)
	for name, spoil := range map[string]func(){
		"removed": func() { os.Remove(p.mark) },
		"emptied": func() { os.WriteFile(p.mark, nil, 0o600) },
		"damaged": func() {
			m := mustRead(t, p.mark)
			m[10]++
			m[4096+10]++
			os.WriteFile(p.mark, m, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := place{t, p.dir, p.mark}
			spoil()
			s := p.open()
			wantFence(t, s, store.FenceUnsure)
			write(t, s, "c")
			p.close(s)
			s = p.open()
			wantFence(t, s, store.FenceUnsure)
			if err := s.AcceptFence(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.close(s)
			s = p.open()
			wantFence(t, s, store.FenceNone)
			p.close(s)
		})
	}
	// Without a mark nothing is told, and that is told.
	if s, err = Open(Options{Dir: p.dir}); err != nil {
		t.Fatal(err)
	}
	wantFence(t, s, store.FenceNone)
	if !s.Unmarked() {
		t.Error("not told that there is no mark")
	}
	p.close(s)
}

// TestS25AtLeast holds that a caller who knows what was acknowledged needs no mark.
func TestS25AtLeast(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	write(t, s, "a")
	older := copied(t, dir)
	write(t, s, "b")
	known := s.Committed()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]store.FenceKind{dir: store.FenceNone, older: store.FenceRolledBack} {
		s, err := Open(Options{Dir: at, AtLeast: known})
		if err != nil {
			t.Fatal(err)
		}
		wantFence(t, s, want)
		s.Close()
	}
}

// TestS25DirectoryGone removes or empties the directory: no new database takes its
// place.
func TestS25DirectoryGone(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	write(t, s, "a")
	known := s.Committed()
	p.close(s)
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{Dir: p.dir, Mark: p.mark}, {Dir: p.dir, AtLeast: known}} {
		if _, err := Open(o); !errors.Is(err, ErrMissing) {
			t.Errorf("%+v: %v, want ErrMissing", o, err)
		}
		if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) {
			t.Error("the directory was made")
		}
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{Dir: p.dir, Mark: p.mark}, {Dir: p.dir, AtLeast: known}} {
		if _, err := Open(o); !errors.Is(err, ErrMissing) {
			t.Errorf("%+v, empty: %v, want ErrMissing", o, err)
		}
	}
	// With the mark out of the way a new one is made.
	if err := os.Remove(p.mark); err != nil {
		t.Fatal(err)
	}
	s = p.open()
	wantFence(t, s, store.FenceNone)
	p.close(s)
	s = p.open()
	wantFence(t, s, store.FenceNone)
	write(t, s, fmt.Sprint(known))
}
