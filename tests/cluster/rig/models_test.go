package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

func history(ops ...Op) *History {
	h := NewHistory()
	for _, op := range ops {
		if op.Of == "" {
			op.Of = "x"
		}
		h.Add(op)
	}
	return h
}

func use(began, ended time.Duration, o Outcome) Op { return Op{Began: began, Ended: ended, Outcome: o} }

func code(step int, began, ended time.Duration, o Outcome) Op {
	return Op{Step: step, Began: began, Ended: ended, Outcome: o}
}

func revoke(began, ended time.Duration, o Outcome) Op {
	return Op{Verb: Revoke, Began: began, Ended: ended, Outcome: o}
}

// TestModels plants what must not happen into histories, which must be found, beside
// what may.
func TestModels(t *testing.T) {
	once, codes, grant := Once("grants"), Rising("codes"), Standing("revocations", 1200*ms)
	for name, c := range map[string]struct {
		model    Model
		possible bool
		ops      []Op
	}{
		"one pass among racers":               {once, true, []Op{use(0, 9*ms, Refused), use(1*ms, 5*ms, Done), use(2*ms, 8*ms, Refused)}},
		"a double spend at the same time":     {once, false, []Op{use(0, 9*ms, Done), use(1*ms, 5*ms, Done)}},
		"a double spend an hour later":        {once, false, []Op{use(0, 9*ms, Done), use(time.Hour, time.Hour+ms, Done)}},
		"a spend without an answer, and one":  {once, true, []Op{use(0, 9*ms, Unknown), use(20*ms, 30*ms, Done)}},
		"one spend, and one without answer":   {once, true, []Op{use(0, 9*ms, Done), use(20*ms, 30*ms, Unknown)}},
		"two spends, one without an answer":   {once, false, []Op{use(0, 9*ms, Unknown), use(20*ms, 30*ms, Done), use(40*ms, 50*ms, Done)}},
		"a spend of another grant":            {once, true, []Op{use(0, 9*ms, Done), {Of: "y", Began: 10 * ms, Ended: 20 * ms, Outcome: Done}}},
		"a pass that nobody proved for":       {once, false, []Op{revoke(-2, -1, Done), use(0, 9*ms, Done)}},
		"codes that rise":                     {codes, true, []Op{code(1, 0, 9*ms, Done), code(2, 10*ms, 19*ms, Done), code(4, 20*ms, 29*ms, Done)}},
		"a code twice":                        {codes, false, []Op{code(1, 0, 9*ms, Done), code(1, 1*ms, 8*ms, Done)}},
		"an older code":                       {codes, false, []Op{code(2, 0, 9*ms, Done), code(1, 10*ms, 19*ms, Done)}},
		"two codes at once":                   {codes, true, []Op{code(2, 0, 9*ms, Done), code(1, 0, 9*ms, Done)}},
		"an older code before the answer":     {codes, true, []Op{code(2, 0, 99*ms, Unknown), code(1, 10*ms, 19*ms, Done)}},
		"a use until the revocation":          {grant, true, []Op{use(0, 9*ms, Done), revoke(10*ms, 20*ms, Done), use(30*ms, 40*ms, Refused)}},
		"a use soon after it":                 {grant, true, []Op{revoke(10*ms, 20*ms, Done), use(1200*ms, 1210*ms, Done)}},
		"a late revocation":                   {grant, false, []Op{revoke(10*ms, 20*ms, Done), use(1230*ms, 1240*ms, Done)}},
		"a use after one that was not done":   {grant, true, []Op{revoke(10*ms, 20*ms, Unknown), use(9000*ms, 9010*ms, Done)}},
		"a use after a second try":            {grant, false, []Op{revoke(10*ms, 20*ms, Unknown), revoke(30*ms, 40*ms, Done), use(9000*ms, 9010*ms, Done)}},
		"a use that began before and is slow": {grant, true, []Op{use(0, 9000*ms, Done), revoke(10*ms, 20*ms, Done)}},
	} {
		dir := t.TempDir()
		err := c.model.Judge(history(c.ops...), dir)
		if c.possible != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			continue
		}
		text, fault := os.ReadFile(filepath.Join(dir, c.model.Name+".txt"))
		if fault != nil || strings.Count(string(text), "\n") != len(c.ops) || !strings.Contains(err.Error(), c.model.Name+".html") {
			t.Errorf("%s: %v, and the file says %q, %v", name, err, text, fault)
		}
	}
}

// TestPlantedAmongMany: one fault among thousands of histories without one.
func TestPlantedAmongMany(t *testing.T) {
	for _, planted := range []bool{false, true} {
		h := NewHistory()
		for i := range 2000 {
			of := string(rune('a'+i%26)) + time.Duration(i).String()
			at := time.Duration(i) * ms
			for n := range 6 {
				outcome := Refused
				if n == i%6 {
					outcome = Done
				} else if n == 0 {
					outcome = Unknown
				}
				h.Add(Op{Of: of, Began: at, Ended: at + 10*ms, Outcome: outcome})
			}
			if planted && i == 1234 {
				h.Add(Op{Of: of, Began: time.Minute, Ended: time.Minute + ms, Outcome: Done})
			}
		}
		if err := Once("many").Judge(h, t.TempDir()); planted != (err != nil) {
			t.Errorf("planted %v: %v", planted, err)
		}
	}
}
