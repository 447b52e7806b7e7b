package stores

import (
	"path/filepath"
	"regexp"
	"testing"
)

// The mark of the default directory is the same however that is written, and each
// other directory has one of its own.
func TestMarkDefault(t *testing.T) {
	usual, err := (&Badger{}).directory()
	if err != nil {
		t.Fatal(err)
	}
	of := func(b Badger) string {
		t.Helper()
		mark, err := b.markFile()
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(mark) != filepath.Dir(usual) {
			t.Errorf("%s lies elsewhere than beside %s", mark, usual)
		}
		return filepath.Base(mark)
	}
	for _, b := range []Badger{{dir: usual}, {Dir: usual, dir: usual}} {
		if mark := of(b); mark != "step_up.mark" {
			t.Error(mark)
		}
	}
	one, other := of(Badger{Dir: "x", dir: "/var/lib/one"}), of(Badger{Dir: "y", dir: "/var/lib/other"})
	if form := regexp.MustCompile(`^step_up-[0-9a-f]{8}\.mark$`); !form.MatchString(one) || !form.MatchString(other) || one == other {
		t.Error(one, other)
	}
	if mark, err := (&Badger{dir: usual, Mark: "off"}).markFile(); err != nil || mark != "" {
		t.Error(mark, err)
	}
}
