package readings

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
)

// grammar makes bodies and queries of pieces that parsers differ on; calm ones
// mostly of those that stand first, which are plain.
type grammar struct {
	*rand.Rand
	calm bool
}

func (g grammar) one(of ...string) string {
	if g.calm && g.IntN(10) > 0 {
		return of[g.IntN((len(of)+4)/5)]
	}
	return of[g.IntN(len(of))]
}

func (g grammar) name() string {
	return g.one("op", "op", "x", "y", "op", "OP", "Op", "op[]", "op[x]", "op%5b%5d", "o%70", "op.x", "op+", "%20op", "\ufeffop", "op%00", "a[op]", "method", "a", "a.b", "_method", "b", "op%2500", "%6fp", "")
}

func (g grammar) value() string {
	return g.one("pay", "pay", "login", "login", "login", "PAY", "pa%79", "p\u0061y", "+pay", "pay%0a", "pay%00", "login%00", "l%6fgin", "Login", "login+", `\login`, `\pay`, "list", "", "1", "true", "log%26op%3Dpay", "x;op=pay", "%2570ay", "pay%", "a=b", "%zz", "\uff50ay")
}

func (g grammar) form() string {
	var b strings.Builder
	for range 1 + g.IntN(5) {
		b.WriteString(g.name() + g.one("=", "=", "=", "=", "", "==", "%3D") + g.value() + g.one("&", "&", "&", "&", ";", "&&", "%26", ""))
	}
	return g.one("", "", "", "", "\ufeff", "&", "?") + b.String() + g.one("", "", "", "\r\n", "\n", "\x00")
}

func (g grammar) json(depth int) string {
	switch n := g.IntN(12); {
	case depth < 4 && n < 5 || depth == 0:
		var members []string
		for range g.IntN(4) {
			name := g.one("op", "op", "op", "OP", "Op", "o\\u0070", "op\\u0000", "a", "b", "x", "\u00f6p", "op ")
			members = append(members, `"`+name+`"`+g.one(":", ":", " : ", "")+g.json(depth+1))
		}
		return "{" + strings.Join(members, g.one(",", ",", ", ", ",\n", "/**/,")) + g.one("}", "}", "}", ",}", "")
	case depth < 4 && n < 7:
		return "[" + g.json(depth+1) + g.one("]", ","+g.json(depth+1)+"]", ",]")
	}
	return g.one(`"pay"`, `"pay"`, `"login"`, `"login"`, `"login"`, `"PAY"`, `"p\u0061y"`, `"log\u0069n"`, `"login "`, `"\ud800"`, `"pay\u0000"`, "true", "false", "null", "0", "1", "1e999", "-0.0", "NaN", "01", `'pay'`, "\"p\xffay\"")
}

func (g grammar) multipart() string {
	var b strings.Builder
	b.WriteString(g.one("", "", "", "", "pre\r\n", "\r\n", "\n"))
	for range 1 + g.IntN(4) {
		name := g.one(`name="op"`, `name="op"`, `name="op"`, `name=op`, `name='op'`, `name="OP"`, `name="op[]"`, `name="o\p"`, `NAME="op"`, `name*=utf-8''op`, `name*0="o"; name*1="p"`, `name="x"`, `name="x"; filename="op"`,
			`name="op"; filename="a"`, `name="op"; filename*=utf-8''a`, `filename="; name=op"; name="x"`, `name="x"; name="op"`)
		b.WriteString("--B" + g.one("\r\n", "\r\n", "\r\n", " \r\n", "\n") + g.one("", "", "X: y\r\n", "content-type: text/plain; charset=x\r\n", "Content-Transfer-Encoding: quoted-printable\r\n") +
			g.one("Content-Disposition: ", "content-disposition:", "Content-Disposition : ") + g.one("form-data; ", "form-data;", "form-data;\r\n ", "attachment; ") + name +
			g.one("\r\n\r\n", "\r\n\r\n", "\r\n\r\n", "\n\n") + g.one("pay", "login", "login", "login", "p=61y", "log=\r\nin", "PAY", "login\r\n", "") + g.one("\r\n", "\r\n", "\n"))
	}
	return b.String() + g.one("--B--\r\n", "--B--", "", "--B--\r\nop=pay")
}

