package invite_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/invite"
)

var form = regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$`)

// However an invite was read out and typed in, it is the same.
func TestInviteIsKnownInEverySpelling(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		code, hash := invite.New()
		if !form.MatchString(code) || seen[code] {
			t.Fatalf("%q", code)
		}
		seen[code] = true
		for _, spelling := range []string{
			strings.ToLower(code), strings.ReplaceAll(code, "-", ""), strings.ReplaceAll(code, "-", " "), "  " + code + "\n",
			strings.NewReplacer("0", "O", "1", "I").Replace(code), strings.NewReplacer("0", "o", "1", "l").Replace(code),
			strings.ReplaceAll(code, "-", "–"), "\u2068" + code + "\u2069", strings.NewReplacer("7", "７", "A", "ａ").Replace(code),
		} {
			if invite.Hash(spelling) != hash {
				t.Fatalf("%q is another invite than %q", spelling, code)
			}
		}
		for _, other := range []string{code[1:], code + "0", "", strings.Replace(code, code[:1], "U", 1), "sui_" + code} {
			if invite.Hash(other) == hash {
				t.Fatalf("%q is the same invite as %q", other, code)
			}
		}
	}
}

// An invite that an earlier version made is known by the hash that it stored.
func TestInviteOfTheVersionBefore(t *testing.T) {
	const old = "sui_o0Il-_ABCDEFGHijklmnOp"
	if want := sha256.Sum256([]byte("step-up invite\x00" + old)); invite.Hash(" "+old+"\n") != want {
		t.Error("the invite is not known")
	}
	if invite.Hash(strings.ToUpper(old)) == invite.Hash(old) {
		t.Error("its case does not count")
	}
}
