package readings

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func unless(t testing.TB, f *Field, harmless ...string) *Field {
	t.Helper()
	turned, err := f.Unless(harmless...)
	if err != nil {
		t.Fatal(err)
	}
	return &turned
}

// A negative list exempts what is certainly there once and harmless by the letter;
// whatever else an application might take for something asks.
func TestS22NegativeLists(t *testing.T) {
	form := unless(t, formField(t, "op"), "login", "a b", "x+y")
	rpc := unless(t, jsonField(t, "/method"), "session-get", "2", "true")
	deep := unless(t, jsonField(t, "/a/b/0/c"), "get")
	disposition := `Content-Disposition: form-data; `
	file := "--B\r\n" + disposition + `name="f"; filename="a b.png"` + "\r\nContent-Type: image/png\r\n\r\n\x89PNG\x00\r\n"
	for _, tt := range []struct {
		field                          *Field
		name, query, contentType, body string
		want                           Verdict
	}{
		// Honest and exempt.
		{form, "query", "op=login", "", "", No},
		{form, "query among others", "a=b&op=login&next=%2Fx%3Fa%3Db%26c", "", "", No},
		{form, "form", "", urlencoded, "op=login&user=eve&password=a%26b%3Dc%25;", No},
		{form, "form with a charset", "", urlencoded + "; charset=UTF-8", "op=login", No},
		{form, "query, and a form without", "op=login", urlencoded, "user=eve", No},
		{form, "query, and JSON without", "op=login", jsonType, `{"user":"eve"}`, No},
		{form, "plus for a space", "op=a+b", "", "", No},
		{form, "%20 for a space", "", urlencoded, "op=a%20b", No},
		{form, "escaped plus", "op=x%2By", "", "", No},
		{form, "multipart", "", multiType, part(disposition+`name="op"`, "login"), No},
		{form, "multipart with a file", "", multiType, file + part(disposition+`name="op"`, "login"), No},
		{rpc, "JSON", "", jsonType, `{"method":"session-get","arguments":{"fields":["id"]}}`, No},
		{rpc, "JSON, spaced", "", jsonType + "; charset=utf-8", " { \"method\" : \"session-get\" }\n", No},
		{rpc, "JSON, escaped", "", jsonType, `{"m\u0065thod":"session\u002dget"}`, No},
		{rpc, "bare type", "", "json", `{"method":"session-get"}`, No},
		{rpc, "text/plain", "", "text/plain;charset=UTF-8", `{"method":"session-get"}`, No},
		{rpc, "number", "", jsonType, `{"method":2}`, No},
		{rpc, "word", "", jsonType, `{"method":true}`, No},
		{rpc, "elsewhere too", "", jsonType, `{"method":"session-get","x":{"method":"torrent-remove"}}`, No},
		{deep, "deep", "", jsonType, `{"a":{"b":[{"c":"get"},{"c":"remove"}]}}`, No},

		// Certainly another value, or none.
		{form, "absent", "", "", "", Yes},
		{form, "absent, with a form", "x=y", urlencoded, "user=eve", Yes},
		{form, "another", "op=delete", "", "", Yes},
		{form, "another, in the form", "", urlencoded, "op=delete", Yes},
		{form, "empty", "op=", "", "", Yes},
		{rpc, "absent", "", jsonType, `{"id":1}`, Yes},
		{rpc, "no body", "", "", "", Yes},
		{rpc, "another", "", jsonType, `{"method":"torrent-remove"}`, Yes},

		// Doubtful.
		{form, "twice", "op=login&op=login", "", "", CannotTell},
		{form, "twice, different", "op=login&op=delete", "", "", CannotTell},
		{form, "in query and form", "op=login", urlencoded, "op=delete", CannotTell},
		{form, "in query and form, the same", "op=login", urlencoded, "op=login", CannotTell},
		{form, "in query and JSON", "op=login", jsonType, `{"op":"delete"}`, CannotTell},
		{form, "in query and JSON, nested", "op=login", jsonType, `[{"OP":["delete"]}]`, CannotTell},
		{form, "in query and multipart", "op=login", multiType, part(disposition+`name="op"`, "delete"), CannotTell},
		{form, "in JSON alone", "", jsonType, `{"op":"login"}`, CannotTell},
		{form, "case of the value", "op=Login", "", "", CannotTell},
		{form, "case of the name", "OP=login", "", "", CannotTell},
		{form, "case of a second name", "op=login&OP=delete", "", "", CannotTell},
		{form, "array", "op[]=login", "", "", CannotTell},
		{form, "array beside", "op=login&op[]=delete", "", "", CannotTell},
		{form, "escaped array beside", "op=login&op%5bx%5d=delete", "", "", CannotTell},
		{form, "namespace", `op=\login`, "", "", CannotTell},
		{form, "slash", "op=/login", "", "", CannotTell},
		{form, "space behind", "op=login+", "", "", CannotTell},
		{form, "space before", "op=%20login", "", "", CannotTell},
		{form, "NUL", "op=login%00", "", "", CannotTell},
		{form, "NUL and more", "op=login%00/../delete", "", "", CannotTell},
		{form, "long s", "op=login&o%C5%BFp=1&op%00=delete", "", "", CannotTell},
		{form, "fullwidth", "op=%EF%BD%8Cogin", "", "", CannotTell},
		{form, "escaped without need", "op=log%69n", "", "", CannotTell},
		{form, "escaped name", "%6fp=login", "", "", CannotTell},
		{form, "escaped twice", "op=log%2569n", "", "", CannotTell},
		{form, "semicolon behind", "op=login;x=1", "", "", CannotTell},
		{form, "semicolon in front", "x=1;op=login", "", "", CannotTell},
		{form, "semicolon and another", "op=login&x=1;op=delete", "", "", CannotTell},
		{form, "escaped separator", "op=login&x=%26op%3Ddelete", "", "", CannotTell},
		{form, "escaped twice, separator", "op=login&x=%2526op%253Ddelete", "", "", CannotTell},
		{form, "BOM", "", urlencoded, "\ufeffop=login", CannotTell},
		{form, "text/plain", "", "text/plain", "op=login", CannotTell},
		{form, "no type", "", "", "op=login", CannotTell},
		{form, "mislabelled", "", jsonType, "op=login", CannotTell},
		{form, "query, and XML", "op=login", "application/xml", "<op>delete</op>", CannotTell},
		{form, "query, and YAML that says to be a form", "op=login", urlencoded, "op: delete", CannotTell},
		{form, "query, and XML that says to be a form", "op=login", urlencoded, "<op>delete</op>", CannotTell},
		{form, "query, and MessagePack that says to be a form", "op=login", urlencoded, "\x81\xa2op\xa6delete", CannotTell},
		{form, "compressed charset", "op=login", urlencoded + ";charset=utf-16", "o\x00p\x00", CannotTell},
		{form, "too many fields", "op=login" + strings.Repeat("&a=b", 600), "", "", CannotTell},
		{form, "too long", "op=login", urlencoded, strings.Repeat("a=b&", 300), CannotTell},
		{form, "multipart, twice", "", multiType, "--B\r\n" + disposition + "name=\"op\"\r\n\r\nlogin\r\n" + part(disposition+`name="op"`, "login"), CannotTell},
		{form, "multipart, line behind", "", multiType, part(disposition+`name="op"`, "login\r\n"), CannotTell},
		{form, "multipart, as a file", "", multiType, part(disposition+`name="op"; filename="x"`, "login"), CannotTell},
		{form, "multipart, file's name", "", multiType, part(disposition+`name="op"`, "login") + part(disposition+`name="x"; filename="op"`, "y"), CannotTell},
		{form, "multipart, encoded", "", multiType, part(disposition+"name=\"op\"\r\nContent-Transfer-Encoding: base64", "login"), CannotTell},
		{form, "multipart, another header", "", multiType, part(disposition+"name=\"op\"\r\nX: y", "login"), CannotTell},
		{form, "multipart, name*", "", multiType, part(disposition+`name*=utf-8''op`, "login"), CannotTell},
		{form, "multipart, two names", "", multiType, part(disposition+`name="op"; name="x"`, "login"), CannotTell},
		{form, "multipart, in the preamble", "", multiType, disposition + "name=\"op\"\r\n\r\ndelete\r\n" + part(disposition+`name="op"`, "login"), CannotTell},
		{form, "multipart, related", "", "multipart/related; boundary=B", part(disposition+`name="op"`, "login"), CannotTell},
		{form, "multipart, other boundary", "", "multipart/form-data; boundary=C", part(disposition+`name="op"`, "login"), CannotTell},
		{rpc, "in a batch", "", jsonType, `[{"method":"session-get"}]`, CannotTell},
		{rpc, "twice", "", jsonType, `{"method":"session-get","method":"session-get"}`, CannotTell},
		{rpc, "twice, different", "", jsonType, `{"method":"session-get","method":"torrent-remove"}`, CannotTell},
		{rpc, "twice, by case", "", jsonType, `{"method":"session-get","Method":"torrent-remove"}`, CannotTell},
		{rpc, "twice, NUL", "", jsonType, `{"method":"session-get","method\u0000x":"torrent-remove"}`, CannotTell},
		{rpc, "case", "", jsonType, `{"Method":"session-get"}`, CannotTell},
		{rpc, "underscore", "", jsonType, `{"method":"session_get"}`, CannotTell},
		{rpc, "space", "", jsonType, `{"method":"session-get "}`, CannotTell},
		{rpc, "array", "", jsonType, `{"method":["session-get"]}`, CannotTell},
		{rpc, "object", "", jsonType, `{"method":{"x":"session-get"}}`, CannotTell},
		{rpc, "two values", "", jsonType, `{"method":"session-get"} {"x":1}`, CannotTell},
		{rpc, "two values, another", "", jsonType, `{"method":"session-get"} {"method":"torrent-remove"}`, CannotTell},
		{rpc, "number in another spelling", "", jsonType, `{"method":2.0}`, CannotTell},
		{rpc, "comment", "", jsonType, `{"method":"session-get"/**/}`, CannotTell},
		{rpc, "BOM", "", jsonType, "\ufeff" + `{"method":"session-get"}`, CannotTell},
		{rpc, "as a form", "", urlencoded, `{"method":"session-get"}`, CannotTell},
		{rpc, "no type", "", "", `{"method":"session-get"}`, CannotTell},
		{rpc, "YAML", "", "application/yaml", `{"method":"session-get","<<":{"method":"x"}}`, CannotTell},
		{rpc, "in the query alone", "method=session-get", "", "", CannotTell},
		{rpc, "in the query too", "method=torrent-remove", jsonType, `{"method":"session-get"}`, CannotTell},
		{rpc, "in the query too, with a subscript", "method[x]=1", jsonType, `{"method":"session-get"}`, CannotTell},
		{deep, "parent twice", "", jsonType, `{"a":{"b":[{"c":"get"}]},"a":{}}`, CannotTell},
		{deep, "parent twice, by case", "", jsonType, `{"a":{"b":[{"c":"get"}],"B":1}}`, CannotTell},
		{deep, "array not named", "", jsonType, `{"a":[{"b":[{"c":"get"}]}]}`, CannotTell},
		{deep, "object for the array", "", jsonType, `{"a":{"b":{"c":"get"}}}`, CannotTell},
	} {
		r := post(tt.contentType, tt.body)
		r.URL = &url.URL{Path: "/", RawQuery: tt.query}
		v := in(t, tt.field, r, tt.body)
		// Which of the two that ask it is does not matter here.
		if ok := v == tt.want || v != No && tt.want != No; !ok {
			t.Errorf("%s %s: %d, want %d", tt.field, tt.name, v, tt.want)
		}
		if tt.want == Yes && v != Yes {
			t.Errorf("%s %s: the search goes on", tt.field, tt.name)
		}
		if tt.body == "" {
			continue
		}
		r = post(tt.contentType, tt.body)
		r.URL = &url.URL{Path: "/", RawQuery: tt.query}
		r.Header["Content-Encoding"] = []string{"gzip"}
		if v := in(t, tt.field, r, tt.body); v != CannotTell {
			t.Errorf("%s %s, compressed: %d", tt.field, tt.name, v)
		}
	}
	// The query before it was rewritten is a reading of its own.
	for queries, want := range map[[2]string]Verdict{
		{"op=login", "op=login"}: No, {"op=login&p=/x", "op=login"}: No, {"op=login", ""}: CannotTell, {"", "op=login"}: CannotTell,
		{"op=login", "op=delete"}: CannotTell, {"op=delete", "op=login"}: CannotTell, {"op=login", "op=login&OP=x"}: CannotTell, {"", ""}: Yes,
	} {
		r := request("GET", "/")
		r.URL = &url.URL{Path: "/", RawQuery: queries[0]}
		if v := form.In(r, new(Peek), queries[1]); v != want {
			t.Errorf("%q: %d, want %d", queries, v, want)
		}
	}
	r := request("GET", "/")
	r.URL = &url.URL{Path: "/x?op=delete", RawQuery: "op=login"}
	if v := form.In(r, new(Peek)); v == No {
		t.Error("a query in the path is not seen")
	}
}

