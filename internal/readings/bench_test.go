package readings

import (
	"strings"
	"testing"
)

// An honest form of 1 KiB, for the fields of as many rules.
func BenchmarkHonestForm(b *testing.B) {
	body := "csrf=0123456789abcdef&op=list&" + strings.Repeat("fieldname=value+of+a+field%21+that+is+longer&", 22)
	for _, set := range []struct {
		name string
		n    int
	}{{"rules=3", 3}, {"rules=199", 199}} {
		all := rulesFor(b, "mixed", set.n)
		table := NewTable(all...)
		places := make([]Place, len(all))
		for i := range all {
			places[i] = table.Place(&all[i])
		}
		b.Run(set.name, func(b *testing.B) {
			r := post(urlencoded, body)
			p := NewPeek(r, 1<<20)
			p.read()
			b.ReportAllocs()
			for b.Loop() {
				found := table.Read(r)
				for i := range all {
					found.InEvery(&all[i], places[i], &p)
				}
			}
		})
	}
}

// The bodies that cost most, for the fields of 3 and 199 rules.
func BenchmarkWorstBodies(b *testing.B) {
	for _, n := range []int{3, 199} {
		all := rulesFor(b, "mixed", n)
		table := NewTable(all...)
		b.Run(map[int]string{3: "rules=3", 199: "rules=199"}[n], func(b *testing.B) {
			var worst float64
			for b.Loop() {
				for i := range worstShapes {
					worst = max(worst, float64(workOf(&worstShapes[i], all, table)))
				}
			}
			b.ReportMetric(worst/1e6, "ms/worst")
		})
	}
}
