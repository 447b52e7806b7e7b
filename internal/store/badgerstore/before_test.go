package badgerstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// before writes a database as versions without a log of ours did: one transaction
// of Badger for each commit, synced, with a sequence of 8 bytes. It returns a copy
// of the directory as a kill leaves it, and the directory as an orderly end does.
func before(t *testing.T, n int) (killed, ended string) {
	t.Helper()
	ended = t.TempDir()
	db, err := badger.OpenManaged(badgerOptions(ended, zap.NewNop()).WithSyncWrites(true))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		ts := uint64(i + 1)
		txn := db.NewTransactionAt(ts, true)
		key := rowKey(fmt.Appendf(nil, "key-%d", i))
		row := inlineRow(fmt.Appendf(nil, "value of key-%d", i))
		finishRow(key, row, store.Version(ts))
		if err := errors.Join(txn.Set(key, row), txn.Set(sequenceKey, binary.BigEndian.AppendUint64(nil, ts)), txn.CommitAt(ts, nil)); err != nil {
			t.Fatal(err)
		}
	}
	killed = copied(t, ended)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return killed, ended
}

// TestDatabaseOfBefore opens databases that were made before there was a log of
// ours, after a kill and after an orderly end: all is there, versions go on, and a
// binary of before refuses them from then on.
func TestDatabaseOfBefore(t *testing.T) {
	killed, ended := before(t, 20)
	for name, dir := range map[string]string{"killed": killed, "ended": ended} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.putBack(dir)
			for round := range 3 {
				s := p.open()
				wantFence(t, s, store.FenceNone)
				for i := range 20 {
					e, err := s.Get(t.Context(), fmt.Appendf(nil, "key-%d", i))
					if err != nil || string(e.Value) != fmt.Sprintf("value of key-%d", i) {
						t.Fatalf("key-%d: %q, %v", i, e.Value, err)
					}
					if i == 7 && round == 0 && e.Version != 8 {
						t.Errorf("version %d, want 8", e.Version)
					}
				}
				key := fmt.Sprintf("new-%d", round)
				write(t, s, key)
				if e, err := s.Get(t.Context(), []byte(key)); err != nil || e.Version <= 20 {
					t.Errorf("version %d given again, %v", e.Version, err)
				}
				if round == 1 {
					p.putBackRunning(s)
					continue
				}
				p.close(s)
			}
			sequence := rawGet(t, p.open(), sequenceKey)
			if len(sequence) == 8 {
				t.Error("a binary of before would go on without the log")
			}
		})
	}
}

// putBackRunning replaces the directory by what a kill would leave now, its lock's file
// being the one that it names.
func (p place) putBackRunning(s *Store) {
	p.t.Helper()
	copy := p.copied()
	p.close(s)
	p.putBack(copy)
	d, err := openDirectory(p.dir)
	if err == nil {
		err = d.lock()
	}
	if err == nil {
		err = errors.Join(d.note(inUse), d.close())
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func rawGet(t *testing.T, s *Store, key []byte) []byte {
	t.Helper()
	value, err := get(s.db.NewTransactionAt(s.committed.Load(), false), key)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestS25DamagedLogOfBefore flips bits in Badger's own log in a database of before:
// what valid entries follow is damage, and is refused.
func TestS25DamagedLogOfBefore(t *testing.T) {
	killed, _ := before(t, 20)
	logs, err := filepath.Glob(filepath.Join(killed, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("%q, %v", logs, err)
	}
	whole := mustRead(t, logs[0])
	used := len(strings.TrimRight(string(whole), "\x00"))
	lastEntry := used - 100 // a flip in what was written last looks like a torn write
	for at := memtableHeader; at < lastEntry; at += 37 {
		p := newPlace(t)
		p.putBack(killed)
		damaged := append([]byte(nil), whole...)
		damaged[at] ^= 0x10
		if err := os.WriteFile(filepath.Join(p.dir, filepath.Base(logs[0])), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(Options{Dir: p.dir}); err == nil {
			s.Close()
			t.Errorf("opens with byte %d of %d damaged", at, used)
		} else if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

// TestLogIsPruned writes several memory tables' worth: what is in tables leaves the
// log, and a kill at any point loses nothing.
func TestLogIsPruned(t *testing.T) {
	p := newPlace(t)
	s := p.open()
	value := strings.Repeat("v", 60<<10)
	const n = 1200 // 70 MiB
	for i := range n {
		if err := s.Apply(t.Context(), put(fmt.Sprintf("key-%04d", i%900), fmt.Sprint(i, value))); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(pruneEvery)
	write(t, s, "last")
	size := int64(0)
	for _, file := range filesIn(t, logDir(p.dir)) {
		info, err := os.Stat(filepath.Join(logDir(p.dir), file))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 48<<20 {
		t.Errorf("the log takes %d MiB", size>>20)
	}
	p.putBackRunning(s)
	s = p.open()
	wantFence(t, s, store.FenceNone)
	for i := n - 900; i < n; i++ {
		if e, err := s.Get(t.Context(), fmt.Appendf(nil, "key-%04d", i%900)); err != nil || string(e.Value) != fmt.Sprint(i, value) {
			t.Fatalf("key-%04d: %d bytes, %v", i%900, len(e.Value), err)
		}
	}
	p.close(s)
	if left := filesIn(t, logDir(p.dir)); len(left) != 1 {
		t.Errorf("after an opening the log has %q", left)
	}
}
