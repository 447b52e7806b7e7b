package readings

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"
)

func formField(t testing.TB, name string, values ...string) *Field {
	t.Helper()
	f, err := FormField(name, values...)
	if err != nil {
		t.Fatal(err)
	}
	return &f
}

func jsonField(t testing.TB, pointer string, values ...string) *Field {
	t.Helper()
	f, err := JSONField(pointer, values...)
	if err != nil {
		t.Fatal(err)
	}
	return &f
}

// in asks for a field of a request, and sees that its body stays as it was.
func in(t testing.TB, f *Field, r *http.Request, body string) Verdict {
	t.Helper()
	p := NewPeek(r, 1000)
	v := f.In(r, &p)
	if got, err := io.ReadAll(r.Body); string(got) != body || err != nil {
		t.Errorf("the upstream gets %q, %v", got, err)
	}
	return v
}

const (
	jsonType  = "application/json"
	multiType = "multipart/form-data; boundary=B"
)

func encodeUTF16(s string, order binary.ByteOrder, mark bool) string {
	var b []byte
	if mark {
		s = "\ufeff" + s
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], u)
	}
	return string(b)
}

func TestS22JSONReadings(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n) }
	pad := strings.Repeat(" ", 2000)
	for _, tt := range []struct {
		name, contentType, body string
		want                    Verdict
	}{
		{"plain", jsonType, `{"method":"remove"}`, Yes},
		{"other value", jsonType, `{"method":"list"}`, No},
		{"other name", jsonType, `{"methods":"remove"}`, No},
		{"elsewhere", jsonType, `{"a":{"method":"remove"}}`, No},
		{"in a value", jsonType, `{"a":"\"method\":\"remove\""}`, No},
		{"nothing", jsonType, ` `, No},
		{"duplicate, first", jsonType, `{"method":"remove","method":"list"}`, Yes},
		{"duplicate, last", jsonType, `{"method":"list","method":"remove"}`, Yes},
		{"case of the name", jsonType, `{"Method":"remove"}`, Yes},
		{"Kelvin sign", jsonType, "{\"to\u212aen\":\"remove\",\"METHOD\":\"remove\"}", Yes},
		{"case of the value", jsonType, `{"method":"REMOVE"}`, Yes},
		{"blanks", jsonType, `{"method":" remove\n"}`, Yes},
		{"NUL", jsonType, `{"method\u0000x":"remove\u0000x"}`, Yes},
		{"escaped", jsonType, `{"m\u0065thod":"r\u0065mov\u0065"}`, Yes},
		{"array for a value", jsonType, `{"method":["remove"]}`, Yes},
		{"object for a value", jsonType, `{"method":{"$eq":"remove"}}`, Yes},
		{"batch", jsonType, `[{"method":"list"},{"method":"remove"}]`, Yes},
		{"batch in a batch", jsonType, `[[{"method":"remove"}]]`, Yes},
		{"harmless batch", jsonType, `[{"method":"list"},1,"remove",null]`, No},
		{"one behind another", jsonType, `{"method":"list"}{"method":"remove"}`, Yes},
		{"NDJSON", "application/x-ndjson", "{\"method\":\"list\"}\n{\"method\":\"remove\"}\n", Yes},
		{"BOM", jsonType, "\ufeff" + `{"method":"remove"}`, Yes},
		{"BOM in between", jsonType, `{"method":"list"}` + "\ufeff{}", CannotTell},
		{"BOM twice", jsonType, "\ufeff\ufeff" + `{"method":"remove"}`, CannotTell},
		{"UTF-16, little", jsonType, encodeUTF16(`{"method":"remove"}`, binary.LittleEndian, false), CannotTell},
		{"UTF-16, big", "text/plain", encodeUTF16(`{"method":"remove"}`, binary.BigEndian, false), CannotTell},
		{"UTF-16, BOM", "text/plain", encodeUTF16(`{"method":"remove"}`, binary.BigEndian, true), CannotTell},
		{"UTF-32", "application/octet-stream", "\x00\x00\x00{\x00\x00\x00}", CannotTell},
		{"UTF-7", "text/plain", "+AHs-", CannotTell},
		{"charset utf-16", jsonType + "; charset=utf-16", `{}`, CannotTell},
		{"charset utf-8", jsonType + `; charset="UTF-8"`, `{"method":"list"}`, No},
		{"charset of a text", "text/plain; charset=IBM037", `xx`, CannotTell},
		{"invalid UTF-8", jsonType, "{\"method\":\"remo\xffve\"}", CannotTell},
		{"overlong", jsonType, "{\"method\":\"\xc1\xb2emove\"}", CannotTell},
		{"lone surrogate", jsonType, `{"method":"remove\ud800"}`, CannotTell},
		{"halves in disorder", jsonType, `{"method":"\udc00\ud800"}`, CannotTell},
		{"pair", jsonType, `{"method":"\ud83d\ude00"}`, No},
		{"text/plain", "text/plain", `{"method":"remove"}`, Yes},
		{"text/plain, blank first", "text/plain", "\r\n\t {\"method\":\"remove\"}", Yes},
		{"as a form", urlencoded, `{"method":"remove"}`, Yes},
		{"as a form, from a form", "text/plain", "{\"method\":\"remove\",\"x\":\"=\"}\r\n", Yes},
		{"as multipart", multiType, `{"method":"remove"}`, Yes},
		{"no type", "", `{"method":"remove"}`, Yes},
		{"bare type", "json", `{"method":"list"}`, No},
		{"bare type, found", "json", `{"method":"remove"}`, Yes},
		{"odd type", "jso", `{"method":"list"}`, CannotTell},
		{"octets", "application/octet-stream", `{"method":"remove"}`, Yes},
		{"own type", "application/vnd.api+json", `{"method":"remove"}`, Yes},
		{"csp report", "application/csp-report", `{"method":"remove"}`, Yes},
		{"stream", "application/grpc+json", `{"method":"list"}`, CannotTell},
		{"cut short", jsonType, `{"method":"list","x":1`, CannotTell},
		{"cut short, found", jsonType, `{"method":"remove"`, Yes},
		{"garbage behind", jsonType, `{"method":"list"} x`, CannotTell},
		{"comment", jsonType, `{/*"*/"method":"list"}`, CannotTell},
		{"comment first", "text/plain", "// x\n{\"method\":\"remove\"}", CannotTell},
		{"hash comment first", "text/plain", "# x\n{\"method\":\"remove\"}", CannotTell},
		{"prefix against inclusion", "text/plain", ")]}'\n{\"method\":\"remove\"}", CannotTell},
		{"trailing comma", jsonType, `{"method":"list",}`, CannotTell},
		{"single quotes", jsonType, `{'method':'remove'}`, CannotTell},
		{"bare name", jsonType, `{method:"remove"}`, CannotTell},
		{"control in a string", jsonType, "{\"method\":\"list\n\"}", CannotTell},
		{"bad escape", jsonType, `{"method":"\remove\x"}`, CannotTell},
		{"hexadecimal", jsonType, `{"a":0x1}`, CannotTell},
		{"NaN", jsonType, `{"a":NaN}`, CannotTell},
		{"leading zero", jsonType, `{"a":01}`, CannotTell},
		{"deep", jsonType, deep(200), CannotTell},
		{"not so deep", jsonType, deep(100), No},
		{"long", jsonType, `{"method":"list"` + pad + `}`, CannotTell},
		{"long, unlabelled", "text/plain", `{"method":"list"` + pad + `}`, CannotTell},
		{"long blanks", "application/octet-stream", pad + `{"method":"remove"}`, CannotTell},
		{"long, no JSON", "image/png", "\x89PNG" + pad, CannotTell},
		{"no JSON", "text/html", "<p>", CannotTell},
		{"form with the label", jsonType, "method=remove", CannotTell},
		{"form field", urlencoded, "a=b&method=remove", Yes},
		{"form field, other", urlencoded, "a=b&method=list", No},
		{"multipart field", multiType, part(`Content-Disposition: form-data; name="method"`, "remove"), Yes},
		{"XML", "application/xml", "<method>remove</method>", CannotTell},
	} {
		f := jsonField(t, "/method", "remove", "stop")
		for _, method := range []string{"POST", "GET"} {
			r := post(tt.contentType, tt.body)
			r.Method = method
			if v := in(t, f, r, tt.body); v != tt.want {
				t.Errorf("%s: %d, want %d", tt.name, v, tt.want)
			}
		}
		r := post(tt.contentType, tt.body)
		r.Header["Content-Encoding"] = []string{"gzip"}
		if v := in(t, f, r, tt.body); v != CannotTell {
			t.Errorf("%s, compressed: %d", tt.name, v)
		}
	}
	r := post(jsonType, "{}")
	r.Header["Content-Type"] = []string{jsonType, "text/plain"}
	if v := in(t, jsonField(t, "/a"), r, "{}"); v != CannotTell {
		t.Error("two types:", v)
	}
}

