//go:build components

package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// slowSync builds the library under which a sync takes a millisecond longer, and
// returns what a server is started with to have it.
func slowSync(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sync")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(dir, "slowsync.so")
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O2", "-o", library, "slowsync/slowsync.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return "LD_PRELOAD=" + library
}

const (
	// Each of pgbench's clients spends rows of its own in each round, so that none meets
	// one that was spent, which would cost nothing.
	benchClients, benchEach = 64, 6_000
	benchRows               = benchClients * benchEach

	benchTable = `CREATE TABLE bench (id bigint PRIMARY KEY, value bytea NOT NULL, version bigint NOT NULL, dead boolean NOT NULL, expires timestamptz) WITH (fillfactor = 85);
		ALTER TABLE bench ALTER value SET STORAGE EXTERNAL;
		INSERT INTO bench SELECT id, decode(repeat('ab', %d), 'hex'), 1, false, now() FROM generate_series(1, %d) AS id;
		VACUUM ANALYZE bench`
	benchScript = `\set n :n + 1
UPDATE bench SET value = decode(repeat('cd', %d), 'hex'), version = 2 WHERE id = :first + :client_id * %d + :n AND version = 1 AND NOT dead;
`
)

// TestSpendsPerSecond compares how many one-time grants 64 callers spend, each durably
// before it is told, with what pgbench does with one conditional UPDATE of a row of
// that size, on the same server and a disk whose sync takes a millisecond: medians of
// rounds that take turns. Each spend also reads the grant, which pgbench does not.
func TestSpendsPerSecond(t *testing.T) {
	rounds, length, ofBench, ofOne := 9, 3*time.Second, 0.8, 15.0
	if long(t, 0, 1) == 0 { // what else the machine does takes from the two unequally
		rounds, length, ofBench, ofOne = 1, time.Second, 0.05, 1.5
	}
	s := newFiles(t, programs(t, "/usr/lib/postgresql/*/bin"))
	s.env = []string{slowSync(t)}
	s.initialize("max_wal_size=4GB", "shared_buffers=256MB")
	url := created(t, s.database())
	one := nodesOver(t, 1, func() store.Shared { return open(t, url) })[0]
	one.IgnoreEvents()
	p := one.Stranger("alice")
	size, err := strconv.Atoi(func() string {
		stock(t, one.World, &p, &payment, 1)
		return s.queryIn(url, "SELECT max(octet_length(value)) FROM step_up_kv WHERE octet_length(key) > 60")
	}())
	if err != nil || size < 50 {
		t.Fatalf("a grant has %d bytes: %v", size, err)
	}
	for _, statement := range regexp.MustCompile(`;\s*`).Split(fmt.Sprintf(benchTable, size, rounds*benchRows), -1) {
		s.exec(url, statement)
	}
	script := filepath.Join(s.dir, "spend.sql")
	if err := os.WriteFile(script, fmt.Appendf(nil, benchScript, size, benchEach), 0o644); err != nil {
		t.Fatal(err)
	}
	var bench, many, alone []float64
	for round := range rounds {
		bench = append(bench, s.pgbench(url, script, round*benchRows, length))
		many = append(many, spends(t, one, &p, 64, length))
		alone = append(alone, spends(t, one, &p, 1, length))
	}
	b, m, a := median(bench), median(many), median(alone)
	t.Logf("a row of %d bytes: pgbench %.0f/s, 64 callers %.0f/s (%.2f), one caller %.0f/s (%.1f)\npgbench %.0f\n64 callers %.0f\none %.0f", size, b, m, m/b, a, m/a, bench, many, alone)
	if m < ofBench*b {
		t.Errorf("64 callers spend %.0f a second, pgbench %.0f: %.2f, want %v", m, b, m/b, ofBench)
	}
	if m < ofOne*a {
		t.Errorf("64 callers spend %.0f a second, one %.0f: %.1f times, want %v", m, a, m/a, ofOne)
	}
}

var tps = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

// pgbench runs the script with 64 clients, on rows from the first on, and returns
// transactions a second.
func (s *server) pgbench(url, script string, first int, length time.Duration) float64 {
	s.t.Helper()
	out, err := s.command("pgbench", "-n", "-M", "prepared", "-c", fmt.Sprint(benchClients), "-j", "2", "-T", fmt.Sprint(int(length.Seconds())),
		"-D", "n=0", "-D", fmt.Sprintf("first=%d", first), "-f", script, url).CombinedOutput()
	found := tps.FindSubmatch(out)
	if err != nil || found == nil {
		s.t.Fatalf("pgbench: %v\n%s", err, out)
	}
	rate, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return rate
}

// spends spends grants for some time, by so many callers, and returns how many in a
// second.
func spends(t *testing.T, one node, p *ceremony.Principal, callers int, length time.Duration) float64 {
	t.Helper()
	tokens := stock(t, one.World, p, &payment, int(length.Seconds())*min(250*callers, 5000))
	var next, spent atomic.Int64
	var all sync.WaitGroup
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	began := time.Now()
	for range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(tokens) {
					return
				}
				spend(t, one, p, tokens[i])
				spent.Add(1)
			}
		})
	}
	all.Wait()
	return float64(spent.Load()) / time.Since(began).Seconds()
}
