package badgerstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

const crashDir = "BADGERSTORE_CRASH_DIR"

// TestCrashChild is the writer that TestCrash kills. Without the variable there is nothing to do.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return
	}
	s, err := Open(Options{Dir: dir, Mark: dir + ".mark"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run := time.Now().UnixNano()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				if err := crashWrite(s, fmt.Sprintf("%d/%d/%d", run, w, i), w, i); err != nil {
					fmt.Printf("failed: %v\n", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// crashWrite writes a pair of entries under a new name, tells so, and deletes every third pair again. Each
// line is one system call, so that a kill cuts off at most the last one.
func crashWrite(s *Store, name string, w, i int) error {
	ctx := context.Background()
	size := 100
	if w == 0 && i%4 == 0 {
		size = 700 << 10
	}
	ops := []store.Op{
		{Key: []byte(name + "/a"), Value: crashValue(name, size), If: store.If(0)},
		{Key: []byte(name + "/b"), Value: crashValue(name, 10), If: store.If(0)},
	}
	fmt.Printf("writing %s %d\n", name, size)
	if err := s.Apply(ctx, ops...); err != nil {
		return err
	}
	fmt.Printf("wrote %s %d\n", name, size)
	if i%3 != 0 {
		return nil
	}
	for j := range ops {
		e, err := s.Get(ctx, ops[j].Key)
		if err != nil {
			return err
		}
		ops[j] = store.Op{Key: e.Key, If: &e.Version}
	}
	fmt.Printf("deleting %s %d\n", name, size)
	if err := s.Apply(ctx, ops...); err != nil {
		return err
	}
	fmt.Printf("deleted %s %d\n", name, size)
	return nil
}

func crashValue(name string, size int) []byte {
	return []byte(strings.Repeat(name+" ", size/len(name)+1)[:size])
}

// TestCrash kills a writer without a warning, a few times, or CRASH_ROUNDS. Whatever it was told to be durable must be so, and
// whatever it was not told must be there wholly or not at all.
func TestCrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	state := make(map[string]string) // the last word about each name
	size := make(map[string]int)
	var highest store.Version
	for round := range rounds(t, "CRASH_ROUNDS", 10) {
		killedWriter(t, dir, func(word, name string, n int) {
			state[name], size[name] = word, n
		})
		s, err := Open(Options{Dir: dir, Mark: dir + ".mark"})
		if err != nil {
			t.Fatalf("round %d: opening after a kill: %v", round, err)
		}
		wantFence(t, s, store.FenceNone)
		count := make(map[string]int)
		for name, word := range state {
			count[word]++
			a, errA := s.Get(t.Context(), []byte(name+"/a"))
			b, errB := s.Get(t.Context(), []byte(name+"/b"))
			there, gone := errA == nil && errB == nil, errors.Is(errA, store.ErrNotFound) && errors.Is(errB, store.ErrNotFound)
			switch {
			case !there && !gone:
				t.Errorf("round %d: %s is torn: %v, %v", round, name, errA, errB)
			case word == "wrote" && !there:
				t.Errorf("round %d: %s was acknowledged and is lost", round, name)
			case word == "deleted" && !gone:
				t.Errorf("round %d: %s was deleted and is back", round, name)
			case there && (string(a.Value) != string(crashValue(name, size[name])) || string(b.Value) != string(crashValue(name, 10))):
				t.Errorf("round %d: %s has other values", round, name)
			}
			highest = max(highest, a.Version, b.Version)
		}
		if count["wrote"] == 0 || count["deleted"] == 0 {
			t.Errorf("round %d: nothing was acknowledged, so nothing was tested: %v", round, count)
		}
		// What is written next is newer than everything, or a version could come twice.
		if err := s.Apply(t.Context(), put("next", "1")); err != nil {
			t.Fatal(err)
		}
		e, err := s.Get(t.Context(), []byte("next"))
		if err != nil || e.Version <= highest {
			t.Errorf("round %d: version %d after %d, %v", round, e.Version, highest, err)
		}
		if err := s.sweep(t.Context()); err != nil {
			t.Errorf("round %d: sweeping: %v", round, err)
		}
		wantChunksOwned(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killedWriter runs TestCrashChild in a process of its own, kills it, and tells each complete line it wrote.
func killedWriter(t *testing.T, dir string, tell func(word, name string, size int)) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	var wrote, deleted bool
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // the end; an incomplete line was no word
		}
		var word, name string
		var size int
		if n, _ := fmt.Sscanf(line, "%s %s %d\n", &word, &name, &size); n != 3 {
			cmd.Process.Kill()
			t.Errorf("the writer says %q", line)
			continue
		}
		deleted = deleted || word == "deleted"
		wrote = wrote || word == "wrote" && strings.HasSuffix(name, "/1") // never deleted
		if deleted && wrote && timer == nil {                             // it is well under way
			timer = time.AfterFunc(time.Duration(rand.IntN(150))*time.Millisecond, func() { cmd.Process.Kill() })
		}
		tell(word, name, size)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the writer ended by itself")
	}
}

// wantChunksOwned holds that after a sweep there is nothing that nobody refers to.
func wantChunksOwned(t *testing.T, s *Store) {
	t.Helper()
	owned := make(map[string]bool)
	for _, k := range rawKeys(t, s, "r") {
		var r row
		err := s.view(t.Context(), func(txn *badger.Txn) (err error) {
			r, err = readRow(txn, []byte(k))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.kind == kindBlob {
			owned[string(r.blob[:])] = true
		}
	}
	for _, k := range rawKeys(t, s, "co") {
		if !owned[k[1:1+len(blobID{})]] {
			t.Errorf("%q is an orphan", k)
		}
	}
}
