package readings

import (
	"slices"
	"strings"
	"testing"
)

// A host has as many names as DNS, browsers and applications know.
func TestS06Hosts(t *testing.T) {
	for _, tt := range []struct {
		sent, further, want string // among them
		single              bool
	}{
		{"admin.test", "", "admin.test", true},
		{"ADMIN.test:8080", "", "ADMIN.test:8080", true},
		{"admin.test.", "", "admin.test", false},
		{"admin.test.:80", "", "admin.test:80", false},
		{"admin.test..", "", "admin.test", false},
		{"admin.test:80:90", "", "admin.test", false},
		{"admin.test:", "", "admin.test", false},
		{"x@admin.test", "", "admin.test", false},
		{"%61dmin.test", "", "admin.test", false},
		{"müller.test", "", "xn--mller-kva.test", false},
		{"m%C3%BCller.test", "", "xn--mller-kva.test", false},
		{"ａdmin.test", "", "admin.test", false},
		{"admin。test", "", "admin.test", false},
		{"xn--mller-kva.test", "", "xn--mller-kva.test", true},
		{"[::1]:80", "", "[::1]:80", false},
		{"other.test", "admin.test", "admin.test", true},
		{"other.test", "a.test, admin.test.", "admin.test", true},
		{"other.test", "https://admin.test/x", "admin.test", true},
	} {
		var further []string
		if tt.further != "" {
			further = []string{tt.further}
		}
		got, err := Hosts(tt.sent, further...)
		if err != nil || got[0] != tt.sent || !slices.Contains(got, tt.want) || SingleHost(tt.sent) != tt.single {
			t.Errorf("%q, %q: %q, %v, single %v", tt.sent, tt.further, got, err, SingleHost(tt.sent))
		}
		if tt.single && tt.further == "" && len(got) != 1 {
			t.Errorf("%q: %q", tt.sent, got)
		}
	}
	if _, err := Hosts("a", strings.Repeat("a.b,", 10)+"c,d,e,f,g,h,i,j,k"); err != ErrTooMany {
		t.Error(err)
	}
	if _, err := Hosts(strings.Repeat("a", 1000)); err != ErrTooMany {
		t.Error(err)
	}
}
