package ceremony_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// stock puts n live grants of one person's into the database.
func stock(b *testing.B, w *ceremonytest.World, p ceremony.Principal, d grants.Demand, n int) []grants.Token {
	b.Helper()
	h := w.DB.Holder(p.Subject)
	tokens := make([]grants.Token, n)
	for i := 0; i < n; {
		var ops []store.Op
		for ; i < n && len(ops) < store.MaxOps; i++ {
			g, token := grants.Issue(d, h, grants.Binding{Session: p.Session}, grants.TOTP, w.Clock.Now())
			op, err := w.DB.PutGrant(token.ID(), g, d.Action, "")
			if err != nil {
				b.Fatal(err)
			}
			ops, tokens[i] = append(ops, op), token
		}
		if err := w.DB.Apply(b.Context(), ops...); err != nil {
			b.Fatal(err)
		}
	}
	return tokens
}

// BenchmarkCheck is the hot path: a random one of n live grants each time.
func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := ceremonytest.New(b)
			p := w.Stranger("alice")
			d := ceremonytest.Demand("VIEW_REPORTS", grants.TimeBased, 24*time.Hour)
			tokens := stock(b, w, p, d, n)
			texts := make([]byte, 0, n*47) // one allocation for all
			for _, t := range tokens {
				texts = append(texts, t.Text()...)
			}
			tokens = nil
			all, ctx := string(texts), b.Context()
			check := func(i int) {
				if _, err := w.Check(ctx, &p, &d, [32]byte{}, all[i*47:(i+1)*47]); err != nil {
					b.Fatal(err)
				}
			}
			for i := range n {
				check(i) // all are in the cache from here on
			}
			runtime.GC()
			seed := uint64(1)
			b.ReportAllocs()
			for b.Loop() {
				seed = seed*6364136223846793005 + 1442695040888963407
				check(int(seed>>33) % n)
			}
		})
	}
}

// BenchmarkSpend is the redemption of one-time grants, each durable before it is
// told, by 1 and by 64 at once.
func BenchmarkSpend(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := ceremonytest.New(b)
			p := w.Stranger("alice")
			tokens := stock(b, w, p, withdraw, b.N)
			var next atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			for range n {
				all.Go(func() {
					for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
						pass, err := w.Check(b.Context(), &p, &withdraw, [32]byte{}, tokens[i].Text())
						if err == nil {
							_, err = w.Spend(b.Context(), &p, &pass)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "spent/s")
		})
	}
}

// BenchmarkVerify is a whole step-up by a code, challenge included.
func BenchmarkVerify(b *testing.B) {
	w := ceremonytest.New(b)
	alice := w.Enroll("alice")
	for i := 0; b.Loop(); i++ {
		p := *alice
		binary.BigEndian.PutUint32(p.Session[:], uint32(i))
		w.Win(&p, withdraw)
		if i%500 == 0 {
			if _, err := w.Revoke(b.Context(), alice.Subject, ""); err != nil {
				b.Fatal(err)
			}
		}
	}
}
