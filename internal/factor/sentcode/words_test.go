package sentcode_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// Messages are in the languages of the pages, and say the same in each.
func TestMessagesAreInTheReadersLanguage(t *testing.T) {
	c := sentcode.Codes{Issuer: "Old Bank"}
	var all []string
	for _, l := range pages.Languages() {
		m := ceremony.Message{Code: "481632", Label: "{issuer} & Co", Lang: l.Tag}
		text := c.Sentence(m)
		for _, want := range []string{"481632", "Old Bank", "{issuer} & Co"} {
			if strings.Count(text, want) != 1 {
				t.Errorf("%s: %q has not %q once", l.Tag, text, want)
			}
		}
		if s := sentcode.Subject(m); s == "" || strings.Contains(s, m.Code) || l.Tag != "en" && s == "Your code" {
			t.Errorf("%s: the subject is %q", l.Tag, s)
		}
		m.Label = ""
		alone := c.Sentence(m)
		if strings.ContainsAny(alone, "{}") || !strings.Contains(alone, "481632") || !strings.Contains(alone, "Old Bank") {
			t.Errorf("%s: %q", l.Tag, alone)
		}
		all = append(all, text, alone, sentcode.Unasked(m))
	}
	if slices.Sort(all); len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Error("languages share sentences:", all)
	}
	english := c.Sentence(ceremony.Message{Code: "1", Lang: "en"})
	for _, lang := range []string{"", "tlh", "en-GB"} {
		if got := c.Sentence(ceremony.Message{Code: "1", Lang: lang}); got != english {
			t.Errorf("%s: %q", lang, got)
		}
	}
}
