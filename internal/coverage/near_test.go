package coverage

import (
	"slices"
	"testing"
)

func TestNeighbors(t *testing.T) {
	for path, want := range map[string][]string{
		"/":             nil,
		"/a":            nil,
		"/a/":           nil,
		"/.env":         nil,
		"/a/..":         nil,
		"/a.json":       {"/a"},
		"/a.":           {"/a"},
		"/a.b.c":        {"/a.b", "/a"},
		"/.a.b":         {"/.a"},
		"/a/.._b":       nil,
		"/a/...b.c":     {"/a/...b"},
		"/a/....":       nil,
		"/index.html":   {"/index", "/"},
		"/x/index":      {"/x/", "/x"},
		"/x/INDEX.PHP5": {"/x/INDEX", "/x/", "/x"},
		"*":             nil,
		"":              nil,
	} {
		if got := neighbors(nil, "GET", path, false); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
	if got := neighbors(nil, "GET", "/a/", true); !slices.Contains(got, "/a/index.php") || len(got) != 15 {
		t.Errorf("a folder: %q", got)
	}
}
