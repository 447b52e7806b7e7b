//go:build components

package components

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/pages/pagestest"
)

// TestPagesAreValidHTML hands every page, in every language, to the checker of the
// HTML standard (validator.github.io). Its warnings are faults too.
func TestPagesAreValidHTML(t *testing.T) {
	dir := t.TempDir()
	check := func() (string, error) {
		said, err := exec.Command(program(t, "java"), "-jar", filepath.Join(clients(t), "node_modules/vnu-jar/build/dist/vnu.jar"), "--Werror", "--skip-non-html", dir).CombinedOutput()
		return string(said), err
	}
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name+".html"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong", []byte(`<!DOCTYPE html><html lang="en"><title>A page</title><p id="a">One<p id="a">Two`))
	if said, err := check(); err == nil {
		t.Fatalf("the checker finds nothing: %s", said)
	}
	if err := os.Remove(filepath.Join(dir, "wrong.html")); err != nil {
		t.Fatal(err)
	}
	for _, l := range pages.Languages() {
		for _, s := range pagestest.Samples(pagestest.Everyday(l.Tag)) {
			w := httptest.NewRecorder()
			pages.Render(w, 200, s.View)
			write(fmt.Sprintf("%s-%s", s.Name, l.Tag), w.Body.Bytes())
		}
	}
	if said, err := check(); err != nil {
		t.Errorf("%v: %.4000s", err, said)
	}
}