func TestS22JSONPointers(t *testing.T) {
	const body = `{"a":{"b":[{"c":1.50},{"c":true,"d/e":null,"~":"x"}],"":{"":"y"}},"n":-2e3,"t":false}`
	for _, tt := range []struct {
		pointer, value string
		want           Verdict
	}{
		{"/a/b/0/c", "1.5", Yes},
		{"/a/b/0/c", "1", Yes}, // to those who read whole numbers
		{"/a/b/1/c", "true", Yes},
		{"/a/b/c", "true", Yes}, // arrays need not be named
		{"/a/b/2/c", "true", No},
		{"/a/b/1/d~1e", "null", Yes},
		{"/a/b/1/~0", "x", Yes},
		{"/a//", "y", Yes},
		{"/n", "-2000", Yes},
		{"/t", "false", Yes},
		{"/t", "true", No},
		{"/a", "y", Yes}, // somewhere in what it leads to
		{"/b", "y", No},
	} {
		if v := in(t, jsonField(t, tt.pointer, tt.value), post(jsonType, body), body); v != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.pointer, tt.value, v, tt.want)
		}
	}
	for pointer, want := range map[string]Verdict{"/a": Yes, "/a/b": Yes, "/a/b/1/d~1e": Yes, "/x": No} {
		if v := in(t, jsonField(t, pointer), post(jsonType, body), body); v != want {
			t.Errorf("%s is there at all: %d, want %d", pointer, v, want)
		}
	}
	// As the field of a form would be called.
	for form, want := range map[string]Verdict{"a[b]=x": Yes, "a.b=x": Yes, "a[x]=x": Yes, "b=x": No} {
		if v := in(t, jsonField(t, "/a/b", "x"), post(urlencoded, form), form); v != want {
			t.Errorf("%s: %d, want %d", form, v, want)
		}
	}
	for _, bad := range []string{"", "a", "#/a", "/a~", "/~2", strings.Repeat("/a", 17), "/" + strings.Repeat("a", MaxPointer)} {
		if _, err := JSONField(bad); !errors.Is(err, ErrField) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestS22FormReadings(t *testing.T) {
	disposition := `Content-Disposition: form-data; `
	for _, tt := range []struct {
		name, query, contentType, body string
		want                           Verdict
	}{
		{"query", "op.x=pay", "", "", Yes},
		{"query, semicolon", "a=1;op_x=pay", "", "", Yes},
		{"query, escaped", "%6fp%2ex=%70ay", "", "", Yes},
		{"query, twice escaped", "op_x%253Dpay", "", "", Yes},
		{"query, other", "op_x=list", "", "", No},
		{"query, not there", "a=op_x", "", "", No},
		{"urlencoded", "", urlencoded, "op.x=pay", Yes},
		{"underscore", "", urlencoded, "op_x=pay", Yes},
		{"space", "", urlencoded, "op+x=pay", Yes},
		{"bracket", "", urlencoded, "op[x=pay", Yes},
		{"array", "", urlencoded, "op.x[]=list&op.x[]=pay", Yes},
		{"subscript", "", urlencoded, "op_x[y][z]=pay", Yes},
		{"semicolons", "", urlencoded, "a=b;op.x=pay;c", Yes},
		{"BOM", "", urlencoded, "\ufeffop.x=pay", Yes},
		{"twice, first", "", urlencoded, "op.x=pay&op.x=list", Yes},
		{"twice, last", "", urlencoded, "op.x=list&op.x=pay", Yes},
		{"one in query, one in body", "op_x=pay", urlencoded, "op.x=list", Yes},
		{"case", "", urlencoded, "OP.X=PAY", Yes},
		{"blanks", "", urlencoded, "op.x=+pay%0a", Yes},
		{"NUL", "", urlencoded, "op.x=pay%00x", Yes},
		{"other", "", urlencoded, "op.x=list", No},
		{"text/plain", "", "text/plain", "op.x=pay\r\n", Yes},
		{"no type", "", "", "op.x=pay", Yes},
		{"UTF-16", "", urlencoded + ";charset=utf-16", "o\x00", CannotTell},
		{"UTF-16 mark", "", urlencoded, "\xfe\xff\x00o", CannotTell},
		{"too long", "", urlencoded, strings.Repeat("a=b&", 300), CannotTell},
		{"too long, found in the query", "op.x=pay", urlencoded, strings.Repeat("a=b&", 300), Yes},
		{"multipart", "", multiType, part(disposition+`name="op.x"`, "pay"), Yes},
		{"multipart, other", "", multiType, part(disposition+`name="op.x"`, "list"), No},
		{"multipart, cut short", "", multiType, "--B\r\n" + disposition + `name="op.x"`, CannotTell},
		{"multipart, mislabelled", "", "multipart/mixed", part(disposition+`name="op.x"`, "pay"), Yes},
		{"JSON", "", jsonType, `{"op.x":"pay"}`, Yes},
		{"JSON, underscore", "", jsonType, `{"op_x":["pay"]}`, Yes},
		{"JSON, other", "", jsonType, `{"op.x":"list"}`, No},
		{"JSON, broken", "", jsonType, `{"op.x":"list"`, CannotTell},
		{"image", "", "image/png", "\x89PNG op.x=pay", CannotTell},
		{"form said to be an image", "", "image/png", "a=1&op.x=pay", Yes},
		{"form said to be bytes", "", "application/octet-stream", "op_x=pay", Yes},
		{"form said to be XML", "", "application/xml", "op.x=pay;", Yes},
		{"odd type", "", "x", "op.x=list", CannotTell},
	} {
		r := post(tt.contentType, tt.body)
		r.URL = &url.URL{Path: "/", RawQuery: tt.query}
		if v := in(t, formField(t, "op.x", "pay", "withdraw"), r, tt.body); v != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, v, tt.want)
		}
	}
	r := request("GET", "/")
	r.URL = &url.URL{Path: "/x%3fop=pay"}
	if v := formField(t, "op", "pay").In(r, new(Peek)); v != Yes {
		t.Error("a query in the path:", v)
	}
	if v := formField(t, "op", "pay").In(request("GET", "/"), new(Peek), "op=pay"); v != Yes {
		t.Error("a query before it was rewritten:", v)
	}
	for form, want := range map[string]Verdict{"op": Yes, "op=": Yes, "op[]=": Yes, "a=op": No} {
		if v := in(t, formField(t, "op"), post(urlencoded, form), form); v != want {
			t.Errorf("%q has the field at all: %d", form, v)
		}
	}
	for _, bad := range []string{"", " a", "a[b]", "a%20", "a&b", strings.Repeat("a", MaxPointer+1)} {
		if _, err := FormField(bad); !errors.Is(err, ErrField) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestS22Values(t *testing.T) {
	for _, tt := range []struct {
		value, want string
		same        bool
	}{
		{"7", "7", true}, {"07", "7", true}, {"7.0", "7", true}, {" 7 ", "7", true}, {"7x", "7", true}, {"+7", "7", true}, {"70e-1", "7", true},
		{"7e0", "7", true}, {"70", "7", false}, {"77", "7", false}, {"x7", "7", false}, {"", "7", false}, {"-7", "7", false}, {".5", "0.5", true},
		{"7", "7x", false}, {"7x", "7X", true}, {"", "", true}, {"a", "", false}, {"0", "", false}, {"-", "-", true}, {"+", "0", false},
		{"1e400", "1e400", true}, {"pay\x00", "pay", true}, {"\tPAY\r\n", "pay", true}, {"payee", "pay", false},
		{strings.Repeat("0", 100), "0", true},
	} {
		if got := formField(t, "x", tt.want).wants(tt.value); got != tt.same {
			t.Errorf("%q for %q: %v", tt.value, tt.want, got)
		}
	}
}

// One body, asked for a method, a field of a form and one of JSON, is read once.
func TestPeekReadsOnce(t *testing.T) {
	for _, body := range []string{"op=pay", `{"op":"pay"}`} {
		r := post(urlencoded, "")
		reads := &counting{Reader: strings.NewReader(body)}
		r.Body = io.NopCloser(reads)
		p := NewPeek(r, 1000)
		p.Form()
		after := reads.n
		if a, b := formField(t, "op", "pay").In(r, &p), jsonField(t, "/op", "pay").In(r, &p); a != Yes || b != Yes || reads.n != after {
			t.Errorf("%s: %d, %d, %d reads, then %d", body, a, b, after, reads.n)
		}
		if whole, err := p.Body(); whole != body || err != nil {
			t.Errorf("%q, %v", whole, err)
		}
		if got, err := io.ReadAll(r.Body); string(got) != body || err != nil {
			t.Errorf("the upstream gets %q, %v", got, err)
		}
	}
	// Where the query has it, nobody waits for the body.
	r := post(urlencoded, "")
	r.URL = &url.URL{RawQuery: "op=pay"}
	r.Body = io.NopCloser(iotest.ErrReader(errors.New("read")))
	p := NewPeek(r, 1000)
	if v := formField(t, "op", "pay").In(r, &p); v != Yes || p.done {
		t.Error(v, p.done)
	}
}

type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) { c.n++; return c.Reader.Read(p) }

