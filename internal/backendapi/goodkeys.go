package backendapi

import (
	"crypto/sha256"
	"sync"
)

// maxGoodKeys is more than there are keys.
const maxGoodKeys = 1 << 11

// goodKeys are the digests of keys that were good when they were last looked up.
// Such a key is looked up whatever else comes from its address: who shares one
// with a server, or comes through the same proxy, must not silence it with bad
// keys. Only keys that there are get in, so nobody fills it with others.
type goodKeys struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]struct{}
}

// knownKeys are the process's own: a reload while bad keys pour in must not have
// the good ones to prove themselves among those.
var knownKeys = goodKeys{seen: make(map[[sha256.Size]byte]struct{})}

func (g *goodKeys) has(key string) bool {
	digest := sha256.Sum256([]byte(key))
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.seen[digest]
	return ok
}

func (g *goodKeys) add(key string) {
	digest := sha256.Sum256([]byte(key))
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.seen[digest]; ok {
		return
	}
	if len(g.seen) >= maxGoodKeys {
		clear(g.seen) // of keys long revoked, most of them
	}
	g.seen[digest] = struct{}{}
}

func (g *goodKeys) forget(key string) {
	digest := sha256.Sum256([]byte(key))
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.seen, digest)
}
