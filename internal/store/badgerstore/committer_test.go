package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// A slowDisk lets one commit through for each value sent to next, and notes what they hold.
type slowDisk struct {
	next    chan struct{}
	asked   atomic.Int32
	commits [][]string // the entries' keys, of each commit
	bytes   []int
}

// slow puts a slowDisk under an open database to which nothing has been written yet.
func slow(s *Store) *slowDisk {
	d := &slowDisk{next: make(chan struct{})}
	write := s.write
	s.write = func(entries map[string]*badger.Entry, ts uint64) error {
		d.asked.Add(1)
		<-d.next
		var keys []string
		size := 0
		for k, e := range entries {
			keys = append(keys, k)
			size += len(k) + len(e.Value)
		}
		d.commits = append(d.commits, keys)
		d.bytes = append(d.bytes, size)
		return write(entries, ts)
	}
	return d
}

// busy keeps the committer at the disk with a first Apply, so that what comes next has to wait.
func (d *slowDisk) busy(t *testing.T, s *Store) <-chan error {
	t.Helper()
	first := applying(t, s, t.Context(), 0, put("first", "1"))
	eventually(t, func() bool { return d.asked.Load() == 1 })
	return first
}

// applying starts an Apply and returns where its outcome will come from, once it is queued as the n-th that
// the committer has not taken.
func applying(t *testing.T, s *Store, ctx context.Context, queued int, ops ...store.Op) <-chan error {
	t.Helper()
	outcome := make(chan error, 1)
	go func() { outcome <- s.Apply(ctx, ops...) }()
	eventually(t, func() bool { return len(s.queue) == queued })
	return outcome
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for range 10_000 {
		if condition() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("what should happen does not")
}

func put(k, v string) store.Op { return store.Op{Key: []byte(k), Value: []byte(v)} }

func TestWaitingCallersShareACommit(t *testing.T) {
	s := open(t, t.TempDir())
	disk := slow(s)
	first := disk.busy(t, s)
	var outcomes []<-chan error
	for i := range 50 {
		k := fmt.Sprintf("k%d", i/2) // two want to create each
		outcomes = append(outcomes, applying(t, s, t.Context(), i+1,
			store.Op{Key: []byte(k), Value: []byte("1"), If: store.If(0)}))
	}
	disk.next <- struct{}{}
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	disk.next <- struct{}{}
	for i, outcome := range outcomes {
		want := error(nil)
		if i%2 == 1 {
			want = store.ErrConflict
		}
		if err := <-outcome; !errors.Is(err, want) {
			t.Errorf("caller %d: %v, want %v", i, err, want)
		}
	}
	if len(disk.commits) != 2 || len(disk.commits[1]) != 25 {
		t.Errorf("commits %q, want 2, the second with 25 entries", disk.commits)
	}
}

// TestBatchesStayBelowBadgersLimits queues far more than one commit takes.
func TestBatchesStayBelowBadgersLimits(t *testing.T) {
	s := open(t, t.TempDir())
	disk := slow(s)
	first := disk.busy(t, s)
	var outcomes []<-chan error
	for i := range 60 {
		var ops []store.Op
		for j := range 8 {
			ops = append(ops, put(fmt.Sprintf("%d/%d", i, j), strings.Repeat("v", 60<<10)))
		}
		outcomes = append(outcomes, applying(t, s, t.Context(), i+1, ops...))
	}
	close(disk.next)
	for _, outcome := range append(outcomes, first) {
		if err := <-outcome; err != nil {
			t.Error(err)
		}
	}
	if len(disk.commits) < 10 {
		t.Errorf("%d commits for 29 MiB", len(disk.commits))
	}
	for i, size := range disk.bytes {
		if size > batchBytes {
			t.Errorf("commit %d has %d bytes, at most %d", i, size, batchBytes)
		}
		if len(disk.commits[i])%8 != 0 && i > 0 {
			t.Errorf("commit %d has %d entries, which tears an Apply apart", i, len(disk.commits[i]))
		}
	}
	entries, err := s.List(t.Context(), []byte("5"), nil, 1000)
	if err != nil || len(entries) != 8*11 { // 5 and 50 to 59
		t.Errorf("List: %d entries, %v", len(entries), err)
	}
}

func TestCancelledInTheQueue(t *testing.T) {
	s := open(t, t.TempDir())
	disk := slow(s)
	first := disk.busy(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	second := applying(t, s, ctx, 1, put("second", "1"))
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("%v, want Canceled and nothing unknown", err)
	}
	close(disk.next)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), store.Op{Key: []byte("second"), Value: []byte("2"), If: store.If(0)}); err != nil {
		t.Errorf("the cancelled Apply took place: %v", err)
	}
}