func TestPeekBody(t *testing.T) {
	for _, announced := range []int64{-1, 10} {
		r := post("x/y", "0123456789")
		r.ContentLength = announced
		for limit, want := range map[int]error{9: ErrBodyTooLarge, 10: nil} {
			p := NewPeek(r, limit)
			if got, err := p.Body(); !errors.Is(err, want) || err == nil && got != "0123456789" {
				t.Errorf("limit %d: %q, %v", limit, got, err)
			}
		}
	}
	r := post("x/y", "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("01"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	p := NewPeek(r, 10)
	if _, err := p.Body(); err != ErrBodyBroken {
		t.Error(err)
	}
	p = NewPeek(request("GET", "/"), 10)
	if got, err := p.Body(); got != "" || err != nil {
		t.Error(got, err)
	}
}

func TestShow(t *testing.T) {
	fields := []Field{*formField(t, "amount"), *formField(t, "to"), *jsonField(t, "/a/ids")}
	show := func(query, contentType, body string) string {
		r := post(contentType, body)
		r.URL = &url.URL{RawQuery: query}
		p := NewPeek(r, 1000)
		shown, certain := Show(fields, r, &p, query)
		return fmt.Sprintf("%q %v", shown, certain)
	}
	for _, tt := range []struct{ query, contentType, body, want string }{
		{"amount=1+000&amount=2&amount=2", "", "", `[{"amount" "1 000"} {"amount" "2"} {"amount" "2"}] true`},
		{"amount=1", urlencoded, "Amount=%32&to[name]=bob&to[iban]=", `[{"amount" "1"} {"Amount" "2"} {"to[name]" "bob"} {"to[iban]" ""}] true`},
		{"amount=1;to=eve", "", "", `[{"amount" "1;to=eve"} {"amount" "1"} {"to" "eve"}] true`},
		{"", multiType, part(`Content-Disposition: form-data; name="to"`, "100%25"), `[{"to" "100%25"}] true`},
		{"", jsonType, `{"amount":1.50,"to":null,"a":{"ids":[1,2]}}`, `[{"amount" "1.50"} {"to" "null"} {"/a/ids" "[1,2]"}] true`},
		{"", jsonType, `[{"amount":1},{"AMOUNT":2,"amount":"3"}]`, `[{"amount" "1"} {"amount" "2"} {"amount" "3"}] true`},
		{"", jsonType, `{"amount":{"x":{"y":"z"}}}`, `[{"amount" "{\"x\":{\"y\":\"z\"}}"}] true`},
		{"x=y", "", "", `[] true`},
	} {
		if got := show(tt.query, tt.contentType, tt.body); got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.query, tt.body, got, tt.want)
		}
	}
	for _, tt := range [][3]string{
		{strings.Repeat("amount=1&", maxShown+1), "", ""},
		{"", jsonType, `{"amount":1`},
		{"", urlencoded + "; charset=utf-16", "x"},
		{"", multiType, "--B\r\nContent-Disposition: form-data; name*0=\"am\""},
	} {
		if got := show(tt[0], tt[1], tt[2]); !strings.HasSuffix(got, " false") {
			t.Errorf("%.40q: %s", tt, got)
		}
	}
}

