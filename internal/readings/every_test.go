package readings

import (
	"strings"
	"testing"
)

func inEvery(t *testing.T, f *Field, contentType, query, body string) Verdict {
	t.Helper()
	r := post(contentType, body)
	r.URL.RawQuery = query
	p := NewPeek(r, 1000)
	v := f.InEvery(r, &p)
	// What every reading has some have, and what none has none.
	p = NewPeek(post(contentType, body), 1000)
	if some := f.In(r, &p); (some == No) != (v == No) || v == Yes && some != Yes {
		t.Errorf("%s ?%s %s: in every reading %d, in some %d", f, query, body, v, some)
	}
	return v
}

// Where a field has another value too, in another place or to another reader, it is
// not certain which one the application takes.
func TestS22FieldInEveryReading(t *testing.T) {
	const urlencoded = "application/x-www-form-urlencoded"
	batch := func(elements ...string) string { return "[" + strings.Join(elements, ",") + "]" }
	named := func(name, value string) string {
		return "--B\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	for _, tt := range []struct {
		kind, query, body string
		want              Verdict
	}{
		{urlencoded, "", "op=view", Yes},
		{urlencoded, "", "op=view&a=b&op=view", Yes},
		{urlencoded, "op=view", "op=view", Yes},
		{"", "op=view", "", Yes},
		{urlencoded, "op=view", "a=b", Yes},
		{jsonType, "op=view", `{"a":"b"}`, Yes},
		{urlencoded, "", "a=b", No},
		{urlencoded, "", "op=pay", No},
		{multiType, "", named("a", "b") + named("op", "view") + "--B--\r\n", Yes},
		{jsonType, "", `{"op":"view"}`, Yes},
		{jsonType, "", `{"\u006fp":"view"}`, Yes},
		{jsonType, "", batch(`{"op":"view"}`, `{"op":"view"}`), Yes},
		{jsonType, "", `[]`, No},

		{urlencoded, "", "op=view&op=pay", CannotTell},
		{urlencoded, "", "op=pay&op=view", CannotTell},
		{urlencoded, "", "op=view&op=", CannotTell},
		{urlencoded, "", "op=view&op", CannotTell},
		{urlencoded, "", "op[]=view&op[]=pay", CannotTell},
		{urlencoded, "", "op[]=view", CannotTell},
		{urlencoded, "", "op[a]=view&op[b]=pay", CannotTell},
		{urlencoded, "", "op=view&OP=pay", CannotTell},
		{urlencoded, "", "OP=view", CannotTell},
		{urlencoded, "", "op=VIEW", CannotTell},
		{urlencoded, "", "op=view%20", CannotTell},
		{urlencoded, "", "op=view%00", CannotTell},
		{urlencoded, "", "op=%2576iew", CannotTell},
		{urlencoded, "", "op=%u0076iew", CannotTell},
		{urlencoded, "", "op=%76iew", Yes},
		{urlencoded, "", "op=view;op=pay", CannotTell},
		{urlencoded, "", "a=b;op=view", CannotTell},
		{urlencoded, "", "a=b%26op=view", No},
		{"", "a=b%26op=view", "", CannotTell},
		{"", "op=view&a=b%26op=pay", "", CannotTell},
		{"", "op=view&op=pay", "", CannotTell},
		{urlencoded, "op=view", "op=pay", CannotTell},
		{urlencoded, "op=pay", "op=view", CannotTell},
		{jsonType, "op=view", `{"op":"pay"}`, CannotTell},
		{"text/plain", "op=view", "op=pay", CannotTell},
		{"text/plain", "", `{"op":"view"}`, Yes},
		{"image/png", "", `{"op":"view"}`, CannotTell},
		{"application/xml", "op=view", "<op>pay</op>", CannotTell},
		{urlencoded, "op=view", strings.Repeat("x", 2000), CannotTell},
		{multiType, "", named("op", "view") + named("op", "pay") + "--B--\r\n", CannotTell},
		{multiType, "", named("op", "pay") + named("op", "view") + "--B--\r\n", CannotTell},
		{multiType, "op=view", named("op", "pay") + "--B--\r\n", CannotTell},
		{multiType, "", named("op[]", "view") + named("op[]", "pay") + "--B--\r\n", CannotTell},
		{jsonType, "", `{"op":"view","op":"pay"}`, CannotTell},
		{jsonType, "", `{"op":"pay","op":"view"}`, CannotTell},
		{jsonType, "", `{"op":["view","pay"]}`, CannotTell},
		{jsonType, "", `{"op":["view"]}`, CannotTell},
		{jsonType, "", `{"op":{"a":"view","b":"pay"}}`, CannotTell},
		{jsonType, "", `{"op":"view","Op":"pay"}`, CannotTell},
		{jsonType, "", batch(`{"op":"view"}`, `{"op":"pay"}`), CannotTell},
		{jsonType, "", batch(`{"op":"pay"}`, `{"op":"view"}`), CannotTell},
		{jsonType, "", batch(`{"op":"view"}`, `{"x":"pay"}`), CannotTell},
		{jsonType, "", batch(`{"op":"view"}`, `1`), CannotTell},
		{jsonType, "", batch(batch(`{"op":"view"}`)), CannotTell},
		{jsonType, "", `{"op":"view"} {"op":"pay"}`, CannotTell},
		{jsonType, "", `{"op":"view"} {"x":"pay"}`, CannotTell},
		{jsonType, "", "\ufeff" + `{"op":"view"}`, CannotTell},
	} {
		for _, f := range []*Field{formField(t, "op", "view", "look"), formField(t, "op", "view*"), jsonField(t, "/op", "view"), jsonField(t, "/op", "*view*")} {
			want := tt.want
			if v := inEvery(t, f, tt.kind, tt.query, tt.body); v != want && !(f.json && tt.kind == multiType && v == CannotTell) && !(f.values[0].back && v != No && want != No) {
				t.Errorf("%s %s of %q ?%s %q: %d, want %d", f, f.values[0].text, tt.kind, tt.query, tt.body, v, want)
			}
		}
	}
	// Deeper places, stars, and a field that must only be there.
	for _, tt := range []struct {
		f    *Field
		body string
		want Verdict
	}{
		{jsonField(t, "/a/op", "view"), `{"a":{"op":"view"}}`, Yes},
		{jsonField(t, "/a/op", "view"), `{"a":[{"op":"view"},{"op":"pay"}]}`, CannotTell},
		{jsonField(t, "/a/op", "view"), `{"a":{"op":"view"},"a":{}}`, CannotTell},
		{jsonField(t, "/a/op", "view"), batch(`{"a":{"op":"view"}}`, `{"a":{}}`), CannotTell},
		{jsonField(t, "/0/op", "view"), batch(`{"op":"view"}`, `{"op":"pay"}`), Yes}, // the first one's
		{jsonField(t, "/0/op", "view"), batch(`{"op":"pay"}`, `{"op":"view"}`), No},
		{jsonField(t, "/0/op", "view"), `{"0":{"op":"view"},"00":{"op":"pay"}}`, Yes},
		{jsonField(t, "/id", "1"), `{"id":1}`, Yes},
		{jsonField(t, "/id", "1"), `{"id":01}`, CannotTell},
		{jsonField(t, "/id", "1"), `{"id":1.0}`, CannotTell},
		{formField(t, "q", "query*"), `{"q":"query { a }"}`, Yes},
		{formField(t, "q", "query*"), `{"q":"  query { a }"}`, CannotTell},
		{formField(t, "q", "*end"), `{"q":"x\u0000end"}`, CannotTell},
		{formField(t, "sure"), `{"sure":{"a":1}}`, Yes},
		{formField(t, "sure"), `{"sure":1}`, Yes},
		{formField(t, "sure"), `{"Sure":1}`, CannotTell},
		{formField(t, "op", "pay-view"), `{"op":"pay_view"}`, CannotTell},
	} {
		if v := inEvery(t, tt.f, jsonType, "", tt.body); v != tt.want {
			t.Errorf("%s of %s: %d, want %d", tt.f, tt.body, v, tt.want)
		}
	}
}
