package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t testing.TB, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// full has every member set.
func full() Entry {
	var e Entry
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int:
			f.SetInt(3)
		case reflect.Uint64:
			f.SetUint(4)
		}
	}
	e.Time, e.Actor, e.TornDigest = time.Unix(1_800_000_000, 0).UTC(), "operator", strings.Repeat("0", 64)
	return e
}

// The schema describes every member, and lines satisfy it.
func TestSchema(t *testing.T) {
	s := schema(t)
	l, whole, err := next(Head{}, full())
	if err != nil {
		t.Fatal(err)
	}
	l.erase()
	erased, _ := l.text()
	for _, text := range append(chain(t, 2), whole, erased) {
		if err := validate(t, s, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, bad := range []string{`{}`, `{"v":2}`, strings.Replace(string(whole), `"actor":"operator"`, `"actor":"ghost"`, 1), strings.Replace(string(whole), `"event"`, `"evnt"`, 1)} {
		if validate(t, s, []byte(bad)) == nil {
			t.Errorf("%s: taken", bad)
		}
	}
}

// What is written to other outputs is what JSON has.
func TestFieldsAreThoseOfJSON(t *testing.T) {
	e := full()
	text, err := marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]any)
	for _, f := range e.Fields() {
		fields[f.Name] = f.Value
	}
	text, _ = json.Marshal(fields)
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if long := (Entry{User: strings.Repeat("€", 400)}); len(long.User) > maxText {
		if long.bound(); len(long.User) != 510 {
			t.Errorf("a long name is cut to %d bytes", len(long.User))
		}
	}
}
