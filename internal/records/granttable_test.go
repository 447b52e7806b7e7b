package records

import (
	"math/rand/v2"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// The table holds what a map would, whatever comes and goes, also where all fall
// on few places.
func TestGrantTableIsAMap(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		var table grantTable
		like := map[grants.ID]int64{}
		var ids []grants.ID
		for range 200 {
			var id grants.ID
			for i := range id {
				id[i] = byte(r.Uint32())
			}
			if seed%2 == 1 {
				// Homes at the very end, so that the searches go round.
				id[15], id[14] = 0xff, 0xf0|id[14]
			}
			ids = append(ids, id)
		}
		for step := range int64(3000) {
			id := ids[r.IntN(len(ids))]
			if r.IntN(5) < 3 {
				table.put(&id, &Live{Grant: grants.Grant{AuthTime: step}})
				like[id] = step
			} else {
				table.drop(&id)
				delete(like, id)
			}
			if table.n != len(like) || table.n > len(table.rows)*3/4 {
				t.Fatalf("seed %d, step %d: %d of %d rows, want %d", seed, step, table.n, len(table.rows), len(like))
			}
		}
		for _, id := range ids {
			var l Live
			at, want := like[id]
			if got := table.get(&id, &l); got != want || l.Grant.AuthTime != at {
				t.Fatalf("seed %d: %v at %d, want %v at %d", seed, got, l.Grant.AuthTime, want, at)
			}
		}
		seen := 0
		for i := range table.rows {
			if table.rows[i].state != 0 {
				seen++
			}
		}
		if seen != table.n {
			t.Fatalf("seed %d: %d rows, and %d are counted", seed, seen, table.n)
		}
	}
}

// A table without rows has nothing to find, drop or tidy.
func TestEmptyGrantTable(t *testing.T) {
	var table grantTable
	var l Live
	id := grants.ID{1}
	table.drop(&id)
	table.tidy(&id, 1, 1)
	if table.get(&id, &l) || table.n != 0 {
		t.Error("found in an empty table")
	}
	table.put(&id, &l)
	table.drop(&id)
	if table.get(&id, &l) || table.n != 0 {
		t.Error("found what was dropped")
	}
}