func TestS19HostileFieldsAreBounded(t *testing.T) {
	f := formField(t, "a", "7", "x")
	for contentType, pieces := range map[string][]string{
		urlencoded: {"a=1111111111111111111111111111111111111111111111111111111111111111111111&", "a=%25%32%35;", "a[", "a;"},
		jsonType:   {"[", `{"a":`, `[{"a":"y"}],`, `{"a":"\u0061"} `, `"`, `\`, "1", `[1111111111111111111111111111111111111111111111111111111111111111111111],`},
		multiType:  {"content-disposition name=a\n\n"},
	} {
		for _, piece := range pieces {
			body := strings.Repeat(piece, 1<<20/len(piece))
			r := post(contentType, body)
			start := time.Now()
			p := NewPeek(r, 2<<20)
			f.In(r, &p)
			if took := time.Since(start); took > 3*time.Second { // far above
				t.Errorf("%q: took %v", piece, took)
			} else if testing.Verbose() {
				t.Logf("%q: %v", piece, took)
			}
		}
	}
}

// Whatever encoding/json finds at a pointer, with the first or the last of
// duplicate names, is found or cannot be told.
func FuzzJSONField(f *testing.F) {
	for _, body := range []string{
		`{"a":{"b":"x"}}`, `{"a":1,"a":2}`, `[{"a":[1,{"b":true}]}]`, `{"A":{"\u0062":"\ud83d\ude00"}}`, "\ufeff{}", `{"a":"\ud800"}`, `{"a":"` + "\xff" + `"}`, `{"a":1e400}`,
		`{"a":{"b":null},"a":{"c":-0.1E+2}}`, `{"a":"x"}{"a":"y"}`, `{"a~b":{"/":"\u0000"}}`,
	} {
		for _, pointer := range []string{"/a", "/a/b", "/0/a/1/b", "/a~0b/~1"} {
			f.Add(body, pointer)
		}
	}
	f.Fuzz(func(t *testing.T, body, pointer string) {
		field, err := JSONField(pointer)
		if err != nil || !json.Valid([]byte(body)) {
			return
		}
		var last any
		d := json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		if d.Decode(&last) != nil {
			return
		}
		d = json.NewDecoder(strings.NewReader(body))
		d.UseNumber()
		first, err := firstWins(d)
		if err != nil {
			return
		}
		var folded struct{ A any }
		_ = json.Unmarshal([]byte(body), &folded)
		found := map[string]any{"last": at(last, field.path), "first": at(first, field.path)}
		if len(field.path) == 1 && strings.EqualFold(field.path[0], "a") {
			found["folded"] = folded.A
		}
		for oracle, v := range found {
			if v == nil {
				continue
			}
			for _, contentType := range []string{jsonType, "text/plain"} {
				there := field
				if verdict := in(t, &there, post(contentType, body), body); len(body) < 1000 && verdict == No {
					t.Fatalf("%s finds %v at %s in %q, we nothing", oracle, v, pointer, body)
				}
				there.values = []wanted{{text: strings.TrimSpace(text(v)), fold: foldValue(strings.TrimSpace(text(v)))}}
				if verdict := in(t, &there, post(contentType, body), body); len(body) < 1000 && verdict == No && text(v) != "" && !strings.Contains(text(v), "\x00") {
					t.Fatalf("%s finds %v at %s in %q, we something else", oracle, v, pointer, body)
				}
			}
		}
	})
}

// firstWins decodes one value, taking the first of members with the same name.
func firstWins(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		m := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := firstWins(d)
			if err != nil {
				return nil, err
			}
			if _, have := m[name.(string)]; !have {
				m[name.(string)] = v
			}
		}
		_, err = d.Token()
		return m, err
	case json.Delim('['):
		a := []any{}
		for d.More() {
			v, err := firstWins(d)
			if err != nil {
				return nil, err
			}
			a = append(a, v)
		}
		_, err = d.Token()
		return a, err
	}
	return token, nil
}

// at follows a pointer by the letter of RFC 6901; nil for nothing and null.
func at(v any, path []string) any {
	for _, name := range path {
		switch c := v.(type) {
		case map[string]any:
			v = c[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(c) || strconv.Itoa(i) != name {
				return nil
			}
			v = c[i]
		default:
			return nil
		}
	}
	return v
}

// text is the first scalar in v as text.
func text(v any) string {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			return text(inner)
		}
		return ""
	case []any:
		if len(v) == 0 {
			return ""
		}
		return text(v[0])
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

// Whatever Go finds in a query or form is found or cannot be told.
func FuzzFormField(f *testing.F) {
	f.Add("op=a;b", urlencoded, "op=%70ay&op.x=1")
	f.Add("op%5b%5d=1", multiType, part(`Content-Disposition: form-data; name="op"`, "pay"))
	f.Add("", "", "op=1")
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		r := post(contentType, body)
		r.URL = &url.URL{Path: "/", RawQuery: query}
		if r.ParseMultipartForm(1<<20) != nil && r.Form == nil {
			return
		}
		for name, values := range r.Form {
			field, err := FormField(name)
			if err != nil || len(body) > 1000 {
				continue
			}
			for _, v := range values {
				there := field
				there.values = []wanted{{text: strings.Trim(v, blanks), fold: foldValue(strings.Trim(v, blanks))}}
				again := post(contentType, body)
				again.URL = r.URL
				if in(t, &there, again, body) == No && !strings.Contains(v, "\x00") {
					t.Fatalf("Go finds %q=%q in ?%s and %q, we do not", name, v, query, body)
				}
			}
		}
	})
}

func BenchmarkFieldWithoutBody(b *testing.B) {
	r := request("GET", "/")
	r.Body = http.NoBody
	r.URL = &url.URL{Path: "/rpc", RawQuery: "page=2"}
	for name, f := range map[string]*Field{"form": formField(b, "op", "pay", "withdraw"), "json": jsonField(b, "/method", "torrent-remove")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := NewPeek(r, 1<<18)
				if f.In(r, &p) != No {
					b.Fatal()
				}
			}
		})
	}
}
