package jwtauth

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"
)

// TestS19Remembered: tokens that are remembered stay within their number, and what
// has expired or was verified with other keys is not known any more.
func TestS19Remembered(t *testing.T) {
	var m remembered
	now := time.Unix(1000, 0)
	digest := func(n int) (d [sha256.Size]byte) {
		binary.BigEndian.PutUint64(d[:], uint64(n))
		return d
	}
	for n := range maxRemembered + 100 {
		m.put(digest(n), verified{claims: Claims{User: "alice"}, until: now.Add(time.Minute), keys: 1})
	}
	if len(m.tokens) != maxRemembered {
		t.Errorf("%d tokens", len(m.tokens))
	}
	last := digest(maxRemembered + 99)
	for _, c := range []struct {
		name string
		keys uint64
		now  time.Time
		ok   bool
	}{
		{"good", 1, now, true},
		{"other keys", 2, now, false},
		{"forgotten with the other keys", 1, now, false},
	} {
		if claims, ok := m.get(last, c.keys, c.now); ok != c.ok || ok != (claims.User == "alice") {
			t.Errorf("%s: %+v, %v", c.name, claims, ok)
		}
	}
	m.put(last, verified{claims: Claims{User: "alice"}, until: now.Add(time.Minute), keys: 1})
	if _, ok := m.get(last, 1, now.Add(time.Minute)); ok {
		t.Error("expired")
	}
}
