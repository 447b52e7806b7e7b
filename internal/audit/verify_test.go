package audit

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// chain makes a log of n lines, some of them about alice.
func chain(t testing.TB, n int) [][]byte {
	t.Helper()
	var lines [][]byte
	last := Head{Chain: Chain{7}}
	for i := range n {
		e := Entry{Time: time.Unix(1_800_000_000, int64(i)).UTC(), Event: "verify", Outcome: "passed", Tenant: "staff", User: []string{"alice", "bob"}[i%2], Actor: "person"}
		l, text, err := next(last, e)
		if err != nil {
			t.Fatal(err)
		}
		lines, last = append(lines, text), l.head()
	}
	return lines
}

func verify(t testing.TB, logs ...[]byte) Report {
	t.Helper()
	var readers []io.Reader
	for _, log := range logs {
		readers = append(readers, bytes.NewReader(log))
	}
	r, err := Verify(readers)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func kindOf(r Report) string {
	if r.Fault == nil {
		return "none"
	}
	return fmt.Sprintf("%s at %d", r.Fault.Kind, r.Fault.Line)
}

func join(lines ...[]byte) []byte { return bytes.Join(lines, nil) }

func TestVerify(t *testing.T) {
	l := chain(t, 6)
	other := func() [][]byte { // another chain of the same id
		return chain(t, 6)
	}()
	_, begun, err := next(Head{Chain: Chain{8}}, Entry{Event: EventLog, Outcome: string(Begun), Actor: "system"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		log  []byte
		want string
	}{
		"whole":               {join(l...), "none"},
		"from the middle":     {join(l[2:]...), "none"},
		"cut off":             {join(l[:4]...), "none"}, // see TestHeads
		"nothing":             {nil, "none"},
		"one removed":         {join(l[0], l[1], l[3], l[4], l[5]), "removed at 3"},
		"two removed":         {join(l[0], l[3], l[4], l[5]), "removed at 2"},
		"swapped":             {join(l[0], l[2], l[1], l[3]), "reordered at 2"},
		"moved to the end":    {join(l[0], l[2], l[3], l[4], l[5], l[1]), "reordered at 2"},
		"a copy":              {join(l[0], l[1], l[1], l[2]), "inserted at 3"},
		"an old copy":         {join(l[0], l[1], l[0], l[2]), "inserted at 3"},
		"another line":        {join(l[0], other[1], l[2]), "altered at 2"},
		"another start":       {join(other[0], l[1], l[2]), "altered at 2"},
		"another chain":       {join(l[0], l[1], begun), "inserted at 3"},
		"text put in":         {join(l[0], []byte("hello\n"), l[1]), "inserted at 2"},
		"an empty line":       {join(l[0], []byte("\n"), l[1]), "inserted at 2"},
		"a line altered":      {join(l[0], bytes.Replace(l[1], []byte("bob"), []byte("eve"), 1), l[2]), "altered at 2"},
		"the last altered":    {join(l[0], bytes.Replace(l[1], []byte("bob"), []byte("eve"), 1)), "altered at 2"},
		"torn":                {join(l[0], l[1][:80]), "torn at 2"},
		"torn in the middle":  {join(l[0], l[1][:80], []byte("\n"), l[2]), "altered at 2"},
		"a newer version":     {join(l[0], bytes.Replace(l[1], []byte(`"v":1`), []byte(`"v":2`), 1)), "altered at 2"},
		"two lines of one":    {join(l[0], l[1][:len(l[1])-1], l[2]), "altered at 2"},
		"a long line":         {join(l[0], bytes.Repeat([]byte("x"), 3*MaxLine), []byte("\n"), l[1]), "inserted at 2"},
		"a member twice":      {join(l[0], bytes.Replace(l[1], []byte(`"v":1,`), []byte(`"v":1,"seq":2,`), 1)), "altered at 2"},
		"another spelling":    {join(l[0], bytes.Replace(l[1], []byte(`"seq"`), []byte(`"Seq"`), 1)), "altered at 2"},
		"blanks":              {join(l[0], bytes.Replace(l[1], []byte(`"v":1,`), []byte(`"v":1, `), 1)), "altered at 2"},
		"seq zero":            {join(bytes.Replace(l[0], []byte(`"seq":1`), []byte(`"seq":0`), 1)), "altered at 1"},
		"carriage returns":    {bytes.ReplaceAll(join(l...), []byte("\n"), []byte("\r\n")), "altered at 1"},
		"nothing but garbage": {[]byte("a\nb\nc"), "altered at 1"},
	} {
		if got := kindOf(verify(t, c.log)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := verify(t, join(l[:3]...), join(l[3:]...)); got.Fault != nil || got.Lines != 6 || got.Last.Seq != 6 || got.First.Seq != 1 {
		t.Errorf("two files: %+v", got)
	}
	if got := verify(t, join(l[3:]...), join(l[:3]...)); got.Fault == nil || got.Fault.Input != 1 || got.Fault.Kind != Inserted {
		t.Errorf("two files in the wrong order: %+v", got)
	}
}

// Every alteration by one byte, and every removal, swap and copy of lines but at the
// end, is found.
func TestEveryAlterationIsFound(t *testing.T) {
	lines := chain(t, 3)
	erased, err := Parse(lines[1])
	if err != nil {
		t.Fatal(err)
	}
	erased.erase()
	lines[1], _ = erased.text()
	log := join(lines...)
	for at := range log {
		for _, with := range []byte{log[at] ^ 1, log[at] ^ 0x20, '\n'} {
			if with == log[at] {
				continue
			}
			altered := bytes.Clone(log)
			altered[at] = with
			if r := verify(t, altered); r.Fault == nil {
				t.Fatalf("byte %d: %q for %q: not found", at, with, log[at])
			}
		}
		if cut := slices.Delete(bytes.Clone(log), at, at+1); verify(t, cut).Fault == nil {
			t.Fatalf("byte %d taken out: not found", at)
		}
		if put := slices.Insert(bytes.Clone(log), at, 'x'); verify(t, put).Fault == nil {
			t.Fatalf("byte %d put in: not found", at)
		}
	}
	long := chain(t, 30)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1_000 {
		log := slices.Clone(long)
		i, j := rnd.IntN(len(log)), rnd.IntN(len(log))
		switch what := rnd.IntN(3); {
		case what == 0 && i != j:
			log[i], log[j] = log[j], log[i]
		case what == 1 && i > 0 && i < len(log)-1:
			log = slices.Delete(log, i, i+1)
		case what == 2:
			log = slices.Insert(log, i, log[j])
		default:
			continue
		}
		if verify(t, join(log...)).Fault == nil {
			t.Fatalf("lines %d and %d: not found", i, j)
		}
	}
}

// A head that is known from elsewhere tells that the end was cut off, or made anew.
func TestHeads(t *testing.T) {
	lines := chain(t, 5)
	whole := verify(t, join(lines...))
	for name, c := range map[string]struct {
		log  []byte
		want string
	}{
		"whole":      {join(lines...), "none"},
		"cut off":    {join(lines[:4]...), "truncated at 0"},
		"nothing":    {nil, "truncated at 0"},
		"made anew":  {join(chain(t, 6)...), "altered at 5"},
		"longer now": {join(lines...), "none"},
	} {
		r, err := Verify([]io.Reader{bytes.NewReader(c.log)}, whole.First, whole.Last)
		if err != nil {
			t.Fatal(err)
		}
		if got := kindOf(r); got != c.want && !(name == "made anew" && got == "altered at 1") {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Erasing takes a person's entries out, with their salts, and the chain still
// verifies; twice does no more than once.
func TestErase(t *testing.T) {
	log := join(chain(t, 9)...)
	for range 2 {
		var out bytes.Buffer
		done, err := Erase(&out, bytes.NewReader(log), Person{Tenant: "staff", User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		r := verify(t, out.Bytes())
		if r.Fault != nil || r.Lines != 9 || r.Erased != 5 || bytes.Contains(out.Bytes(), []byte("alice")) || bytes.Count(out.Bytes(), []byte("bob")) != 4 {
			t.Fatalf("%+v: %+v\n%s", done, r, out.Bytes())
		}
		if strings.Count(out.String(), `"salt"`) != 4 {
			t.Error("the salt of an erased entry is still there")
		}
		log = out.Bytes()
	}
	var out bytes.Buffer
	if done, err := Erase(&out, bytes.NewReader(log), Person{Tenant: "other", User: "bob"}); err != nil || done.Entries != 0 || !bytes.Equal(out.Bytes(), log) {
		t.Error("another tenant's bob:", done, err)
	}
}

// What is torn may be a person's: it is blanked, and still accounted for.
func TestEraseWhatIsTorn(t *testing.T) {
	lines := chain(t, 2)
	torn := []byte(`{"v":1,"chain":"07","entry":{"user":"ali`)
	last, err := Parse(lines[1])
	if err != nil {
		t.Fatal(err)
	}
	_, record, err := next(last.head(), Entry{Event: EventLog, Outcome: string(Torn), Actor: "system", TornBytes: len(torn), TornDigest: digestOf(torn)})
	if err != nil {
		t.Fatal(err)
	}
	log := join(lines[0], lines[1], torn, []byte("\n"), record)
	for range 2 {
		if r := verify(t, log); r.Fault != nil || r.Interrupted != 1 {
			t.Fatalf("%+v", r)
		}
		var out bytes.Buffer
		if _, err := Erase(&out, bytes.NewReader(log), Person{User: "nobody"}); err != nil || strings.Contains(out.String(), `"ali`+"\n") {
			t.Fatal(err, out.String())
		}
		log = out.Bytes()
	}
	if r := verify(t, join(lines[0], lines[1], record)); r.Fault == nil || r.Fault.Kind != Removed {
		t.Errorf("without the torn text: %+v", r.Fault)
	}
	if r := verify(t, join(lines[0], lines[1], []byte("else\n"), record)); r.Fault == nil {
		t.Error("another text in its place was not found")
	}
}

// FuzzReader: whatever a log holds, reading ends, and what is taken for a line has
// one spelling.
func FuzzReader(f *testing.F) {
	lines := chain(f, 3)
	f.Add(join(lines...))
	f.Add(lines[0][:60])
	f.Add([]byte("\x1f\x8b"))
	f.Add(bytes.Replace(lines[1], []byte(`"entry"`), []byte(`"Entry"`), 1))
	f.Fuzz(func(t *testing.T, log []byte) {
		if _, err := Verify([]io.Reader{bytes.NewReader(log)}); err != nil {
			return
		}
		for text := range bytes.Lines(log) {
			l, err := Parse(text)
			if err != nil {
				continue
			}
			again, err := l.text()
			if err != nil || !bytes.Equal(bytes.TrimSuffix(again, []byte("\n")), bytes.TrimSuffix(text, []byte("\n"))) {
				t.Fatalf("%q reads as %q", text, again)
			}
		}
		var out bytes.Buffer
		if _, err := Erase(&out, bytes.NewReader(log), Person{User: "alice"}); err == nil {
			if again, err := Erase(io.Discard, bytes.NewReader(out.Bytes()), Person{User: "alice"}); err != nil || again.Entries > 0 {
				t.Fatal("erased twice:", again, err)
			}
		}
	})
}
