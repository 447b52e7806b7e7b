package readings

import (
	"net/http/httptest"
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
