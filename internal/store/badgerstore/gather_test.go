package badgerstore

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Callers who come again as soon as they are answered share each commit, rather
// than every other one; and nobody waits for those who do not come.
func TestCallersShareCommitsAgain(t *testing.T) {
	s := open(t, t.TempDir())
	const callers, each, slow = 8, 8, 80 * time.Millisecond
	var commits atomic.Int64
	write := s.write
	s.write = func(entries map[string]*badger.Entry, ts uint64) error {
		commits.Add(1)
		time.Sleep(slow)
		return write(entries, ts)
	}
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				if err := s.Apply(t.Context(), put(fmt.Sprint(caller, "/", i), "1")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	// The first commit is of one or a few, and the last of those who were left out
	// of it.
	if n := commits.Load(); n > each+4 {
		t.Errorf("%d commits for %d changes of each of %d callers", n, each, callers)
	}
	if s.pace.callers > callers {
		t.Errorf("%d callers were seen, of %d", s.pace.callers, callers)
	}
	for i := range 2 {
		if err := s.Apply(t.Context(), put(fmt.Sprint("alone/", i), "1")); err != nil {
			t.Fatal(err)
		}
	}
	if s.pace.callers != 1 {
		t.Errorf("one caller alone is waited for as if there were %d", s.pace.callers)
	}
}
