package grants

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Action is an action type together with its digest. Make it with [NewAction].
type Action struct {
	name   string
	digest [16]byte
}

// MaxActionLen is the longest action type, in Unicode code points.
const MaxActionLen = 256

// maxRuleNameLen is the longest action type that a rule may have, in bytes.
const maxRuleNameLen = 64

// ManageAction guards changes to one's own authenticators. Names that begin
// with "step_up." are the gateway's own.
const ManageAction = "step_up.manage"

// NewAction returns the action type of that name: 1 to [MaxActionLen] code points
// of UTF-8 without control characters, line separators and marks of writing
// direction, which would change how the text around the name looks in logs and on
// pages.
//
// Two action types are the same if their names are, byte by byte: a name is not
// trimmed, case-folded or normalized (Unicode Standard Annex #15). The names of
// rules are narrower; see [Action.IsRuleName].
func NewAction(name string) (Action, error) {
	switch {
	case name == "":
		return Action{}, fmt.Errorf("an action type must have 1 to %d characters", MaxActionLen)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, isHidden):
		return Action{}, fmt.Errorf("action type %q must be Unicode text without control characters", clip(name))
	case utf8.RuneCountInString(name) > MaxActionLen:
		return Action{}, fmt.Errorf("action type %q must have 1 to %d characters", clip(name), MaxActionLen)
	}
	sum := sha256.Sum256([]byte("step-up action\x00" + name))
	return Action{name: name, digest: [16]byte(sum[:16])}, nil
}

// MustAction is [NewAction] for names that are constants of the program. It panics
// if the name is not valid.
func MustAction(name string) Action {
	a, err := NewAction(name)
	if err != nil {
		panic(err)
	}
	return a
}

// String returns the name of the action type.
func (a Action) String() string { return a.name }

// Digest returns what stands for the action type in stored grants.
func (a Action) Digest() [16]byte { return a.digest }

// IsRuleName reports whether a rule may have the action type: its name matches
// [A-Za-z0-9_.-]{1,64}. Only servers win grants for other action types, and no
// route takes those.
func (a Action) IsRuleName() bool {
	for _, c := range []byte(a.name) {
		if !isRuleByte(c) {
			return false
		}
	}
	return a.name != "" && len(a.name) <= maxRuleNameLen
}

func isRuleByte(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("_.-", c) >= 0
}

// isHidden reports whether a character shows nothing itself, but changes how others
// look. U+FFFD is what other readers make of text that is not Unicode.
func isHidden(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError ||
		r >= 0x2028 && r <= 0x202e || r == 0x200e || r == 0x200f || r == 0x061c || r >= 0x2066 && r <= 0x2069
}

// clip shortens a name for an error.
func clip(s string) string {
	if len(s) > maxRuleNameLen {
		return s[:maxRuleNameLen] + "…"
	}
	return s
}
