//go:build components

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func TestProbe(t *testing.T) {
	s := newServer(t)
	url := created(t, s.database())
	st := open(t, url)
	spends := func(workers int) float64 {
		var n atomic.Int64
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		value := make([]byte, 200)
		for w := range workers {
			wg.Go(func() {
				key := []byte(fmt.Sprintf("w%d", w))
				if err := st.Apply(context.Background(), store.Op{Key: key, Value: value}); err != nil {
					t.Error(err)
				}
				e, _ := st.Get(context.Background(), key)
				_ = e
				for ctx.Err() == nil {
					if err := st.Apply(context.Background(), store.Op{Key: key, Value: value}); err != nil {
						t.Error(err)
						return
					}
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return float64(n.Load()) / 5
	}
	bench := func(clients int) float64 {
		s.exec(url, "CREATE TABLE IF NOT EXISTS b (key bytea PRIMARY KEY, value bytea NOT NULL, version bigint NOT NULL) WITH (fillfactor=85)")
		s.exec(url, "INSERT INTO b SELECT int4send(i), decode(repeat('00',200),'hex'), 1 FROM generate_series(0,63) i ON CONFLICT DO NOTHING")
		file := filepath.Join(s.dir, "bench.sql")
		os.WriteFile(file, []byte("UPDATE b SET version = version+1, value = decode(repeat('00',200),'hex') WHERE key = int4send(:client_id) AND version > 0;\n"), 0o644)
		out, err := s.command("pgbench", "-n", "-M", "prepared", "-c", fmt.Sprint(clients), "-j", "2", "-T", "5", "-f", file, "-h", "127.0.0.1", "-p", s.port, "-U", "postgres", regexp.MustCompile(`/(d\d+)`).FindStringSubmatch(url)[1]).CombinedOutput()
		if err != nil {
			t.Fatalf("%v %s", err, out)
		}
		m := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
		f, _ := strconv.ParseFloat(string(m[1]), 64)
		return f
	}
	for range 3 {
		t.Logf("ours 64: %.0f  pgbench 64: %.0f", spends(64), bench(64))
	}
	t.Logf("ours 1: %.0f  pgbench 1: %.0f", spends(1), bench(1))
}
