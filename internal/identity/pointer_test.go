package identity_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

func TestParsePointer(t *testing.T) {
	for s, ok := range map[string]bool{
		"/user": true, "/": true, "/a/b": true, "/a~1b": true, "/m~0n": true, "/0": true, "/a//b": true,
		"": false, "user": false, "/~": false, "/~2": false, "/a~": false, "/\xff": false, "/\ufffd": false, "#/user": false,
		strings.Repeat("/a", 32): true, strings.Repeat("/a", 33): false,
	} {
		if _, err := identity.ParsePointer(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// The examples of RFC 6901 section 5, and what documents can have against being
// read.
func TestFind(t *testing.T) {
	const rfc = `{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}`
	for _, c := range []struct{ document, pointer, want string }{
		{rfc, "/foo", `["bar","baz"]`}, {rfc, "/foo/0", `"bar"`}, {rfc, "/", "0"}, {rfc, "/a~1b", "1"}, {rfc, "/c%d", "2"},
		{rfc, "/e^f", "3"}, {rfc, "/g|h", "4"}, {rfc, `/i\j`, "5"}, {rfc, `/k"l`, "6"}, {rfc, "/ ", "7"}, {rfc, "/m~0n", "8"},
		{rfc, "/foo/2", ""}, {rfc, "/foo/-", ""}, {rfc, "/foo/00", ""}, {rfc, "/foo/+1", ""}, {rfc, "/foo/bar", ""}, {rfc, "/foo/0/x", ""}, {rfc, "/Foo", ""},
		{`{"user":null}`, "/user/name", ""}, {`null`, "/user", ""}, {`"user"`, "/user", ""}, {`[]`, "/user", ""},
		{" {\n\"user\" : \"x\" }\n", "/user", `"x"`},
		{`{"\u0075ser":"x"}`, "/user", `"x"`},
		{`{"user":"x","user":"y"}`, "/user", "twice"},
		{`{"user":"x","\u0075ser":"x"}`, "/user", "twice"},
		{`{"user":null,"user":"y"}`, "/user", "twice"},
		{`{"other":1,"other":2,"user":"y"}`, "/user", `"y"`},
		{`{"user":"x"} {"user":"y"}`, "/user", "broken"}, {`{"user":"x"`, "/user", "broken"}, {"", "/user", "broken"},
		{"\ufeff{\"user\":\"x\"}", "/user", "broken"}, {"{\"user\":\"\xff\"}", "/user", "broken"}, {`{'user':'x'}`, "/user", "broken"},
		{strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "/0", "broken"},
	} {
		p, err := identity.ParsePointer(c.pointer)
		if err != nil {
			t.Fatal(err)
		}
		value, found, err := p.Find([]byte(c.document))
		got := string(value)
		switch {
		case errors.Is(err, identity.ErrTwice):
			got += "twice"
		case errors.Is(err, identity.ErrJSON):
			got += "broken"
		case err != nil || found != (got != ""):
			t.Errorf("%.60s at %s: %v, %v", c.document, c.pointer, found, err)
		}
		if got != c.want {
			t.Errorf("%.60s at %s: %s, want %s", c.document, c.pointer, got, c.want)
		}
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct {
		value, want string
		ok          bool
	}{
		{`"alice"`, "alice", true}, {`" alice "`, "alice", true}, {`"\u0061lice"`, "alice", true}, {"42", "42", true},
		{"9223372036854775807", "9223372036854775807", true},
		{"null", "", true}, {"false", "", true}, {"0", "", true}, {`""`, "", true}, {`"  "`, "", true}, {"[]", "", true}, {"{ }", "", true}, {"", "", true},
		{"true", "", false}, {"-1", "", false}, {"1.0", "", false}, {"1e3", "", false}, {"12345678901234567890", "", false},
		{`{"name":"alice"}`, "", false}, {`["alice"]`, "", false}, {`"\ud800"`, "", false}, {"-0", "", false},
	} {
		got, err := identity.Name(json.RawMessage(c.value))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %q, %v, want %q", c.value, got, err, c.want)
		}
	}
}

// What Find gives is what encoding/json has there, and is there once.
func FuzzFind(f *testing.F) {
	f.Add(`{"user":{"name":"alice"}}`, "/user/name")
	f.Add(`[1,{"a":null}]`, "/1/a")
	f.Add(`{"a":1,"a":2}`, "/a")
	f.Add(`{"a":{}}`, "/a/~0~1")
	f.Fuzz(func(t *testing.T, document, pointer string) {
		p, err := identity.ParsePointer(pointer)
		if err != nil {
			return
		}
		value, found, err := p.Find([]byte(document))
		if err != nil || !found {
			if value != nil {
				t.Errorf("%q at %q gave %q beside %v", document, pointer, value, err)
			}
			return
		}
		if !json.Valid(value) || !strings.Contains(document, string(value)) {
			t.Errorf("%q at %q gave %q", document, pointer, value)
		}
		var whole any
		if err := json.Unmarshal([]byte(document), &whole); err != nil {
			t.Errorf("%q is no JSON", document)
		}
		name, err := identity.Name(value)
		if err == nil && !utf8.ValidString(name) || err != nil && name != "" {
			t.Errorf("%q names %q, %v", value, name, err)
		}
	})
}
