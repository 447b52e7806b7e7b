package cookies_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
)

// Find finds what Get does, and strips what Strip does.
func FuzzFind(f *testing.F) {
	name := cookies.Grant("default", "ADMIN")
	own := name.On(true)
	for _, line := range []string{
		"", "a=1", own + "=v", "a=1; " + own + "=v", own + "=v; a=1", "a=1; " + own + "=v; b=2", "a=1;" + own + "=v ;step_up_x=2",
		" " + own + "=v", "a=1;\t" + own + "=v\t", own, own + "x=1", "x" + own + "=1", ";;" + own + "=v;", own + "=v;;", own + "=1; " + own + "=2",
		"a=" + own + "=v; " + own + "=w", "__Host-step_up_browser=b; " + own + "=v", "step_up_lang=de; " + own + "=v; theme=dark", "s; __Host-; " + own + "=",
		strings.Repeat("a=1; ", 20000) + own + "=v",
	} {
		f.Add(line, "")
		f.Add(line, "b=2; "+own+"=w")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		lines := []string{first}
		if second != "" {
			lines = append(lines, second)
		}
		for _, n := range []string{name.On(true), name.On(false), cookies.Browser.On(true)} {
			one, two := http.Header{"Cookie": slices.Clone(lines)}, http.Header{"Cookie": slices.Clone(lines)}
			want, _ := cookies.Get(one, n)
			cookies.Strip(one)
			found := cookies.Find(two, n)
			if found.Value != want {
				t.Errorf("%q in %q: %q, want %q", n, lines, found.Value, want)
			}
			if found.Strip(two); !slices.Equal(one["Cookie"], two["Cookie"]) {
				t.Errorf("%q: %q stays, want %q", lines, two["Cookie"], one["Cookie"])
			}
		}
	})
}

// What was changed since it was looked through is stripped all the same.
func TestFindStripsWhatIsThere(t *testing.T) {
	n := cookies.Browser.On(true)
	h := http.Header{"Cookie": {"a=1; " + n + "=v"}}
	found := cookies.Find(h, n)
	h["Cookie"] = []string{n + "=w; b=2"}
	if found.Strip(h); len(h["Cookie"]) != 1 || strings.TrimSpace(h["Cookie"][0]) != "b=2" {
		t.Errorf("%q", h["Cookie"])
	}
	none := cookies.Find(http.Header{}, n)
	if h := (http.Header{"Cookie": {n + "=w"}}); none.Value != "" {
		t.Error(none.Value)
	} else if none.Strip(h); len(h["Cookie"]) != 0 {
		t.Errorf("%q", h["Cookie"])
	}
}
