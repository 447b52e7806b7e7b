package badgerstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// BenchmarkBurn is what redeeming one-time grants costs: conditional deletions of one entry each, by one
// caller and by 64 at once, on this disk and on one whose every sync takes a millisecond longer.
func BenchmarkBurn(b *testing.B) {
	for _, delay := range []time.Duration{0, time.Millisecond} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("delay=%s/callers=%d", delay, callers), func(b *testing.B) {
				s := openBench(b)
				versions := fill(b, s, b.N, 200)
				var commits atomic.Int64
				write := s.write
				s.write = func(entries map[string]*badger.Entry, ts uint64) error {
					commits.Add(1)
					time.Sleep(delay)
					return write(entries, ts)
				}
				var next atomic.Int64
				b.ResetTimer()
				burn := func() {
					i := int(next.Add(1) - 1)
					if err := s.Apply(context.Background(), store.Op{Key: benchKey(i), If: store.If(versions[i])}); err != nil {
						b.Error(err)
					}
				}
				if callers == 1 {
					for range b.N {
						burn()
					}
				} else {
					b.SetParallelism(callers / runtime.GOMAXPROCS(0))
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							burn()
						}
					})
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "burns/s")
				b.ReportMetric(float64(b.N)/float64(commits.Load()), "burns/commit")
			})
		}
	}
}

// BenchmarkGet reads one entry of 10,000, alone and while others write.
func BenchmarkGet(b *testing.B) {
	const entries = 10_000
	for _, load := range []string{"none", "writes"} {
		b.Run("load="+load, func(b *testing.B) {
			s := openBench(b)
			fill(b, s, entries, 200)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if load == "writes" {
				write := s.write
				s.write = func(entries map[string]*badger.Entry, ts uint64) error {
					time.Sleep(time.Millisecond)
					return write(entries, ts)
				}
				for w := range 4 {
					go func() {
						for i := 0; ctx.Err() == nil; i++ {
							if s.Apply(ctx, put(fmt.Sprintf("w%d/%d", w, i%100), "1")) != nil {
								return
							}
						}
					}()
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if _, err := s.Get(context.Background(), benchKey(i*7919%entries)); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			cancel()
		})
	}
}

// BenchmarkList reads pages of 100 entries.
func BenchmarkList(b *testing.B) {
	const entries = 10_000
	s := openBench(b)
	fill(b, s, entries, 200)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		page, err := s.List(context.Background(), []byte("k"), benchKey(i*7919%(entries-101)), 100)
		if err != nil || len(page) != 100 {
			b.Fatal(len(page), err)
		}
	}
}

func openBench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func benchKey(i int) []byte { return binary.BigEndian.AppendUint64([]byte("k"), uint64(i)) }

// fill writes n entries and returns their versions.
func fill(b *testing.B, s *Store, n, size int) (versions []store.Version) {
	b.Helper()
	for start := 0; start < n; start += store.MaxOps {
		var ops []store.Op
		for i := start; i < min(n, start+store.MaxOps); i++ {
			ops = append(ops, store.Op{Key: benchKey(i), Value: make([]byte, size)})
		}
		if err := s.Apply(context.Background(), ops...); err != nil {
			b.Fatal(err)
		}
		e, err := s.Get(context.Background(), ops[0].Key)
		if err != nil {
			b.Fatal(err)
		}
		for range ops {
			versions = append(versions, e.Version) // the ops of one Apply share theirs
		}
	}
	return versions
}

// BenchmarkMark is what the mark costs: durable changes by 64 callers with it, in
// turn with as many without it. The metric is the median of their ratios.
func BenchmarkMark(b *testing.B) {
	const callers, each = 64, 40
	with, err := Open(Options{Dir: b.TempDir(), Mark: filepath.Join(b.TempDir(), "mark")})
	if err != nil {
		b.Fatal(err)
	}
	defer with.Close()
	without := openBench(b)
	run := func(s *Store, round int) time.Duration {
		begun := time.Now()
		var wg sync.WaitGroup
		for caller := range callers {
			wg.Go(func() {
				for i := range each {
					op := store.Op{Key: fmt.Appendf(nil, "%d/%d/%d", round, caller, i), Value: make([]byte, 200), If: store.If(0)}
					if err := s.Apply(context.Background(), op); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return time.Since(begun)
	}
	var ratios []float64
	for round := range b.N {
		var plain, marked time.Duration
		if round%2 == 0 {
			plain, marked = run(without, round), run(with, round)
		} else {
			marked, plain = run(with, round), run(without, round)
		}
		ratios = append(ratios, float64(plain)/float64(marked))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "marked/unmarked")
}
