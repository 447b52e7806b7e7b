//go:build components

package judges

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// The grammar of bodies: a field that matters, or a member of a JSON object, among
// others, written in the ways that some parser or other reads; and then labeled
// as something else, put into another character set, compressed.
var (
	formTypes = []string{
		"application/x-www-form-urlencoded", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded",
		"Application/X-WWW-Form-Urlencoded", "application/x-www-form-urlencoded; charset=utf-8", "application/x-www-form-urlencoded;charset=UTF-16LE",
		"application/x-www-form-urlencoded; charset=utf-16", "application/x-www-form-urlencoded; charset=ibm037", "application/x-www-form-urlencoded; charset=utf-7",
		"application/x-www-form-urlencoded; charset=iso-8859-1", "application/x-www-form-urlencoded;", "application/x-www-form-urlencoded ; x", "application/x-www-form-urlencoded, text/plain",
		"text/plain, application/x-www-form-urlencoded", " application/x-www-form-urlencoded", "application/x-www-form-urlencoded\t", "application/x-www-form-urlencodedx",
		"application/x-www-form-urlencoded; charset=\"utf-8\"", "application/x-www-form-urlencoded; boundary=x",
	}
	jsonTypes = []string{
		"application/json", "application/json", "application/json", "application/json; charset=utf-8", "Application/JSON", "application/json;charset=utf-16", "application/json; charset=utf-16le",
		"application/json; charset=iso-8859-1", "application/json; charset=utf-32", "application/json; charset=utf-7", "application/vnd.api+json", "application/problem+json", "application/json5", "text/json", "json", "application/x-json",
		"application/json-rpc", "application/csp-report", "application/json ", "application/jsonx", "application/json, text/plain", "application/json;",
	}
	otherTypes = []string{
		"", "", "text/plain", "text/plain; charset=utf-8", "application/octet-stream", "text/xml", "application/xml", "application/soap+xml", "application/x-yaml", "text/yaml", "application/msgpack", "application/cbor",
		"text/html", "image/png", "multipart/mixed; boundary=b", "multipart/form-data", "multipart/form-data; boundary=b", "application/graphql", "a", "/", "*/*", "application/x-ndjson", "application/x-protobuf", "message/http", "null", "charset=utf-8", "application/pdf",
	}
	formValues = []string{"withdraw", "withdraw", "withdraw", "pay", "pay", "logout", "login", "view"}
	formNames  = []string{
		"op", "op", "op", "op", "op", "op", "op", "op", "op[]", "op[0]", "op[x]", "op[][]", "OP", "Op", " op", "op ", "+op", "%20op", "o%70", "%6f%70", "%6Fp", "op%00", "op%00x", "%00op", "\ufeffop", "op.x", "o.p", "[op]", "op[", "op]", "op%5b%5d", "op%5B0%5D", "op%20", "%09op", "op[$ne]", "op%ff", "%u006fp", "op[a][b]", "a[op]", "?op", "/op", "&op", ";op", "$op", "op;", "op%5B", "op+", "ｏp", "op\x00",
	}
	noise = []string{
		"a=b", "op=view", "op=view", "op=", "op", "=", "", "x=%", "x=%zz", "x=%u1", "x=%ff", "%", "op[]=view", "op.a=view", "_method=POST", "x[y]=z", "constructor=1", "__proto__[op]=withdraw", "__proto__=x", "x=\x00", "x=\xff", "op=login", "op=login", "hasOwnProperty=1", "_charset_=utf-16", "_charset_=ibm037", "utf8=%E2%9C%93",
	}
)