// seenBy lists what judges that are not ours find under op: net/url, net/http,
// mime/multipart, and encoding/json into a map (the last of duplicates wins) and
// into a struct (case makes no difference). found is false where they find nothing
// or fail.
func seenBy(query, contentType, body string) (seen []string) {
	add := func(values ...string) { seen = append(seen, values...) }
	if v, _ := url.ParseQuery(query); v != nil {
		add(v["op"]...)
	}
	if v, _ := url.ParseQuery(strings.ReplaceAll(query, ";", "&")); v != nil {
		add(v["op"]...)
	}
	r := post(contentType, body)
	r.URL = &url.URL{Path: "/"}
	_ = r.ParseMultipartForm(1 << 20)
	add(r.PostForm["op"]...)
	if r.MultipartForm != nil {
		add(r.MultipartForm.Value["op"]...)
	}
	for _, text := range []string{body, strings.TrimPrefix(body, "\ufeff")} {
		var m map[string]any
		if json.Unmarshal([]byte(text), &m) == nil {
			if v, ok := m["op"].(string); ok {
				add(v)
			}
		}
		var s struct{ Op *string }
		if json.Unmarshal([]byte(text), &s); s.Op != nil {
			add(*s.Op)
		}
		d := json.NewDecoder(strings.NewReader(text)) // several in a row
		for {
			var v struct{ Op *string }
			if d.Decode(&v) != nil {
				break
			}
			if v.Op != nil {
				add(*v.Op)
			}
		}
	}
	return seen
}

// Random bodies from a grammar: whatever a judge finds, a rule that means it is no
// No, and a rule that exempts other values asks.
func TestS22RandomBodies(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := grammar{Rand: rand.New(rand.NewPCG(seed, 0))}
	means, exempts := formField(t, "op", "pay"), unless(t, formField(t, "op"), "login")
	meansJSON, exemptsJSON := jsonField(t, "/op", "pay"), unless(t, jsonField(t, "/op"), "login")
	certain := []*Field{formField(t, "op", "login"), jsonField(t, "/op", "login"), formField(t, "op", "log*")}
	asked, exempted, found, sure := 0, 0, 0, 0
	for n := range 20_000 {
		g.calm = n%2 == 0
		query, body := "", ""
		if g.IntN(2) == 0 {
			query = strings.TrimRight(g.form(), "\r\n\x00")
		}
		contentType := g.one(urlencoded, urlencoded, multiType, multiType, jsonType, jsonType, "json", "text/plain", "", urlencoded+"; charset=utf-8", "multipart/mixed; boundary=B", "application/octet-stream", "text/json")
		switch kind := contentType; {
		case g.IntN(8) == 0:
			body = g.one(g.form(), g.json(0), g.multipart()) // mislabelled
		case kind == multiType:
			body = g.multipart()
		case strings.Contains(kind, "json"), kind == "text/plain":
			body = g.json(0) + g.one("", "", "", "\n", " x", g.json(0))
		default:
			body = g.form()
		}
		if g.IntN(6) == 0 {
			body = ""
		}
		verdict := func(f *Field) Verdict {
			r := post(contentType, body)
			r.URL = &url.URL{Path: "/", RawQuery: query}
			p := NewPeek(r, 1<<16)
			return f.In(r, &p)
		}
		pos, neg, posJSON, negJSON := verdict(means), verdict(exempts), verdict(meansJSON), verdict(exemptsJSON)
		if neg == No || negJSON == No {
			exempted++
		} else {
			asked++
		}
		seen := seenBy(query, contentType, body)
		for _, f := range certain {
			r := post(contentType, body)
			r.URL = &url.URL{Path: "/", RawQuery: query}
			p := NewPeek(r, 1<<16)
			if f.InEvery(r, &p) != Yes {
				continue
			}
			sure++
			for _, v := range seen {
				if v != "login" && !(f.values[0].back && strings.HasPrefix(v, "log")) {
					t.Fatalf("seed %d, %d: ?%s %q %q: a judge finds %q, we are certain of %s", seed, n, query, contentType, body, v, f)
				}
			}
			_, malformed := url.ParseQuery(query + "&" + body) // judges of Go refuse the field, others take it
			if len(seen) == 0 && malformed == nil {
				t.Fatalf("seed %d, %d: ?%s %q %q: no judge finds the field, we are certain of %s", seed, n, query, contentType, body, f)
			}
		}
		for _, v := range seen {
			found++
			if v == "pay" && (pos == No || posJSON == No) {
				t.Fatalf("seed %d, %d: ?%s %q %q: a judge finds it, we do not", seed, n, query, contentType, body)
			}
			if v != "login" && (neg == No || negJSON == No) {
				t.Fatalf("seed %d, %d: ?%s %q %q: a judge finds %q, we exempt it", seed, n, query, contentType, body, v)
			}
		}
		if (neg == No || negJSON == No) && len(seen) == 0 {
			t.Fatalf("seed %d, %d: ?%s %q %q: no judge finds the field, we exempt it", seed, n, query, contentType, body)
		}
	}
	if exempted < 20 || found < 1000 || sure < 200 {
		t.Errorf("the grammar has become too wild: %d exempted, %d found, %d certain", exempted, found, sure)
	}
	t.Logf("%d asked, %d exempted, %d certain, judges found %d values", asked, exempted, sure, found)
}
