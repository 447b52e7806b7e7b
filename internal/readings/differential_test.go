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

// manyFields are fields of all kinds, several of them at one place.
func manyFields(t testing.TB) []Field {
	var all []Field
	add := func(f Field, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	not := func(f Field, err error, harmless ...string) {
		if err == nil {
			f, err = f.Unless(harmless...)
		}
		add(f, err)
	}
	for _, name := range []string{"op", "op.x", "a", "a.b", "\u00f6p", "OP", "x", "Kind"} {
		add(FormField(name))
		add(FormField(name, "pay"))
		add(FormField(name, "login", "list", "1"))
		add(FormField(name, "log*"))
		add(FormField(name, "*ay", "*\u00f6*"))
		f, err := FormField(name)
		not(f, err, "login", "list")
	}
	for _, pointer := range []string{"/op", "/a", "/a/op", "/a/b/x", "/0", "/0/op", "/op/0", "/", "/a.b", "/x/00", "/\u00f6p", "/a/a"} {
		add(JSONField(pointer))
		add(JSONField(pointer, "pay"))
		add(JSONField(pointer, "login", "true", "1"))
		add(JSONField(pointer, "*log*"))
		f, err := JSONField(pointer)
		not(f, err, "login", "1")
	}
	return all
}

// differ compares what a table finds of all fields with what the evaluation of
// each field alone found, which it has replaced; see reference_test.go. beyond
// reports that the request is beyond the limits on what is read.
func differ(all []Field, t *Table, target, contentType, encoding, query, body string, queries ...string) (wrong string, beyond bool) {
	request := func() (*http.Request, *Peek) {
		r := post(contentType, body)
		r.URL = &url.URL{Path: target, RawQuery: query}
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		p := NewPeek(r, 1<<16)
		return r, &p
	}
	// One table for some fields more, read once, in any order.
	r, one := request()
	found := t.Read(r, queries...)
	beyond = nestsTooDeep(target) || nestsTooDeep(query) || nestsTooDeep(body) || slices.ContainsFunc(queries, nestsTooDeep)
	for _, every := range []bool{false, true} {
		for i := range all {
			f := &all[i]
			r, p := request()
			want := f.refIn(every, r, p, queries)
			// Beyond the limits on effort and on escapes within escapes it cannot be
			// told of any field, also where it could be of this one alone.
			got := found.verdict(f, t.Place(f), one, every)
			beyond = beyond || found.exhausted()
			if got != want && (got != CannotTell || !beyond) {
				return fmt.Sprintf("%s %q not=%v every=%v: %d, want %d", f, wantedTexts(f), f.not, every, got, want), beyond
			}
		}
	}
	var plain []Field // without values
	for i := range all {
		if len(all[i].values) == 0 {
			plain = append(plain, all[i])
		}
	}
	for n := 0; n+3 <= len(plain); n += 2 {
		r, p := request()
		want, certain := refShow(plain[n:n+3], r, p, queries...)
		r, p = request()
		got, sure := Show(plain[n:n+3], r, p, queries...)
		if sure != certain || certain && !slices.Equal(got, want) {
			return fmt.Sprintf("shown %s: %q %v, want %q %v", &plain[n], got, sure, want, certain), beyond
		}
	}
	for _, name := range []string{"op", "_method"} {
		old := refReader{names: []string{name}}
		old.query(query)
		got, certain := QueryValues(query, name)
		if certain == old.unsure || certain && !slices.Equal(got, old.values) {
			return fmt.Sprintf("query values of %s: %q %v, want %q %v", name, got, certain, old.values, !old.unsure), beyond
		}
		_, p := request()
		form := p.Form()
		old = refReader{names: []string{name}}
		old.unsure = form.CannotTell
		found := tableOfNames(name).read()
		form.read(found)
		switch form.layout {
		case urlencodedForm:
			old.urlencoded(form.body)
		case multipartForm:
			old.multipart(form.body)
		case jsonForm:
			old.json(form.body)
			found.anyMember(form.body)
		}
		got, certain = found.list()
		if certain == old.unsure || certain && !slices.Equal(got, old.values) {
			return fmt.Sprintf("values of %s: %q %v, want %q %v", name, got, certain, old.values, !old.unsure), beyond
		}
	}
	return "", beyond
}

// nestsTooDeep reports whether a text still changes when it has been decoded as
// often as names are.
func nestsTooDeep(s string) bool {
	for range maxDepth {
		s = decodeField(s)
	}
	return decodeField(s) != s
}

func wantedTexts(f *Field) (texts []string) {
	for _, v := range f.values {
		texts = append(texts, v.text)
	}
	return texts
}

// A request that is read once for all fields says of each what reading it for that
// field alone said. STEP_UP_LONG is how many seconds to try random requests.
func TestS26OneReadingSaysWhatManySaid(t *testing.T) {
	all := manyFields(t)
	table := NewTable(all...)
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("STEP_UP_SEED"), 10, 64); err == nil {
		seed = s
	}
	seconds, _ := strconv.Atoi(os.Getenv("STEP_UP_LONG"))
	for _, found := range []uint64{1795879634541882225, 1795911102756544190} { // a difference once
		oneSaysWhatManySaid(t, table, all, found, 0)
	}
	// A value that may be the boundary, and one that is wanted in the same header
	// block to those who end it later.
	doubted := "--B\r\ncontent-disposition: form-data; name=op\n\nPAY\r\n--B\r\ncontent-disposition: form-data; name=op\n\nlogin\r\n\r\n--B--"
	if wrong, _ := differ(all, table, "/", "multipart/form-data; boundary=B", "", "", doubted); wrong != "" {
		t.Error(wrong)
	}
	oneSaysWhatManySaid(t, table, all, seed, seconds)
}