// body returns a request whose body, or query, is what is tried. The path is
// that of a rule which asks for it.
func (g generator) fielded(suffix string) request {
	r := request{method: g.of([]string{"POST", "POST", "POST", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "GET", "post"}), chunked: g.chance(8)}
	rpc := g.chance(35)
	var path string
	if rpc {
		path = g.of([]string{"/rpc", "/rpc", "/rpcneg"})
		r.body = g.json("method", g.of([]string{"torrent-remove", "torrent-remove", "torrent-remove", "torrent-get", "session-get", "torrent-set"}))
		r.label(g, jsonTypes)
	} else {
		path = g.of([]string{"/app", "/app", "/neg"})
		switch n := g.IntN(100); {
		case n < 40:
			r.body = []byte(g.form())
			r.label(g, formTypes)
		case n < 70:
			body, kind := g.multipart()
			r.body = []byte(body)
			r.label(g, []string{kind})
		case n < 88:
			r.body = g.json("op", g.of(formValues))
			r.label(g, jsonTypes)
		default:
			r.body = []byte(g.otherwise())
			r.label(g, otherTypes)
		}
	}
	r.target = path + suffix
	if g.chance(12) {
		r.target += "?" + strings.NewReplacer(" ", "+", "\x00", "%00", "\r", "", "\n", "").Replace(g.form())
		if g.chance(40) {
			r.body = nil
		}
	}
	if g.chance(4) {
		r.method = "GET"
	}
	g.encode(&r)
	return r
}

// label sets the Content-Type: the right one, a wrong one, none, or two.
func (r *request) label(g generator, right []string) {
	types := right
	if g.chance(20) {
		types = [][]string{formTypes, jsonTypes, otherTypes}[g.IntN(3)]
	}
	t := g.of(types)
	name := g.sometimes(5, "Content-Type", []string{"content-type", "CONTENT-TYPE", "Content-Type"})
	if g.chance(2) {
		r.set(name, g.of([][]string{formTypes, jsonTypes, otherTypes}[g.IntN(3)]))
	}
	if t != "" {
		r.set(name, t)
	}
	if g.chance(2) {
		r.set(name, g.of([][]string{formTypes, jsonTypes, otherTypes}[g.IntN(3)]))
	}
}

// form writes url-encoded fields.
func (g generator) form() string {
	var all []string
	for range g.IntN(3) {
		all = append(all, g.of(noise))
	}
	field := g.of(formNames) + "=" + g.value(g.of(formValues))
	switch g.IntN(40) { // names too, for servers that read the charset
	case 0:
		name, _ := charmap.CodePage037.NewEncoder().String("op")
		value, _ := charmap.CodePage037.NewEncoder().String(g.of(formValues))
		field = escaped([]byte(name)) + "=" + escaped([]byte(value))
	case 1:
		field = escaped(utf16LE("op")) + "=" + escaped(utf16LE(g.of(formValues)))
	}
	all = append(all, field)
	for range g.IntN(3) {
		all = append(all, g.of(noise))
	}
	var b strings.Builder
	for i, f := range all {
		if i > 0 {
			b.WriteString(g.sometimes(12, "&", []string{";", "&amp;", "&&", ",", "\n", "\r\n", "&\n", "%26", " & ", "\x00", "|"}))
		}
		b.WriteString(f)
	}
	s := b.String()
	if g.chance(4) {
		s = g.of([]string{"\ufeff", "?", "&", "\r\n", " ", "\x00", "#", ";"}) + s
	}
	if g.chance(4) {
		s += g.of([]string{"&", "\r\n", " ", "\x00", "#", ";", "%", "--"})
	}
	if g.chance(2) {
		s = strings.Repeat("a=b&", 1+g.IntN(1200)) + s
	}
	return s
}

// value writes a value url-encoded in some way.
func (g generator) value(s string) string {
	i := g.IntN(len(s))
	switch g.IntN(24) {
	case 0:
		return fmt.Sprintf("%s%%%02x%s", s[:i], s[i], s[i+1:])
	case 1:
		return escaped([]byte(s))
	case 2:
		return fmt.Sprintf("%s%%u00%02x%s", s[:i], s[i], s[i+1:])
	case 3:
		return strings.ToUpper(s)
	case 4:
		return g.of([]string{"+", "%20", " ", "%00", "%09", "\\", "%5c", "%0a", "%ef%bb%bf"}) + s
	case 5:
		return s + g.of([]string{"+", "%20", " ", "%00", "%09", "%0a", "\r\n", "%00x", ".", "&op=view", "#", "%"})
	case 6:
		return s[:i] + g.of([]string{"%00", "%e2%80%8b", "%c2%ad", "\x00", "%", "%80"}) + s[i:]
	case 7:
		return escaped(utf16LE(s))
	case 8:
		return fmt.Sprintf("%s%%25%02x%s", s[:i], s[i], s[i+1:])
	}
	return s
}

