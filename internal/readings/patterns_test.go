package readings_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

func members(s readings.Set, n int) (list []int) {
	for i := s.Next(0, n); i < n; i = s.Next(i+1, n) {
		list = append(list, i)
	}
	return list
}

// The patterns that are found are those that match when each is compared.
func TestPatternsAreThoseThatMatch(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		path := func() string {
			var b strings.Builder
			for range 1 + r.IntN(4) {
				b.WriteByte('/')
				for range r.IntN(3) {
					b.WriteByte("ab"[r.IntN(2)])
				}
			}
			return b.String()
		}
		rules := make([][]string, r.IntN(150))
		for i := range rules {
			for range r.IntN(4) {
				p := path()
				if r.IntN(2) == 0 {
					p += "*"
				}
				if r.IntN(30) == 0 {
					p = strings.ToUpper(p)
				}
				rules[i] = append(rules[i], p)
			}
			if rules[i] != nil && r.IntN(20) == 0 {
				rules[i] = nil
			}
		}
		p := readings.NewPatterns(rules)
		for range 300 {
			at := path()
			if r.IntN(3) == 0 && len(rules) > 0 {
				if list := rules[r.IntN(len(rules))]; len(list) > 0 {
					at = strings.TrimSuffix(list[0], "*") + []string{"", "a", "/"}[r.IntN(3)]
				}
			}
			var want []int
			for i, list := range rules {
				matches := func(pattern string) bool {
					start, more := strings.CutSuffix(pattern, "*")
					return !readings.SimplePath(start) || pattern == at || more && strings.HasPrefix(at, start)
				}
				if list == nil || !readings.SimplePath(at) || slices.ContainsFunc(list, matches) {
					want = append(want, i)
				}
			}
			if got := members(p.Of(at), len(rules)); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %q matches %v, want %v, of %q", seed, at, got, want, rules)
			}
		}
	}
}

func TestSet(t *testing.T) {
	if got := members(nil, 3); !slices.Equal(got, []int{0, 1, 2}) {
		t.Error(got)
	}
	if got := members(readings.Set{1 << 63, 0, 5}, 200); !slices.Equal(got, []int{63, 128, 130}) {
		t.Error(got)
	}
	if got := members(readings.Set{1 << 63, 0, 5}, 129); !slices.Equal(got, []int{63, 128}) {
		t.Error(got)
	}
	if got := members(readings.Set{1}.With(readings.Set{2, 1}), 100); !slices.Equal(got, []int{0, 1, 64}) {
		t.Error(got)
	}
	if readings.Set(nil).With(readings.Set{1}) != nil || (readings.Set{1}).With(nil) != nil {
		t.Error("all and some are not all")
	}
}

func BenchmarkPatterns(b *testing.B) {
	for _, n := range []int{3, 200} {
		var rules [][]string
		for i := range n {
			rules = append(rules, []string{fmt.Sprintf("/area%d/*", i), fmt.Sprintf("/area%d", i)})
		}
		p := readings.NewPatterns(rules)
		for name, path := range map[string]string{"hit": fmt.Sprintf("/area%d/users", n-1), "exact": fmt.Sprintf("/area%d", n-1), "miss": "/other/users"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					p.Of(path)
				}
			})
		}
	}
}
