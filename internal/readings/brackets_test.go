package readings

import (
	"net/http/httptest"
	"slices"
	"testing"
)

// qs, which is Express's, takes "[op]" for "op", and Rack "[op", "]op" and "op]"
// too: a name with brackets in front is the name.
func TestS22BracketsAroundNames(t *testing.T) {
	field, err := FormField("op", "pay")
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]Verdict{
		"[op]=pay": Yes, "%5Bop%5D=pay": Yes, "[op=pay": Yes, "]op=pay": Yes, "op]=pay": Yes, "[[op]]=pay": Yes, "[op][x]=pay": Yes, "[OP]=pay": Yes, "op[]=pay": Yes,
		"[opx]=pay": No, "x[op]=pay": No, "[]=pay": No, "[op]=view": No,
	} {
		r := httptest.NewRequest("GET", "/app?"+query, nil)
		if got := field.In(r, new(Peek)); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

// Parsers in C skip further question marks at the front of a query, and end it at a
// '#': "/app??op=pay#&op=login" is op=pay to PHP's own server.
func TestS22QueryMarks(t *testing.T) {
	for query, want := range map[string]string{
		"?op=pay#&op=login": "pay", "op=pay#": "pay", "??op=pay": "pay", "a=1&op=pay#x": "pay", "?op=login&op=pay": "pay",
	} {
		values, _ := QueryValues(query, "op")
		if !slices.Contains(values, want) {
			t.Errorf("%s: %q", query, values)
		}
	}
}