// multipart writes a form as parts, and returns what it is labeled.
func (g generator) multipart() (body, kind string) {
	boundary := g.of([]string{"b", "----WebKitFormBoundaryX", "b", "b b", "a'b", "=_x", "b:", "0", "b=c"})
	eol := g.sometimes(6, "\r\n", []string{"\n", "\r"})
	var b strings.Builder
	if g.chance(6) {
		b.WriteString(g.of([]string{"preamble\r\n", "\r\n", "\n", "--\r\n", "--b--\r\n", "\ufeff", " "}))
	}
	parts := []string{g.of(formNames)}
	for range g.IntN(3) {
		parts = append(parts, "")
	}
	g.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	for _, name := range parts {
		value := g.of([]string{"view", "x", "login", ""})
		if name == "" {
			name = g.of([]string{"a", "op", "op", "file", "_charset_"})
			if name == "_charset_" {
				value = g.of([]string{"utf-16", "ibm037", "utf-16le", "utf-7"})
			}
		} else {
			value = g.of(formValues)
		}
		b.WriteString("--" + boundary + g.sometimes(4, "", []string{" ", "\t", "x", "--"}) + eol)
		b.WriteString(g.disposition(name) + eol)
		if g.chance(15) {
			b.WriteString(g.of([]string{"Content-Type: text/plain", "Content-Type: text/plain; charset=utf-16", "Content-Type: text/plain; charset=ibm037", "Content-Type: application/octet-stream", "Content-Type: application/json", "Content-Type: multipart/mixed; boundary=c", "X: y", "Content-Type: text/plain;\r\n charset=utf-8", "Content-Length: 3"}) + eol)
		}
		switch {
		case g.chance(3):
			b.WriteString("Content-Transfer-Encoding: base64" + eol)
			value = base64.StdEncoding.EncodeToString([]byte(value))
		case g.chance(3):
			b.WriteString("Content-Transfer-Encoding: quoted-printable" + eol)
			value = strings.Replace(value, "w", "=77", 1)
		case g.chance(2):
			value = string(utf16LE(value))
		}
		b.WriteString(g.sometimes(2, eol, []string{"", " " + eol, eol + eol}) + value + eol)
	}
	b.WriteString("--" + boundary + g.sometimes(8, "--", []string{"", "-", "--x", "-- "}) + g.sometimes(10, eol, []string{"", "epilogue", "\r\n--b\r\n\r\n"}))
	quoted := boundary
	if strings.ContainsAny(boundary, " :='") || g.chance(20) {
		quoted = `"` + boundary + `"`
	}
	kind = "multipart/form-data; boundary=" + quoted
	if g.chance(15) {
		kind = g.of([]string{
			"multipart/form-data;boundary=" + quoted, "Multipart/Form-Data; Boundary=" + quoted, "multipart/form-data; boundary=x; boundary=" + quoted, "multipart/form-data; boundary=" + quoted + "; boundary=x",
			"multipart/form-data; charset=utf-8; boundary=" + quoted, "multipart/form-data; boundary=" + boundary + ",x", "multipart/form-data, boundary=" + quoted, "multipart/form-data; boundary*=utf-8''" + boundary, "multipart/form-data; boundary=" + quoted + ";",
			"multipart/form-data; boundary = " + quoted, "multipart/mixed; boundary=" + quoted, "multipart/form-data; xboundary=x; boundary=" + quoted, "multipart/x; boundary=" + quoted, "multipart/form-data; boundary=" + quoted + " ", `multipart/form-data; a="; boundary=x"; boundary=` + quoted, "multipart/form-data boundary=" + quoted, "multipart/form-databoundary=" + quoted, "multipart/form-data; boundary*0=" + boundary[:1] + "; boundary*1=" + boundary[1:], "multipart/form-data; charset=utf-16le; boundary=" + quoted,
		})
	}
	return b.String(), kind
}

