package nearest_test

import (
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

func TestOf(t *testing.T) {
	known := []string{"header", "jwt", "placeholder", "whoami"}
	for word, want := range map[string]string{
		"placholder": "placeholder", "palceholder": "placeholder", "PLACEHOLDER": "placeholder", "headers": "header", "hedaer": "header",
		"jwr": "jwt", "jtw": "jwt", "who_am_i": "whoami", "whoamI": "whoami",
		"": "", "x": "", "oracle": "", "guess": "", strings.Repeat("header", 20): "",
	} {
		if got := nearest.Of(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := nearest.OneOf("jwr", known); got != `did you mean "jwt"? There are header, jwt, placeholder, whoami` {
		t.Error(got)
	}
	if got := nearest.OneOf("oracle", known); got != "write one of header, jwt, placeholder, whoami" {
		t.Error(got)
	}
}