// TestCancelledOnceTaken has a caller give up on a disk that hangs: it is told only after a grace, and that
// the outcome is unknown; or it gets the outcome, if that comes in time.
func TestCancelledOnceTaken(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration // the committer's answer comes
		want  error
	}{
		{"in time", outcomeGrace / 2, nil},
		{"late", outcomeGrace * 2, store.ErrUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Store{queue: make(chan *request), stop: make(chan struct{}), drained: make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				var committer sync.WaitGroup
				defer committer.Wait()
				committer.Go(func() {
					r := <-s.queue
					r.state.Store(taken)
					cancel()
					time.Sleep(c.after)
					r.done(nil, false)
				})
				err := s.submit(ctx, nil)
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if c.want != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("%v does not tell of the context", err)
				}
			})
		})
	}
}

// TestFailedCommit holds that nobody in a failed commit is told it took place or not, and that the database
// answers nothing from then on.
func TestFailedCommit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	broken := errors.New("input/output error")
	if err := s.Apply(t.Context(), put("before", "1")); err != nil {
		t.Fatal(err)
	}
	s.write = func(map[string]*badger.Entry, uint64) error { return broken }
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			err := s.Apply(t.Context(), store.Op{Key: []byte("a"), Value: []byte("1"), If: store.If(0)})
			if !errors.Is(err, ErrFailed) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
				t.Errorf("Apply: %v, want ErrFailed", err)
			}
		})
	}
	wg.Wait()
	if _, err := s.Get(t.Context(), []byte("before")); !errors.Is(err, ErrFailed) || !errors.Is(err, broken) {
		t.Errorf("Get: %v, want ErrFailed and its cause", err)
	}
	if _, err := s.List(t.Context(), nil, nil, 1); !errors.Is(err, ErrFailed) {
		t.Errorf("List: %v, want ErrFailed", err)
	}
	if err := s.Apply(t.Context(), put("later", "1")); !errors.Is(err, ErrFailed) {
		t.Errorf("Apply: %v, want ErrFailed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	s = open(t, dir)
	if _, err := s.Get(t.Context(), []byte("before")); err != nil {
		t.Errorf("Get after opening again: %v", err)
	}
}

// TestFailureIsToldToAllInTheBatch refuses a commit that holds a change and a conflict with that change.
func TestFailureIsToldToAllInTheBatch(t *testing.T) {
	s := open(t, t.TempDir())
	disk := slow(s)
	first := disk.busy(t, s)
	create := store.Op{Key: []byte("a"), Value: []byte("1"), If: store.If(0)}
	one := applying(t, s, t.Context(), 1, create)
	two := applying(t, s, t.Context(), 2, create)
	s.free = func() (uint64, error) { return reserve - 1, nil }
	close(disk.next)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	for _, outcome := range []<-chan error{one, two} {
		if err := <-outcome; !errors.Is(err, ErrNoSpace) || errors.Is(err, store.ErrConflict) {
			t.Errorf("%v, want ErrNoSpace", err)
		}
	}
}

// TestFullDisk holds that a full disk refuses changes, and nothing more.
func TestFullDisk(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Apply(t.Context(), put("a", "1")); err != nil {
		t.Fatal(err)
	}
	free := s.free
	s.free = func() (uint64, error) { return reserveTaking, nil }
	for _, op := range []store.Op{put("a", "2"), put("a", strings.Repeat("v", 1<<20)), {Key: []byte("a")}} {
		if err := s.Apply(t.Context(), op); !errors.Is(err, ErrNoSpace) {
			t.Errorf("Apply: %v, want ErrNoSpace", err)
		}
	}
	e, err := s.Get(t.Context(), []byte("a"))
	if err != nil || string(e.Value) != "1" {
		t.Errorf("Get: %q, %v", e.Value, err)
	}
	if s.Low() == nil {
		t.Error("nobody is told")
	}
	// What takes away goes on, to a lower mark.
	if err := s.Apply(store.Taking(t.Context()), put("taken", "1")); err != nil {
		t.Errorf("taking: %v", err)
	}
	s.free = func() (uint64, error) { return reserveTaking - 1, nil }
	if err := s.Apply(store.Taking(t.Context()), put("taken", "2")); !errors.Is(err, ErrNoSpace) {
		t.Errorf("taking without any room: %v, want ErrNoSpace", err)
	}
	s.free = free
	if err := s.Apply(t.Context(), store.Op{Key: []byte("a"), If: &e.Version}); err != nil {
		t.Errorf("Apply once there is room: %v", err)
	}
}
