package coverage

import "testing"

// TestS06Mask: dots and empty segments become segments that cleaning leaves alone.
func TestS06Mask(t *testing.T) {
	for path, want := range map[string]string{
		"/a/../b/./c": "/a/._/b/_/c", "//a//": "/_/a/_/", "/a/": "/a/", "/..a/.b": "/..a/.b", "/..": "/._", "/": "/",
	} {
		if got := mask(path); got != want {
			t.Errorf("mask(%q) = %q, want %q", path, got, want)
		}
	}
}