func oneSaysWhatManySaid(t *testing.T, table *Table, all []Field, seed uint64, seconds int) {
	t.Helper()
	t.Logf("seed %d", seed)
	g := grammar{Rand: rand.New(rand.NewPCG(seed, 0))}
	start := time.Now()
	n, beyonds := 0, 0
	for ; n < 300 || time.Since(start) < time.Duration(seconds)*time.Second; n++ {
		g.calm = n%2 == 0
		target, query, body, encoding := "/", "", "", ""
		var queries []string
		if g.IntN(3) == 0 {
			query = strings.TrimRight(g.form(), "\r\n\x00")
		}
		if g.IntN(8) == 0 {
			target = g.one("/a?op=pay", "/%3fop=login", "/%253fop%3dpay", "/x?"+g.form())
		}
		if g.IntN(6) == 0 {
			queries = append(queries, g.one(query, g.form()))
		}
		contentType := g.one(urlencoded, multiType, jsonType, urlencoded, multiType, jsonType, "json", "text/plain", "", urlencoded+"; charset=utf-8", "multipart/mixed; boundary=B", "application/octet-stream", "text/json", "text/yaml", "application/xml")
		switch kind := contentType; {
		case g.IntN(10) == 0:
			body = g.one(g.form(), g.json(0), g.multipart(), g.deepJSON(0), g.browserForm()) // mislabelled
		case kind == multiType:
			body = g.one(g.multipart(), g.browserForm(), g.browserForm())
		case strings.Contains(kind, "json"), kind == "text/plain":
			body = g.one(g.json(0), g.deepJSON(0), g.deepJSON(0)) + g.one("", "", "", "\n", " x", g.json(0))
		default:
			body = g.form()
		}
		if g.IntN(8) == 0 {
			body = strings.NewReplacer("%", g.one("%25", "%2525", "%25252525"), "op", g.one("op", "%256fp", "%25252525256fp", "%u006fp", "%252525252525256fp", "o%p")).Replace(body)
		}
		if g.IntN(20) == 0 {
			encoding = g.one("gzip", "identity")
		}
		wrong, beyond := differ(all, table, target, contentType, encoding, query, body, queries...)
		if beyond {
			beyonds++
		}
		if wrong != "" {
			t.Fatalf("seed %d, %d: %s?%s %q %q %q %q: %s", seed, n, target, query, queries, contentType, encoding, body, wrong)
		}
	}
	if t.Logf("%d of %d beyond the limits", beyonds, n); beyonds > n/10 {
		t.Errorf("seed %d: %d of %d are beyond the limits", seed, beyonds, n)
	}
}

// deepJSON makes JSON that is well-formed more often than not, with the names that
// fields have.
func (g grammar) deepJSON(depth int) string {
	switch n := g.IntN(10); {
	case depth < 6 && n < 5 || depth == 0 && n < 7:
		var members []string
		for range g.IntN(4) {
			name := g.one("op", "a", "b", "x", "", "op", "a", "b", "OP", "o\\u0070", "a.b", "a_b", "[a]", "a[b]", " op ", "op\\u0000x", "0", "00", "\u00f6p", "\u00d6P", "\u212aind", "op\\u005b")
			members = append(members, `"`+name+`":`+g.deepJSON(depth+1))
		}
		return "{" + strings.Join(members, ",") + "}"
	case depth < 6 && n < 8 || depth == 0:
		var elements []string
		for range g.IntN(4) {
			elements = append(elements, g.deepJSON(depth+1))
		}
		return "[" + strings.Join(elements, g.one(",", ", ")) + "]"
	}
	return g.one(`"pay"`, `"login"`, "1", `"list"`, `"LOGIN"`, "true", "null", "0", "1.0", `"x\u00f6"`, `"\\login"`, `"log\u0000in"`, `""`)
}

// browserForm makes multipart/form-data as browsers do.
func (g grammar) browserForm() string {
	var b strings.Builder
	for range g.IntN(5) {
		name := g.one("op", "op", "a", "x", "op.x", "OP", "a.b", "\u00f6p", "op[]", "")
		head := g.one("", "", "", "", "", "", "Content-Type: application/json\r\n", "Content-Type: application/xml\r\n", "Content-Length: 3\r\n", "content-type: text/plain\r\n", "X: y\r\n")
		file := g.one("", "", "", "", `; filename="a.txt"`, `; filename="blob"`, `; filename="a/b"`, `; filename=""`, `; filename=a`)
		value := g.one("login", "pay", "login", g.deepJSON(0), "\r\n", "", "--B", "x\r\n--Bx", "\r\n--B \r\n", "list\r\n")
		b.WriteString("--B\r\nContent-Disposition: form-data; name=\"" + name + "\"" + file + "\r\n" + head + "\r\n" + value + "\r\n")
	}
	return b.String() + g.one("--B--\r\n", "--B--\r\n", "--B--", "--B--\r\nmore", "--B-- \r\n", "--B", "")
}
