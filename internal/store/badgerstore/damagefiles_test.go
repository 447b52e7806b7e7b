package badgerstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// rounds is how often a fault is tried: a few times, or what the variable says for
// the long form.
func rounds(t *testing.T, variable string, few int) int {
	said := os.Getenv(variable)
	if said == "" {
		return few
	}
	n, err := strconv.Atoi(said)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestS25DamageOfEveryFile flips bits in every file of a database, cuts each off,
// fills a part with zeros and removes it, in the state that a kill leaves and in the
// one that an orderly end leaves. The database then holds all that was
// acknowledged, or it says that it does not, or it refuses with a sentence and has
// changed nothing that counts. DAMAGE_ROUNDS=100 is the long form.
func TestS25DamageOfEveryFile(t *testing.T) {
	p := newPlace(t)
	var keys []string
	fill := func(s *Store, n, size int) {
		for i := range n {
			key := fmt.Sprintf("key-%d-%d", len(keys), i)
			if err := s.Apply(t.Context(), put(key, key+strings.Repeat("v", size))); err != nil {
				t.Fatal(err)
			}
			keys = append(keys, key)
		}
	}
	for range 3 { // a table each
		s := p.open()
		fill(s, 10, 100)
		fill(s, 1, 300<<10)
		p.close(s)
	}
	ended, endedKeys := place{t, p.copied(), filepath.Join(t.TempDir(), "mark")}, append([]string(nil), keys...)
	endedMark := mustRead(t, p.mark)
	s := p.open()
	fill(s, 20, 200)
	killed, killedMark := p.copied(), mustRead(t, p.mark)
	p.close(s)

	random := rand.New(rand.NewPCG(10, 28))
	told := map[string]int{}
	for _, state := range []struct {
		name, dir string
		mark      []byte
		keys      []string
	}{{"killed", killed, killedMark, keys}, {"ended", ended.dir, endedMark, endedKeys}} {
		for _, file := range filesIn(t, state.dir) {
			for round := range rounds(t, "DAMAGE_ROUNDS", 4) {
				what, data := spoil(random, round, mustRead(t, filepath.Join(state.dir, file)))
				name := fmt.Sprintf("%s: %s: %s", state.name, file, what)
				q := place{t, copied(t, state.dir), filepath.Join(t.TempDir(), "mark")}
				os.WriteFile(q.mark, state.mark, 0o600)
				damaged := filepath.Join(q.dir, file)
				if data == nil {
					os.Remove(damaged)
				} else if err := os.WriteFile(damaged, data, 0o600); err != nil {
					t.Fatal(err)
				}
				told[filepath.Ext(file)+" "+q.outcome(name, state.keys)]++
			}
		}
	}
	t.Log(told)
}

// outcome opens a damaged database and says what came of it.
func (p place) outcome(name string, keys []string) string {
	before := filesIn(p.t, p.dir)
	s, err := Open(Options{Dir: p.dir, Mark: p.mark})
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrMissing) {
			p.t.Errorf("%s: %v", name, err)
		}
		after := strings.Join(filesIn(p.t, p.dir), " ")
		for _, file := range before {
			if (strings.HasSuffix(file, ".sst") || strings.HasSuffix(file, ".log")) && !strings.Contains(after, file) {
				p.t.Errorf("%s: refused with %v, and %s was deleted", name, err, file)
			}
		}
		return "refused"
	}
	defer s.Close()
	if s.Fence().Kind != store.FenceNone {
		return "told"
	}
	for _, key := range keys {
		if e, err := s.Get(p.t.Context(), []byte(key)); err != nil || !strings.HasPrefix(string(e.Value), key) {
			p.t.Errorf("%s: opened in silence, and %s is lost: %v", name, key, err)
			break
		}
	}
	return "whole"
}

func filesIn(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "LOCK" && d.Name() != lockName {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// spoil damages a file's contents; nil is a file that is removed.
func spoil(random *rand.Rand, round int, data []byte) (what string, _ []byte) {
	if len(data) == 0 || round == 0 {
		return "removed", nil
	}
	// Most of what counts is where the zeros at the end have not begun.
	used := max(1, len(strings.TrimRight(string(data), "\x00")))
	at := random.IntN(used)
	switch round % 5 {
	case 1:
		return fmt.Sprintf("cut by one byte, at %d", used-1), data[:used-1]
	case 2:
		return fmt.Sprintf("cut at %d of %d", at, used), data[:at]
	case 3:
		n := min(len(data)-at, 1+random.IntN(512))
		clear(data[at : at+n])
		return fmt.Sprintf("%d zeros at %d", n, at), data
	default:
		data[at] ^= 1 << random.IntN(8)
		return fmt.Sprintf("bit flipped at %d of %d", at, used), data
	}
}
