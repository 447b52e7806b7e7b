//go:build unix

package procstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/internal/store/procstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// BenchmarkPipe compares what the way to the child costs, with one caller and
// with many.
func BenchmarkPipe(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(dir string) (store.Store, error)
	}{
		{"direct", func(dir string) (store.Store, error) { return badgerstore.Open(badgerstore.Options{Dir: dir}) }},
		{"child", func(dir string) (store.Store, error) { return procstore.Open(procstore.Options{Dir: dir}) }},
	} {
		s, err := engine.open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		value := make([]byte, 300)
		if err := s.Apply(background, store.Op{Key: []byte("a"), Value: value}); err != nil {
			b.Fatal(err)
		}
		get := func() error { _, err := s.Get(background, []byte("a")); return err }
		var n atomic.Int64
		apply := func() error {
			return s.Apply(background, store.Op{Key: fmt.Append(nil, n.Add(1)), Value: value, If: store.If(0)})
		}
		for _, verb := range []struct {
			name string
			call func() error
		}{{"Get", get}, {"Apply", apply}} {
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/%s/%d", engine.name, verb.name, callers), func(b *testing.B) {
					b.ReportAllocs()
					b.SetParallelism(max(1, callers/2))
					if callers == 1 {
						for b.Loop() {
							if err := verb.call(); err != nil {
								b.Fatal(err)
							}
						}
						return
					}
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := verb.call(); err != nil {
								b.Error(err)
								return
							}
						}
					})
				})
			}
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