func TestUnlessRefuses(t *testing.T) {
	f := formField(t, "op")
	for _, bad := range [][]string{{}, {"log*"}, {"*"}, {"login", "a*b"}} {
		if _, err := f.Unless(bad...); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := formField(t, "op", "pay").Unless("login"); err == nil {
		t.Error("both lists are taken")
	}
	for _, bad := range []string{"*", "**", "a*b", "**a", "a**", "*a*b*"} {
		if _, err := FormField("op", bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
		if _, err := JSONField("/op", bad); err == nil {
			t.Errorf("%q is taken in JSON", bad)
		}
	}
}

// A star is a prefix, a suffix or both, whatever stands before a language's first
// word.
func TestS22Stars(t *testing.T) {
	for _, tt := range []struct {
		want, value string
		is          bool
	}{
		{"delete*", "delete", true}, {"delete*", "deleteAll", true}, {"delete*", "DELETE_all", true}, {"delete*", " delete-all", true},
		{"delete*", `\deleteAll`, true}, {"delete*", "/deleteAll", true}, {"delete*", "undelete", false}, {"delete*", "delet", false}, {"delete*", "", false},
		{"delete*", "\u200bdelete", true}, {"delete*", "\uff24elete", true}, {"delete-*", "delete_all", true},
		{"mutation*", "mutation { x }", true}, {"mutation*", "\n\t mutation{x}", true}, {"mutation*", "\ufeffmutation", true}, {"mutation*", ", ,mutation", true},
		{"mutation*", "# query\n#\r\n  mutation M { x }", true}, {"mutation*", "query Q { mutation }", false}, {"mutation*", "# mutation", false},
		{"drop*", "/* x */ -- y\n(DROP TABLE", true}, {"drop*", ";drop", true}, {"drop*", "/* drop", false},
		{"*-remove", "torrent-remove", true}, {"*-remove", "Torrent_Remove \n", true}, {"*-remove", "remove", false}, {"*-remove", "torrent-removed", false},
		{"*-remove", "torrent-remove\x00x", true},
		{"*drop*", "x'; DROP TABLE", true}, {"*drop*", "drop", true}, {"*drop*", "dro", false},
		{"pref-users", "pref_users", true}, {"pref_users", `\pref-users`, true}, {"pref_users", `/\Pref_Users`, true}, {"pref_users", `"pref_users"`, true},
		{"pref_users", "pref_user", false}, {"pref_users", "\uff50ref_users", true}, {"pref_users", "pref\u200b_users", true}, {"pay", "p\u00e4y", false},
		{"insert", "\u0130nsert", true}, {"insert", "\u0131nsert", true}, {"task", "ta\u017f\u212a", true},
	} {
		if got := formField(t, "op", tt.want).wants(tt.value); got != tt.is {
			t.Errorf("%q for %q: %v", tt.value, tt.want, got)
		}
	}
}

// What is neither a form nor JSON is a match for every rule that asks for a field:
// some application finds it there.
func TestS22UnknownBodies(t *testing.T) {
	pay := map[string]string{
		"application/xml":                  "<op>pay</op>",
		"text/xml; charset=utf-8":          `<?xml version="1.0"?><op>pay</op>`,
		"application/soap+xml":             "<e:Envelope><op>pay</op></e:Envelope>",
		"application/yaml":                 "op: pay\n",
		"text/x-yaml":                      "{op: pay}",
		"application/x-msgpack":            "\x81\xa2op\xa3pay",
		"application/cbor":                 "\xa1bopcpay",
		"application/x-protobuf":           "\n\x03pay",
		"application/bson":                 "\x12\x00\x00\x00\x02op\x00\x04\x00\x00\x00pay\x00\x00",
		"application/grpc":                 "\x00\x00\x00\x00\x05\n\x03pay",
		"application/x-amf":                "\x00\x03\x00\x00\x00\x01\x00\x02op",
		"application/x-plist":              "<?xml version=\"1.0\"?><plist><dict><key>op</key><string>pay</string></dict></plist>",
		"application/x-apple-binary-plist": "bplist00\xd1\x01\x02RopSpay",
		"application/octet-stream":         "\x81\xa2op\xa3pay",
		"application/toml":                 "op = \"pay\"\n",
		"text/csv":                         "op\npay\n",
		"application/x-php-serialized":     `a:1:{s:2:"op";s:3:"pay";}`,
		"application/edn":                  "{:op :pay}",
		"application/graphql":              "mutation { pay }",
		"application/x-thrift":             "\x0b\x00\x01\x00\x00\x00\x03pay",
		"application/avro":                 "Obj\x01",
		"application/pdf":                  "%PDF-1.7",
		"image/png":                        "\x89PNG",
		"video/mp4":                        "\x00\x00\x00\x18ftyp",
		"text/html":                        "<p>",
		"text/plain":                       "op: pay",
		"":                                 "op: pay",
		"multipart/mixed; boundary=B":      "--B\r\n\r\n{\"op\":\"pay\"}\r\n--B--",
		"multipart/related; boundary=B":    "--B\r\nContent-Type: application/xop+xml\r\n\r\n<op>pay</op>\r\n--B--",
		"multipart/form-data":              "--B\r\n\r\n",
		multiType:                          "<op>pay</op>",
		urlencoded:                         "<op>pay</op>",
	}
	ask := func(contentType, body string) {
		t.Helper()
		for _, f := range []*Field{formField(t, "op", "pay"), jsonField(t, "/op", "pay"), formField(t, "other"), unless(t, formField(t, "op"), "list")} {
			if v := in(t, f, post(contentType, body), body); v == No {
				t.Errorf("%q %q: %s is not there", contentType, body, f)
			}
		}
		r := post(contentType, body)
		p := NewPeek(r, 1000)
		if _, certain := Show([]Field{*formField(t, "amount")}, r, &p); certain {
			t.Errorf("%q %q is shown", contentType, body)
		}
	}
	for contentType, body := range pay {
		ask(contentType, body)
		ask(urlencoded, body) // mislabelled
		ask(multiType, body)
		ask(jsonType, body)
		ask("", body)
		ask("text/plain", body)
	}
	for _, odd := range []string{"op pay", "a=b {op: pay}\nop: pay", "&a=b {op: pay}", "!a=b {op: pay}", "'op'='pay'", "[{]}", "\x00", "a=\x00", "a=\xff", "op:\tpay"} {
		ask(urlencoded, odd)
	}
	ask(multiType, part("Content-Disposition: form-data; name=\"data\"\r\nContent-Type: application/json", `{"op":"pay",}`))
	ask(multiType, part("Content-Disposition: form-data; name=\"data\"; filename=\"blob\"\r\nContent-Type: application/xml", `<op>pay</op>`))
	inPart := part("Content-Disposition: form-data; name=\"data\"; filename=\"blob\"\r\nContent-Type: application/json", `{"op":"pay"}`)
	if v := in(t, jsonField(t, "/op", "pay"), post(multiType, inPart), inPart); v != Yes {
		t.Error("JSON in a part:", v)
	}
	// An empty body of any type, and what browsers and libraries send, is told.
	for _, tt := range [][2]string{
		{"application/xml", ""}, {"image/png", ""}, {"", ""}, {"text/plain", ""}, {multiType, ""}, {urlencoded, ""},
		{urlencoded, "a=b&c=%E2%82%AC&d[]=e&d%5B%5D=f&g.h=1&_token=x%2By%3D&%24o=1&empty=&bare"},
		{urlencoded, "msg=hello world, {\"a\":1} <b>\u00e4</b>"}, {urlencoded + ";charset=UTF-8", "a=b"}, {urlencoded, "a=b&"}, {urlencoded, "__EVENTTARGET=ctl00%24x&x:y=1"},
		{urlencoded, `{"a":"list"}`}, {"text/plain;charset=UTF-8", `{"a":"list"}`}, {"text/plain", "a=b\r\n"}, {"", "a=b"},
		{"json", `{"a":"list"}`}, {"text/json", `[1]`}, {"application/x-json", `{}`}, {"application/json-rpc", `{"a":"list"}`}, {"application/vnd.api+json", `{}`},
		{"application/reports+json", `[{"type":"x"}]`}, {"application/csp-report", `{}`}, {"application/octet-stream", `{"a":1}`},
		{multiType, part(`Content-Disposition: form-data; name="f"; filename="x.png"`+"\r\nContent-Type: image/png", "\x89PNG\x00")},
		{"multipart/form-data; boundary=----WebKitFormBoundaryx", "------WebKitFormBoundaryx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n------WebKitFormBoundaryx--\r\n"},
	} {
		for _, f := range []*Field{formField(t, "op", "pay"), jsonField(t, "/op", "pay")} {
			if v := in(t, f, post(tt[0], tt[1]), tt[1]); v != No {
				t.Errorf("%q: %d for %s", tt, v, f)
			}
		}
	}
	r := post("application/xml", "")
	r.ContentLength = -1 // chunked, and nothing comes
	if v := in(t, formField(t, "op"), r, ""); v != No {
		t.Error("an empty chunked body:", v)
	}
}

// Those who compare without types take true for every text, and 0 for every text
// until PHP 8; those who bind to an enumeration take a number for a name.
func TestS22LooseTypes(t *testing.T) {
	for value, want := range map[string]Verdict{
		`true`: CannotTell, `0`: CannotTell, `-0.0e1`: CannotTell, `1`: CannotTell, `7`: CannotTell, `null`: CannotTell, `[true]`: CannotTell, `[[0]]`: CannotTell, `{"x":[null]}`: CannotTell,
		`false`: No, `"true"`: No, `"0"`: No, `"x"`: No, `[]`: No, `{}`: No, `["x"]`: No, `"pay"`: Yes, `[true,"pay"]`: Yes,
	} {
		body := `{"op":` + value + `}`
		for _, f := range []*Field{formField(t, "op", "pay"), jsonField(t, "/op", "pay", "remove*")} {
			if v := in(t, f, post(jsonType, body), body); v != want {
				t.Errorf("%s of %s: %d, want %d", body, f, v, want)
			}
		}
	}
	// A rule that names words or numbers means them.
	for body, want := range map[string]Verdict{`{"op":true}`: Yes, `{"op":false}`: No, `{"op":7}`: Yes, `{"op":8}`: No, `{"op":null}`: No} {
		if v := in(t, jsonField(t, "/op", "true", "7"), post(jsonType, body), body); v != want {
			t.Errorf("%s: %d, want %d", body, v, want)
		}
	}
}

// Headers of a part that say how its value is encoded may stand in front of its
// name: the random search found that they were not looked at there.
func TestS22PartEncodedBeforeItsName(t *testing.T) {
	for header, want := range map[string]Verdict{
		"Content-Transfer-Encoding: quoted-printable\r\n": CannotTell, "Content-Type: text/plain; charset=utf-16\r\n": CannotTell, "X: base64\r\n": No,
	} {
		body := part(header+`Content-Disposition: form-data; name="op"`, "p=61y")
		if v := in(t, formField(t, "op", "pay"), post(multiType, body), body); v != want {
			t.Errorf("%q: %d, want %d", header, v, want)
		}
	}
	// An override that is no text to one parser is one to another.
	for _, body := range []string{`{"_method":["delete"]}`, `{"_method":'delete'}`, `{"_method":{"a":"delete"}}`} {
		r := post(jsonType, body)
		m, err := MethodsOf(r, PeekForm(r, 1000))
		if err != nil || !m.CannotTell {
			t.Errorf("%s: %v, %v", body, m, err)
		}
	}
}

func ExampleField_Unless() {
	op, _ := FormField("op")
	op, _ = op.Unless("login", "logout")
	for _, query := range []string{"op=login", "op=delete", "op=Login", ""} {
		r := request("GET", "/")
		r.URL = &url.URL{Path: "/", RawQuery: query}
		fmt.Println(op.In(r, new(Peek)) == No)
	}
	// Output:
	// true
	// false
	// false
	// false
}
