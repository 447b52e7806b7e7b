package pages

import (
	"slices"
	"strings"
)

// part is a piece of the script, and the attributes without which a page has no
// use for it; none: every page with a script has it.
type part struct {
	attributes []string
	text       string
}

// scriptParts are those of page.js, without comments and indentation. A part
// begins with a line "// For NAME..." that names attributes, or "// For all".
var scriptParts = func() []part {
	all := []part{{}}
	for piece := range strings.Lines(scriptText) {
		names, begins := strings.CutPrefix(strings.TrimSpace(piece), "// For ")
		switch {
		case begins && names == "all":
			all = append(all, part{})
		case begins:
			all = append(all, part{attributes: strings.Fields(names)})
		default:
			all[len(all)-1].text += piece
		}
	}
	for n := range all {
		all[n].text = compact(all[n].text, "//", "")
	}
	return all
}()

// scriptFor is what a page needs of the script, by what stands in it.
func scriptFor(body string) string {
	var b strings.Builder
	for _, p := range scriptParts {
		if len(p.attributes) == 0 || slices.ContainsFunc(p.attributes, func(name string) bool { return strings.Contains(body, " "+name) }) {
			b.WriteString(p.text)
		}
	}
	return b.String()
}