// disposition names a part in the ways that parsers read.
func (g generator) disposition(name string) string {
	if !g.chance(30) {
		return `Content-Disposition: form-data; name="` + name + `"`
	}
	return fmt.Sprintf(g.of([]string{
		`content-disposition: form-data; name="%s"`, `Content-Disposition: form-data; name=%s`, `Content-Disposition:form-data;name="%s"`, `Content-Disposition: form-data; name='%s'`, `Content-Disposition: form-data; NAME="%s"`,
		`Content-Disposition: form-data; name="x"; name="%s"`, `Content-Disposition: form-data; name="%s"; name="x"`, `Content-Disposition: form-data; name*=utf-8''%s`, `Content-Disposition: form-data; name="x"; name*=utf-8''%s`, `Content-Disposition: form-data; name="%s"; filename="a.txt"`,
		`Content-Disposition: form-data; name="%s"; filename=""`, `Content-Disposition: form-data; filename="a"; name="%s"`, "Content-Disposition: form-data;\r\n name=\"%s\"", "Content-Disposition: form-data;\r\n\tname=\"%s\"", `Content-Disposition: attachment; name="%s"`, `Content-Disposition: name="%s"`, `Content-Disposition : form-data; name="%s"`, `Content-Disposition: form-data; name = "%s"`,
		`Content-Disposition: form-data; a="; name=x"; name="%s"`, `Content-Disposition: form-data; xname="x"; name="%s"`, `Content-Disposition: form-data; name="%s`, `Content-Disposition: form-data, name="%s"`, "X: y\r\nContent-Disposition: form-data; name=\"%s\"", "Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"%s\"", "Content-Disposition: form-data; name=\"%s\"\r\nContent-Disposition: form-data; name=\"x\"",
		`Content-Disposition: form-data; name="\%s"`, `Content-Disposition: form-data; name*0="o"; name*1="p"; x="%s"`, `Content-Disposition: form-data; name="=?utf-8?q?%s?="`, `Content-Type: text/plain; name="%s"`, `Content-Disposition: form-data; name="%s";`, `Content-Disposition: form-data; filename*=utf-8''x; name="%s"`,
	}), name)
}

