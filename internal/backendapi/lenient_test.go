package backendapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

func TestLenientBodies(t *testing.T) {
	str := func(s string) scalar { return scalar{text: s} }
	num := func(s string) scalar { return scalar{text: s, number: true} }
	for _, c := range []struct {
		body string
		want map[string]scalar // nil: refused
	}{
		{`{}`, map[string]scalar{}},
		{" {\n}\r\t ", map[string]scalar{}},
		{`{"type":"mfa"}`, map[string]scalar{"type": str("mfa")}},
		{"{\n    \"type\": \"mfa\",\n}", map[string]scalar{"type": str("mfa")}},
		{"{\n    \"token\": 021589,\n}", map[string]scalar{"token": num("021589")}},
		{`{"token":21589}`, map[string]scalar{"token": num("21589")}},
		{`{"token":0}`, map[string]scalar{"token": num("0")}},
		{`{"token":000000}`, map[string]scalar{"token": num("000000")}},
		{`{"token":"021589"}`, map[string]scalar{"token": str("021589")}},
		{`{"a":1,"b":"2",}`, map[string]scalar{"a": num("1"), "b": str("2")}},
		{`{"to\u006ben":"\u0031\n\"\\"}`, map[string]scalar{"token": str("1\n\"\\")}},

		{``, nil}, {`{`, nil}, {`}`, nil}, {`{,}`, nil}, {`{"a":1,,}`, nil}, {`{"a":1 "b":2}`, nil}, {`{"a"}`, nil}, {`{"a":}`, nil}, {`{"a":,}`, nil},
		{`{"a":1}{}`, nil}, {`{"a":1}x`, nil}, {`{"a":1},`, nil}, {`[]`, nil}, {`"a"`, nil}, {`1`, nil}, {`null`, nil},
		{`"type": "mfa",`, nil}, // braces are needed
		{`{"a":1,"a":1}`, nil}, {`{"a":1,"\u0061":1}`, nil}, {`{"a":1,"a":2,}`, nil},
		{`{"a":null}`, nil}, {`{"a":true}`, nil}, {`{"a":[]}`, nil}, {`{"a":{}}`, nil}, {`{"a":{"b":1}}`, nil},
		{`{"a":-1}`, nil}, {`{"a":+1}`, nil}, {`{"a":1.0}`, nil}, {`{"a":1e3}`, nil}, {`{"a":0x1}`, nil}, {`{"a":.1}`, nil}, {`{"a":1_0}`, nil}, {`{"a":٣}`, nil},
		{`{a:1}`, nil}, {`{'a':1}`, nil}, {`{"a":'1'}`, nil}, {`{/**/"a":1}`, nil}, {"{\"a\":1}//", nil}, {"{\"a\n\":1}", nil}, {"{\"a\":\"\x00\"}", nil},
		{`{"a":"\x"}`, nil}, {`{"a":"\`, nil}, {`{"a":"`, nil}, {`{"a":"\u12"}`, nil}, {"{\"a\":\"\xff\"}", nil}, {"\ufeff{}", nil}, {"{}\x00", nil}, {"{\u00a0}", nil},
		{`{"a":"` + strings.Repeat("a", maxBody) + `"}`, nil},
	} {
		got, err := scanLenient([]byte(c.body))
		if (err == nil) != (c.want != nil) || !maps.Equal(got, c.want) {
			t.Errorf("%.60q: %v, %v; want %v", c.body, got, err, c.want)
		}
	}
}

// FuzzLenient holds the scanner against encoding/json: what the two read they
// read alike, and what this reads beyond is told by leading zeros and last commas
// alone.
func FuzzLenient(f *testing.F) {
	for _, seed := range []string{`{}`, `{"token":021589,}`, `{"a":"b","c":10}`, `{"a":"\ud83d\ude00\ud800"}`, `{"a":1,"a":2}`, `{"a":[1]}`, ` { "a" : 0 , } `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := scanLenient(body)
		theirs, ok := plainObject(body)
		switch {
		case err != nil && ok:
			t.Fatalf("%q is refused and is JSON of the kind: %v", body, theirs)
		case err == nil && ok:
			if !maps.Equal(got, theirs) {
				t.Fatalf("%q: %v, encoding/json %v", body, got, theirs)
			}
		case err == nil:
			tidy, err := json.Marshal(asStrings(got))
			if err != nil {
				t.Fatal(err)
			}
			if again, err := scanLenient(tidy); err != nil || !maps.Equal(asStrings(again), asStrings(got)) {
				t.Fatalf("%q: %v, written anew %s: %v, %v", body, got, tidy, again, err)
			}
			if json.Valid(body) {
				t.Fatalf("%q is JSON of another kind, and is read as %v", body, got)
			}
		}
	})
}

func asStrings(in map[string]scalar) map[string]string {
	out := make(map[string]string)
	for name, v := range in {
		out[name] = v.text
	}
	return out
}

// plainObject is scanLenient for JSON, by encoding/json.
func plainObject(body []byte) (map[string]scalar, bool) {
	// Text that is not UTF-8 encoding/json mends, and repeated names it lets
	// through: neither is read here.
	if len(body) > maxBody || !json.Valid(body) || !bytes.Equal(bytes.ToValidUTF8(body, nil), body) {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if tok, _ := dec.Token(); tok != json.Delim('{') {
		return nil, false
	}
	out := make(map[string]scalar)
	for dec.More() {
		name, _ := dec.Token()
		key, _ := name.(string)
		if _, twice := out[key]; twice {
			return nil, false
		}
		switch v, _ := dec.Token(); v := v.(type) {
		case string:
			out[key] = scalar{text: v}
		case json.Number:
			if strings.Trim(v.String(), "0123456789") != "" {
				return nil, false
			}
			out[key] = scalar{text: v.String(), number: true}
		default:
			return nil, false
		}
	}
	return out, true
}
