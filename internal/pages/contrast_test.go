package pages_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/color"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/pages/pagestest"
)

// rule is one of the style sheet, with the properties that give colors.
type rule struct {
	selector string
	declared map[string]string
}

// rules are those of a style sheet for screens, without the blocks that set the
// custom properties.
func rules(t *testing.T, sheet string) []rule {
	t.Helper()
	sheet = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(sheet, "")
	// What is printed is black on white, and forced colors are the person's.
	sheet = regexp.MustCompile(`(?s)@media (?:print|\(forced-colors: active\)) \{.*?\n\}`).ReplaceAllString(sheet, "")
	var all []rule
	for _, m := range regexp.MustCompile(`([^{}]+)\{([^{}]*)\}`).FindAllStringSubmatch(sheet, -1) {
		r := rule{strings.Join(strings.Fields(m[1]), " "), map[string]string{}}
		for d := range strings.SplitSeq(m[2], ";") {
			if name, value, ok := strings.Cut(d, ":"); ok {
				r.declared[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
		if r.selector != ":root" {
			all = append(all, r)
		}
	}
	if len(all) < 50 {
		t.Fatalf("%d rules", len(all))
	}
	return all
}

// schemes are the custom properties that are colors, by day and by night.
func schemes(t *testing.T) (day, night map[string]color.RGB) {
	t.Helper()
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(pages.StyleSheet, 2)
	if len(blocks) != 2 {
		t.Fatal("no two schemes")
	}
	day = map[string]color.RGB{}
	read := func(into map[string]color.RGB, block string) {
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]+);`).FindAllStringSubmatch(block, -1) {
			hex := m[2]
			if len(hex) == 4 {
				hex = "#" + strings.Repeat(hex[1:2], 2) + strings.Repeat(hex[2:3], 2) + strings.Repeat(hex[3:4], 2)
			}
			c, err := color.Parse(hex)
			if err != nil {
				t.Fatal(err)
			}
			into[m[1]] = c
		}
	}
	read(day, blocks[0][1])
	night = maps.Clone(day)
	read(night, blocks[1][1])
	return day, night
}

var custom = regexp.MustCompile(`var\(--([a-z-]+)\)`)

// TestEveryTextIsReadableOnItsGround computes the contrast of all that the style
// sheet may put on each other (WCAG 2.2, 1.4.3 and 1.4.11): a rule with text and
// ground; one with text alone, on each ground that it may stand on; one with a
// ground alone, with each text that may stand there; edges of what is filled in or
// pressed.
func TestEveryTextIsReadableOnItsGround(t *testing.T) {
	name := func(value string) string {
		if m := custom.FindStringSubmatch(value); m != nil {
			return m[1]
		}
		return ""
	}
	grounds := []string{"sheet", "tint"}
	texts, shapes := map[[2]string]string{}, map[[2]string]string{}
	for _, r := range rules(t, pages.StyleSheet) {
		text, ground := r.declared["color"], r.declared["background"]
		on := grounds
		switch {
		case strings.HasPrefix(r.selector, "header svg"): // beside the name
			shapes[[2]string{name(text), "sheet"}] = r.selector
			continue
		case r.selector == ".logo":
			continue
		case name(ground) != "":
			on = []string{name(ground)}
		}
		switch {
		case name(text) != "":
			for _, g := range on {
				texts[[2]string{name(text), g}] = r.selector
			}
		case name(ground) != "":
			for _, inherited := range []string{"text", "soft", "link"} {
				texts[[2]string{inherited, name(ground)}] = r.selector
			}
		}
		for property, value := range r.declared {
			if edge := name(value); (strings.HasPrefix(property, "border") || property == "outline") && edge != "line" && edge != "" {
				shapes[[2]string{edge, "sheet"}] = r.selector
			}
			if slices.Contains([]string{"color", "background", "border", "border-color", "outline", "accent-color"}, property) && regexp.MustCompile(`#|rgb|hsl`).MatchString(value) {
				t.Errorf("%s has a colour that the schemes do not know: %s: %s", r.selector, property, value)
			}
			if property == "opacity" || property == "filter" {
				t.Errorf("%s changes colours by %s, which is not reckoned with", r.selector, property)
			}
		}
	}
	if len(texts) < 12 || len(shapes) < 3 {
		t.Fatalf("few pairs: %v %v", texts, shapes)
	}
	day, night := schemes(t)
	branded := pagestest.Samples(pagestest.Everyday("en"))
	i := slices.IndexFunc(branded, func(s pagestest.Sample) bool { return s.Name == "challenge-branded" })
	accents := branded[i].View.(pages.Challenge).Brand.Accent
	with := func(scheme map[string]color.RGB, s color.Scheme) map[string]color.RGB {
		scheme = maps.Clone(scheme)
		scheme["accent"], scheme["on-accent"], scheme["link"] = s.Accent, s.OnAccent, s.Link
		return scheme
	}
	for scheme, colors := range map[string]map[string]color.RGB{
		"day": day, "night": night, "day with a brand": with(day, accents.Light), "night with a brand": with(night, accents.Dark),
	} {
		for least, pairs := range map[float64]map[[2]string]string{color.MinText: texts, color.MinShape: shapes} {
			for pair, selector := range pairs {
				a, known := colors[pair[0]]
				b, knownToo := colors[pair[1]]
				if !known || !knownToo {
					t.Errorf("%s: %v are not both colours", selector, pair)
				} else if got := color.Contrast(a, b); got < least {
					t.Errorf("%s, %s: --%s on --%s has a contrast of %.2f, and needs %.1f", scheme, selector, pair[0], pair[1], got, least)
				}
			}
		}
	}
}

// TestAccentsStandOnTheSheetsColors holds the grounds that package color
// reckons with against the style sheet.
func TestAccentsStandOnTheSheetsColours(t *testing.T) {
	day, night := schemes(t)
	for _, c := range []struct {
		in   map[string]color.RGB
		name string
		want color.RGB
	}{
		{day, "sheet", color.LightPage}, {day, "tint", color.LightTint},
		{night, "sheet", color.DarkPage}, {night, "tint", color.DarkTint},
	} {
		if got := c.in[c.name]; got != c.want {
			t.Errorf("--%s is %s, and accents are made for %s", c.name, got, c.want)
		}
	}
}
