package records

import (
	"fmt"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// A remembered digest is the subject's own, also where many share few places, and
// where tenant and user are divided in another way.
func TestRememberedHolders(t *testing.T) {
	db := &DB{core: &core{lookup: [32]byte{1}, holders: newHolders()}}
	for range 2 {
		for i := range 3 * rememberedHolders {
			s := grants.Subject{Tenant: fmt.Sprint("t", i%3), User: fmt.Sprint("user", i)}
			if db.Holder(s) != db.holderOf(s) {
				t.Fatal(s)
			}
		}
	}
	same := map[grants.Holder]grants.Subject{}
	for _, s := range []grants.Subject{{Tenant: "a", User: "bc"}, {Tenant: "ab", User: "c"}, {User: "abc"}, {Tenant: "bc", User: "a"}, {Tenant: "a", User: "a"}, {Tenant: "b", User: "b"}} {
		h := db.Holder(s)
		if other, ok := same[h]; ok {
			t.Errorf("%v and %v are one", s, other)
		}
		same[h] = s
	}
	other := &DB{core: &core{lookup: [32]byte{2}, holders: newHolders()}}
	if s := (grants.Subject{Tenant: "a", User: "bc"}); other.Holder(s) == db.Holder(s) {
		t.Error("two databases have one digest")
	}
}

func TestRememberedHolderAllocatesNothing(t *testing.T) {
	db := &DB{core: &core{holders: newHolders()}}
	s := grants.Subject{Tenant: "default", User: "alice"}
	if n := testing.AllocsPerRun(100, func() { db.Holder(s) }); n != 0 {
		t.Error(n)
	}
}
