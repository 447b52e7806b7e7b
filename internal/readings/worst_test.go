package readings

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// worstSize is how much of a stranger's body is looked through.
const worstSize = 250 << 10

// shape is how a hostile body is made: pieces that are repeated, and what stands
// around them.
type shape struct {
	kind, before, after string
	pieces              []string
	query               bool // the text is the query
}

func (s *shape) body(size int) string {
	var b strings.Builder
	b.WriteString(s.before)
	for b.Len() < size {
		for _, p := range s.pieces {
			if strings.Contains(p, "#") {
				p = strings.ReplaceAll(p, "#", strconv.Itoa(b.Len()))
			}
			b.WriteString(p)
		}
	}
	b.WriteString(s.after)
	return b.String()
}

// request has the shape as its body, or its query.
func (s *shape) request() *http.Request {
	body, query := s.body(worstSize), ""
	if s.query {
		query, body = s.body(60<<10), ""
	}
	r := post(s.kind, body)
	r.URL = &url.URL{Path: "/", RawQuery: query}
	return r
}

// worstShapes are those that cost most when they were found.
var worstShapes = []shape{
	{kind: urlencoded, pieces: []string{"a&"}},
	{kind: urlencoded, pieces: []string{"a;"}},
	{kind: urlencoded, pieces: []string{"%2525252561&"}},
	{kind: urlencoded, pieces: []string{"%5Ba%5D=bbbbbbbbbbbbbbbb&"}},
	{kind: urlencoded, pieces: []string{"a=aaaaaaaaaaaaaaaaaaaaaa;"}},
	{kind: urlencoded, pieces: []string{"a=#aaaaaaaaaaaaaaaaaaaa&"}},
	{kind: urlencoded, pieces: []string{"a%2525=%25%2525252561aaaa&"}},
	{kind: urlencoded, before: "a=", pieces: []string{"%2525252561"}},
	{kind: urlencoded, before: "a=", pieces: []string{"pa"}},
	{kind: urlencoded, before: "a=", pieces: []string{"\u00e9"}},
	{kind: urlencoded, before: "a=", pieces: []string{"\ufdfa"}},
	{kind: urlencoded, pieces: []string{"%25"}},
	{kind: "", pieces: []string{"AA+B"}},
	{kind: urlencoded, pieces: []string{"a=b&%2561=pa%2579&"}, query: true},
	{kind: urlencoded, before: "x%25252525253dy&", pieces: []string{"aaaaaa&"}, query: true},
	{kind: jsonType, before: "[", pieces: []string{"0,"}, after: "0]"},
	{kind: jsonType, before: "[", pieces: []string{"{},"}, after: "0]"},
	{kind: jsonType, before: "[", pieces: []string{`{"a":{"b1":0}},`}, after: "0]"},
	{kind: jsonType, before: "{", pieces: []string{`"a":0,`}, after: `"a":0}`},
	{kind: jsonType, before: `{"a":{`, pieces: []string{`"b1":0,`}, after: `"a":0}}`},
	{kind: jsonType, before: `{"a":[`, pieces: []string{`"#",`}, after: `0]}`},
	{kind: jsonType, before: "{", pieces: []string{`"\u0061":0,`}, after: `"a":0}`},
	{kind: jsonType, before: "{", pieces: []string{"\"\u212a\":0,"}, after: `"a":0}`},
	{kind: jsonType, before: "[", pieces: []string{"[[[[[[[[],1e99],"}, after: "0]"},
	{kind: jsonType, before: "[", pieces: []string{"1111111111111111111111111111.5e-300,"}, after: "0]"},
	{kind: jsonType, before: `"`, pieces: []string{`\"`}},
	{kind: jsonType, before: `{"x":"`, pieces: []string{`\"`}, after: `":"y"}`},
	{kind: "text/plain", before: "[", pieces: []string{"0,"}, after: "0]"},
	{kind: "application/xml", pieces: []string{"<a>b</a>"}},
	{kind: multiType, pieces: []string{"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n"}, after: "--B--\r\n"},
	{kind: multiType, pieces: []string{"--B\r\ncontent-disposition:form-data;name=a;name=name\r\n\r\n\r\n"}, after: "--B--\r\n"},
	{kind: multiType, before: "content-disposition", pieces: []string{"name='a'"}},
	{kind: multiType, pieces: []string{"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + strings.Repeat("x", 200) + "\r\n"}, after: "--B--\r\n"},
	{kind: multiType, pieces: []string{"--B\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: application/json\r\n\r\n[[{\"a\":0}]]\r\n" + strings.Repeat(" ", 150)}, after: "--B--\r\n"},
}

// rulesFor are as many fields as rules of one kind have.
func rulesFor(t testing.TB, kind string, n int) (all []Field) {
	for i := range n {
		k := kind
		if k == "mixed" {
			k = [...]string{"form", "json", "star", "not", "same"}[i%5]
		}
		switch k {
		case "form":
			all = append(all, *formField(t, fmt.Sprintf("field%d", i), "pay"))
		case "same":
			all = append(all, *formField(t, "a", fmt.Sprintf("pay%d", i)))
		case "star":
			all = append(all, *formField(t, "a", fmt.Sprintf("*pay%d*", i)))
		case "not":
			f, err := formField(t, "a").Unless(fmt.Sprintf("view%d", i))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, f)
		case "json":
			all = append(all, *jsonField(t, fmt.Sprintf("/a/b%d", i), "pay"))
		}
	}
	return all
}

// workOf is the processor's time that a request costs: for method overrides, and
// for all fields. It is the least of some runs.
func workOf(s *shape, all []Field, table *Table) time.Duration {
	least := time.Hour
	for range 3 {
		r := s.request()
		p := NewPeek(r, 1<<20)
		p.read()
		start := cpuTime()
		_, _ = MethodsOf(r, p.Form())
		found := table.Read(r)
		for i := range all {
			found.InEvery(&all[i], table.Place(&all[i]), &p)
		}
		least = min(least, cpuTime()-start)
	}
	return least
}

// passOver is what the same processor takes to go over as many bytes once, one by
// one.
func passOver() time.Duration {
	text := strings.Repeat("a=b&", worstSize/4)
	least, sum := time.Hour, uint32(0)
	for range 5 {
		start := cpuTime()
		sum += hashName(text)
		least = min(least, cpuTime()-start)
	}
	return max(least, time.Duration(sum&1), time.Microsecond)
}

// maxPasses is how often going over the bytes of the worst request is worth as
// much as reading it for all rules. It was 80 with 3 rules and 7,000 with 199 when
// each rule read it, and is 5 to 8 where nothing else disturbs.
const maxPasses = 25 * slowdown

// No body that anybody can think of costs much, whatever the rules. STEP_UP_LONG
// is for how many seconds worse ones are looked for at random.
func TestS26WorstBodies(t *testing.T) {
	type ruleSet struct {
		name  string
		all   []Field
		table *Table
	}
	var sets []ruleSet
	for _, kind := range []string{"form", "same", "star", "json", "not", "mixed"} {
		for _, n := range []int{3, 199} {
			all := rulesFor(t, kind, n)
			sets = append(sets, ruleSet{fmt.Sprintf("%s %d", kind, n), all, NewTable(all...)})
		}
	}
	if slowdown > 1 {
		sets = sets[len(sets)-2:]
	}
	try := func(s *shape) (worst float64) {
		for _, set := range sets {
			passes := float64(workOf(s, set.all, set.table)) / float64(passOver())
			for again := 0; again < 3 && passes > maxPasses; again++ { // something may have disturbed
				passes = min(passes, float64(workOf(s, set.all, set.table))/float64(passOver()))
			}
			if passes > maxPasses {
				t.Errorf("%s: %q %q %q %q costs %.1f passes", set.name, s.kind, s.before, s.pieces, s.after, passes)
			}
			worst = max(worst, passes)
		}
		return worst
	}
	all, worst := slices.Clone(worstShapes), 0.0
	for i := range all {
		passes := try(&all[i])
		if worst = max(worst, passes); testing.Verbose() {
			t.Logf("%5.1f %q %q %.60q", passes, all[i].kind, all[i].before, all[i].pieces)
		}
	}
	seed := uint64(time.Now().UnixNano())
	g := grammar{Rand: rand.New(rand.NewPCG(seed, 0))}
	seconds, _ := strconv.Atoi(os.Getenv("STEP_UP_LONG"))
	costs := make([]float64, len(all))
	for start, n := time.Now(), 0; n < 5 || time.Since(start) < time.Duration(seconds)*time.Second; n++ {
		s := g.worse(all, costs)
		passes := try(&s)
		if passes > worst {
			worst = passes
			t.Logf("seed %d, %d: %.1f %q %q %q %q", seed, n, passes, s.kind, s.before, s.pieces, s.after)
		}
		all, costs = append(all, s), append(costs, passes)
	}
	t.Logf("seed %d: at most %.1f passes", seed, worst)
}

// Once too much was spent to tell, nothing more is read: what is spent beyond is one
// step, not one for each part that follows.
func TestS26ReadingEndsOnceItCannotTell(t *testing.T) {
	all := rulesFor(t, "mixed", 199)
	table := NewTable(all...)
	for i := range worstShapes {
		s := &worstShapes[i]
		if s.before == "a=" {
			continue // one value, and so one step
		}
		r := s.request()
		p := NewPeek(r, 1<<20)
		found := table.Read(r)
		for i := range all {
			found.InEvery(&all[i], table.Place(&all[i]), &p)
		}
		if found.left < -worstSize-10_000 {
			t.Errorf("%q %q: %d spent that was not there", s.before, s.pieces, -found.left)
		}
	}
}

// worse makes a shape out of one of those that cost most, or a new one.
func (g grammar) worse(all []shape, costs []float64) (s shape) {
	s = all[g.IntN(len(all))]
	for range 3 {
		if i := g.IntN(len(all)); costs[i] > 0 && g.IntN(2) == 0 {
			s = all[i]
			break
		}
	}
	s.pieces = slices.Clone(s.pieces)
	for range 1 + g.IntN(2) {
		switch g.IntN(5) {
		case 0:
			s.pieces = append(s.pieces, g.piece(s.kind))
		case 1:
			s.pieces[g.IntN(len(s.pieces))] = g.piece(s.kind)
		case 2:
			s.before += g.piece(s.kind)
		case 3:
			i := g.IntN(len(s.pieces))
			s.pieces[i] += g.piece(s.kind)
		case 4:
			s.kind = g.one(urlencoded, jsonType, multiType, "text/plain", "", "text/json", "image/png", "json")
		}
	}
	return s
}

func (g grammar) piece(kind string) string {
	switch {
	case strings.Contains(kind, "json"):
		return g.one(`{"a":0},`, "0,", `"a":`, `{"a":{`, "}},", `"b1":"pay",`, `[`, `],`, `"\u0061":1,`, `"A\u0000":2,`, `"#":0,`, `\"`, `"`, "null,", "\"\u00e9\":1,", "\"[a]\":0,", `" a ":0,`, "1e5,", " ", `"pay#",`)
	case kind == multiType:
		return g.one("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\npay\r\n", "content-disposition", "name=a;", "name='", "\r\n\r\n", "\n\n", "\r\n--B", "--B--\r\n", "name=\"%2561\"\n", "Content-Type: application/json\r\n\r\n{\"a\":0}\r\n", "\n--", "base64")
	}
	return g.one("a=1&", "a&", "a=pay#&", "%61=%2561&", "a[]=x&", "%5Ba%5D=1;", ";", "&", "=", "%", "+", "%2525", "a+=+pay+&", "\u00e9", "\ufdfa", "\x00", "%00", "a.b=1&", "#=#&", "%u0061=1&", "[a=1&", " a=1&")
}
