package typed

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/cause"
)

// maxLabel bounds a label, in characters.
const maxLabel = 64

// Label trims a label, and refuses with a [cause.Field] one that is too long or
// holds controls.
func Label(label string) (string, error) {
	label = strings.TrimSpace(label)
	if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel {
		return "", &cause.Field{Name: "label", Detail: "must have at most 64 characters"}
	}
	if strings.ContainsFunc(label, isHidden) {
		return "", &cause.Field{Name: "label", Detail: "must not hold control characters"}
	}
	return label, nil
}

// isHidden reports whether a character shows nothing itself but changes how
// others look: controls, line separators and marks of writing direction.
func isHidden(r rune) bool {
	return unicode.IsControl(r) || r >= 0x2028 && r <= 0x202e || r == 0x200e || r == 0x200f || r >= 0x2066 && r <= 0x2069
}
