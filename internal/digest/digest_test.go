package digest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/digest"
)

// Lists that differ are written differently, however they are cut, and one list
// always the same: digests of requests are stored.
func TestWrite(t *testing.T) {
	seen := make(map[string][][]string)
	for _, lists := range [][][]string{
		{{}}, {{""}}, {{"", ""}}, {{""}, {""}}, {{"ab"}}, {{"a", "b"}}, {{"a"}, {"b"}}, {{"ab", ""}}, {{"", "ab"}}, {{"a\x00b"}},
	} {
		h := sha256.New()
		for _, list := range lists {
			digest.Write(h, list...)
		}
		sum := hex.EncodeToString(h.Sum(nil))
		if other, ok := seen[sum]; ok {
			t.Errorf("%q and %q are the same", lists, other)
		}
		seen[sum] = lists
	}
	const want = "375f8aa4"
	h := sha256.New()
	digest.Write(h, "step-up request", "2")
	if got := hex.EncodeToString(h.Sum(nil)); got[:8] != want {
		t.Errorf("the digest begins with %s, not with %s: what is stored is not found again", got[:8], want)
	}
}
