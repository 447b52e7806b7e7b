//go:build components

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/store/postgres"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/store/storetest"
)

// TestFeedLosesNoLateCommit: a transaction that told its name first commits last,
// when rows with higher numbers have been read. Whoever goes on from the highest
// number never sees it.
func TestFeedLosesNoLateCommit(t *testing.T) {
	url := created(t, newServer(t).database())
	one, other := open(t, url), open(t, url)
	h := storetest.Listen(other)
	ctx := t.Context()
	slow, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close(ctx)
	tx, err := slow.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO step_up_feed (key) VALUES ('slow')"); err != nil {
		t.Fatal(err)
	}
	generation, _ := one.Generation()
	for i := range 5 {
		name := fmt.Sprintf("fast %d", i)
		if err := one.ApplyIn(ctx, generation, [][]byte{[]byte(name)}, store.Op{Key: []byte("k"), Value: []byte(name)}); err != nil {
			t.Fatal(err)
		}
		h.Wait(t, name)
	}
	time.Sleep(time.Second) // some readings more
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	h.Wait(t, "slow")
}

// TestCancelledWaitForStandbyIsUnknown: a commit that waits for a synchronous standby
// is cancelled on the server, which reports it as a success with a warning. It may
// be lost, so it is not reported as done.
func TestCancelledWaitForStandbyIsUnknown(t *testing.T) {
	s := newServer(t)
	url := created(t, s.database())
	st := open(t, url)
	if err := st.Apply(t.Context(), store.Op{Key: []byte("a"), Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	s.exec(s.url("postgres"), "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	s.exec(s.url("postgres"), "SELECT pg_reload_conf()")
	time.Sleep(500 * time.Millisecond)
	for i, ops := range [][]store.Op{
		{{Key: []byte("a"), Value: []byte("2")}},
		{{Key: []byte("a"), Value: []byte("3")}, {Key: []byte("b"), Value: []byte("3")}},
	} {
		result := make(chan error, 1)
		go func() { result <- st.Apply(t.Context(), ops...) }()
		cancelled := false
		for end := time.Now().Add(4 * time.Second); time.Now().Before(end) && len(result) == 0; time.Sleep(50 * time.Millisecond) {
			s.exec(s.url("postgres"), "SET synchronous_commit = local; SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
			cancelled = true
		}
		if err := <-result; !errors.Is(err, store.ErrUnknown) || !cancelled {
			t.Errorf("%d: Apply: %v, want ErrUnknown", i, err)
		}
	}
}

// TestHungServer: the server does not answer, and does not go away either. No call
// waits longer than its deadline, nothing is served from memory any more, and it goes
// on by itself.
func TestHungServer(t *testing.T) {
	s := newServer(t)
	st := open(t, created(t, s.database()))
	ctx := t.Context()
	if err := st.Apply(ctx, store.Op{Key: []byte("a"), Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	goOn := func() {
		for _, pid := range s.processes() {
			syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	t.Cleanup(goOn)
	for _, pid := range s.processes() {
		pause(t, pid)
	}
	stopped := time.Now()
	_, err := st.Get(ctx, []byte("a"))
	if took := time.Since(stopped); !errors.Is(err, store.ErrUnavailable) || took > 6*time.Second {
		t.Errorf("Get: %v after %v", err, took)
	}
	begun := time.Now()
	err = st.Apply(ctx, store.Op{Key: []byte("a"), Value: []byte("2")})
	if took := time.Since(begun); err == nil || took > 6*time.Second {
		t.Errorf("Apply: %v after %v", err, took)
	}
	if time.Since(stopped) > st.Stale() && st.Current(time.Now()) {
		t.Error("what is in memory counts though the server hangs")
	}
	if st.Health().Down == nil {
		t.Error("health does not say so")
	}
	goOn()
	for end := time.Now().Add(15 * time.Second); !st.Current(time.Now()) || st.Health().Down != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not go on: %v", st.Health().Down)
		}
	}
	if err := st.Apply(ctx, store.Op{Key: []byte("a"), Value: []byte("3")}); err != nil {
		t.Error(err)
	}
}

// processes are those of the server.
func (s *server) processes() (pids []int) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	out, err := exec.Command("ps", "-o", "pid=", "--pid", first, "--ppid", first).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, word := range strings.Fields(string(out)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			s.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// TestUnfitServers: what would lose acknowledged changes is refused in a sentence.
func TestUnfitServers(t *testing.T) {
	for setting, want := range map[string]string{
		"fsync=off":              "fsync",
		"full_page_writes=off":   "full_page_writes",
		"synchronous_commit=off": "synchronous_commit",
	} {
		s := newServer(t, setting)
		st, err := postgres.Start(postgres.Options{URL: created(t, s.database()), Stale: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if err := st.FirstTry(t.Context()); !errors.Is(err, store.ErrUnfit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", setting, err)
		}
		st.Close()
	}
	s := newServer(t)
	empty := s.database()
	for name, o := range map[string]postgres.Options{
		"init":    {URL: empty},
		"standby": {URL: created(t, s.database()), StandbyRequired: true},
	} {
		st, err := postgres.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.FirstTry(t.Context()); !errors.Is(err, store.ErrUnfit) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		st.Close()
	}
}