// json writes an object with the member, in a way that some parser reads.
func (g generator) json(name, value string) []byte {
	key, val := g.quoted(name), g.quoted(value)
	switch g.IntN(30) {
	case 0:
		val = "[" + val + "]"
	case 1:
		val = g.of([]string{"true", "0", "1", "null", "{}", "[]", "1e400", "false", `{"toString":1}`, "-0", "NaN", `[[` + val + `]]`})
	case 2:
		val = `{"x":` + val + `}`
	}
	member := key + g.sometimes(10, ":", []string{" : ", "\n:\t", ":/**/", "=", "=>"}) + val
	harmless := `"` + name + `":"` + g.of([]string{"view", "login", "torrent-get", "session-get"}) + `"`
	all := []string{member}
	for range g.IntN(3) {
		all = append(all, g.of([]string{harmless, `"a":1`, `"b":{"` + name + `":"x"}`, `"c":[1,2,{"x":"y"}]`, `"d":"\ud800"`, `"":0`, `"__proto__":{` + member + `}`, `"n":1e999`, "\"e\":\"\xff\"", `"Method":"torrent-get"`, `"f":"` + strings.Repeat("x", g.IntN(5000)) + `"`}))
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	s := "{" + strings.Join(all, g.sometimes(6, ",", []string{" , ", "\n,", ",,", ";", "", ",//x\n"})) + "}"
	switch g.IntN(30) {
	case 0:
		s = "\ufeff" + s
	case 1:
		s = g.of([]string{" ", "\r\n\t", "\x00", ")]}',\n", "//x\n", "/**/", "#x\n", "\v", "\f", "\u00a0", "while(1);", "\x1e"}) + s
	case 2:
		s += g.of([]string{" ", "\x00", "{}", "\n{\"" + name + "\":\"view\"}", "garbage", "]", "}", ",", ";", "//x"})
	case 3:
		s = "[" + s + "]"
	case 4:
		s = s[:len(s)-1]
	case 5:
		s = s[:len(s)-1] + ",}"
	case 6:
		return utf16LE(g.sometimes(50, "", []string{"\ufeff"}) + s)
	case 7:
		b := utf16LE(g.sometimes(50, "", []string{"\ufeff"}) + s)
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
		return b
	case 8:
		var b []byte
		for _, r := range s {
			b = binary.LittleEndian.AppendUint32(b, uint32(r))
		}
		return b
	case 9:
		s = strings.ReplaceAll(s, `"`, "'")
	case 10:
		s = strings.Repeat(`{"x":`, 1+g.IntN(200)) + s
	case 11:
		s = `{"` + name + `":"view"}` + g.of([]string{"", "\n", " ", "\x1e"}) + s
	}
	return []byte(s)
}

// quoted writes a JSON string.
func (g generator) quoted(s string) string {
	i := g.IntN(len(s))
	switch g.IntN(16) {
	case 0:
		s = fmt.Sprintf(`%s\u%04x%s`, s[:i], s[i], s[i+1:])
	case 1:
		var b strings.Builder
		for j := range len(s) {
			fmt.Fprintf(&b, `\u%04X`, s[j])
		}
		s = b.String()
	case 2:
		s = g.of([]string{strings.ToUpper(s), strings.ToUpper(s[:1]) + s[1:], strings.NewReplacer("s", "ſ", "k", "K").Replace(s)})
	case 3:
		s = s[:i] + g.of([]string{`\x6f`, `\`, `\u0000`, "\x00", "\t", "\xff", "\u200b", `\ud800`, "\n", `\/`}) + s[i:]
	case 4:
		s = g.of([]string{" ", `\`, "\\u0000", "\ufeff"}) + s
	case 5:
		s += g.of([]string{" ", `\u0000`, `\n`, "\x00"})
	case 6:
		return s
	case 7:
		return "'" + s + "'"
	}
	return `"` + s + `"`
}

// otherwise writes the field as something that is no form.
func (g generator) otherwise() string {
	v := g.of(formValues)
	return strings.ReplaceAll(g.of([]string{
		"<r><op>%s</op></r>", `<?xml version="1.0"?><op>%s</op>`, `<!DOCTYPE r [<!ENTITY e "%s">]><r><op>&e;</op></r>`, "<op><![CDATA[%s]]></op>", "op: %s\n", "--- {op: %s}\n", "op: !!str %s", "? op\n: %s\n", "{op: %s}", "{\"op\": %s}", "op=%s", "op\t%s", "op,%s", "op: '%s'", "&a op: %s",
	}), "%s", v)
}

// encode compresses the body, or says so.
func (g generator) encode(r *request) {
	if !g.chance(7) || len(r.body) == 0 {
		return
	}
	var b bytes.Buffer
	name := g.of([]string{"gzip", "gzip", "deflate", "deflate", "x-gzip", "GZIP", "identity", "br", "gzip, gzip", "gzip,identity", "zstd", "compress", "x", "", "utf-8"})
	switch {
	case strings.EqualFold(name, "gzip"), name == "x-gzip", name == "gzip,identity", name == "gzip, gzip":
		w := gzip.NewWriter(&b)
		w.Write(r.body)
		w.Close()
	case name == "deflate" && g.chance(50):
		w := zlib.NewWriter(&b)
		w.Write(r.body)
		w.Close()
	case name == "deflate":
		w, _ := flate.NewWriter(&b, 6)
		w.Write(r.body)
		w.Close()
	default:
		b.Write(r.body)
	}
	r.body = b.Bytes()
	r.set("Content-Encoding", name)
}

func escaped(s []byte) string {
	var b strings.Builder
	for _, c := range s {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func utf16LE(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}
