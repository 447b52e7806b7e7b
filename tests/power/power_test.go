//go:build components

// Package power cuts the power under the database: a file system on a loop
// device, of which only what had reached the device is left. It needs root,
// mkfs.ext4, mount and losetup. POWER_ROUNDS=100 is the long form.
package power

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const writerDir = "POWER_WRITER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		if err := write(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func open(dir string) (*badgerstore.Store, error) {
	return badgerstore.Open(badgerstore.Options{Dir: filepath.Join(dir, "data"), Mark: filepath.Join(dir, "state", "mark")})
}

// write changes a counter of each of eight callers, a large value now and then,
// and says each change once it is acknowledged. It ends with its process.
func write(dir string) error {
	s, err := open(dir)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			key := fmt.Appendf(nil, "counter-%d", caller)
			e, err := s.Get(context.Background(), key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				fmt.Fprintln(os.Stderr, err)
				return
			}
			n, _ := strconv.Atoi(strings.TrimRight(string(e.Value), " "))
			for {
				n++
				value := []byte(strconv.Itoa(n))
				if n%50 == 0 {
					value = append(value, strings.Repeat(" ", 300<<10)...)
				}
				if err := s.Apply(context.Background(), store.Op{Key: key, Value: value}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Printf("%d %d\n", caller, n)
			}
		})
	}
	wg.Wait()
	return errors.New("the writer ended by itself")
}

// TestS25PowerFailure holds that a power failure loses nothing that was
// acknowledged, raises no fence and needs nobody.
func TestS25PowerFailure(t *testing.T) {
	rounds := 4
	if said := os.Getenv("POWER_ROUNDS"); said != "" {
		var err error
		if rounds, err = strconv.Atoi(said); err != nil {
			t.Fatal(err)
		}
	}
	root := t.TempDir()
	image, mount := filepath.Join(root, "disk"), filepath.Join(root, "mounted")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "truncate", "-s", "450M", image)
	run(t, "mkfs.ext4", "-q", "-m", "0", image)
	acknowledged := make([]int, 8)
	changes := 0
	for round := range rounds {
		run(t, "mount", "-o", "loop", image, mount)
		unmount := sync.OnceFunc(func() { run(t, "umount", mount) })
		t.Cleanup(unmount)
		after := filepath.Join(root, "after")
		changes += powerFails(t, mount, image, after, acknowledged)
		unmount()
		if err := os.Rename(after, image); err != nil {
			t.Fatal(err)
		}
		run(t, "mount", "-o", "loop", image, mount)
		check(t, round, mount, acknowledged)
		run(t, "umount", mount)
	}
	if changes < 20*rounds {
		t.Errorf("%d changes were acknowledged in %d rounds: too few to tell", changes, rounds)
	}
	t.Logf("%d changes acknowledged in %d rounds", changes, rounds)
}

// powerFails runs the writer and copies the device at some moment. The writer is
// stopped meanwhile, so that the copy is of one moment; what it had not synced is
// in the file system's memory and not in the copy.
func powerFails(t *testing.T, mount, image, after string, acknowledged []int) (changes int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerDir+"="+mount)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	begun := false
	for lines.Scan() {
		var caller, n int
		if _, err := fmt.Sscan(lines.Text(), &caller, &n); err != nil {
			t.Fatalf("the writer says %q", lines.Text())
		}
		acknowledged[caller] = max(acknowledged[caller], n)
		changes++
		if !begun {
			begun = true
			go func() {
				time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
				cmd.Process.Signal(syscall.SIGSTOP)
				time.Sleep(20 * time.Millisecond)
				if out, err := exec.Command("cp", "--sparse=always", image, after).CombinedOutput(); err != nil {
					t.Errorf("copying the device: %v: %s", err, out)
				}
				cmd.Process.Kill()
			}()
		}
	}
	cmd.Wait()
	return changes
}

func check(t *testing.T, round int, mount string, acknowledged []int) {
	t.Helper()
	s, err := open(mount)
	if err != nil {
		t.Fatalf("round %d: opening after a power failure: %v", round, err)
	}
	if f := s.Fence(); f.Kind != store.FenceNone {
		t.Errorf("round %d: fence %+v", round, f)
	}
	for caller, want := range acknowledged {
		e, err := s.Get(t.Context(), fmt.Appendf(nil, "counter-%d", caller))
		got, _ := strconv.Atoi(strings.TrimRight(string(e.Value), " "))
		if err != nil && (want > 0 || !errors.Is(err, store.ErrNotFound)) || got < want {
			t.Errorf("round %d: counter %d is %d, %d was acknowledged: %v", round, caller, got, want, err)
		}
		acknowledged[caller] = max(got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}
