package backendapi

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// An address has so many bad keys at once, and then one more in each interval.
// No key is guessed anyway; this is what keeps those who try from filling the
// log, and from wearing the store.
const (
	badBurst    = 20
	badInterval = 3 * time.Second
)

// maxBadAddresses bounds the memory: 2 MiB or so.
const maxBadAddresses = 1 << 15

// origin is an IPv4 address or the first half of an IPv6 one, which is what one
// customer has. It has no pointers, so that a full table costs the garbage
// collector nothing.
type origin [16]byte

// badKeys counts the bad keys of each address. It keeps one number for each: when
// all of them are forgotten (the virtual scheduling form of a leaky bucket, ITU-T
// I.371).
type badKeys struct {
	mu    sync.Mutex
	clear map[origin]int64 // nanoseconds since 1970
}

func newBadKeys() *badKeys { return &badKeys{clear: make(map[origin]int64)} }

// wait is how long the address is not listened to; zero or less where it is.
func (b *badKeys) wait(address string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear, ok := b.clear[originOf(address)]
	if !ok {
		return 0
	}
	return time.Duration(clear-now.UnixNano()) - (badBurst-1)*badInterval
}

// count counts one more.
func (b *badKeys) count(address string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, at := originOf(address), now.UnixNano()
	clear, known := b.clear[from]
	if !known && len(b.clear) >= maxBadAddresses {
		b.forgetOne(at)
	}
	b.clear[from] = max(clear, at) + int64(badInterval)
}

// forgetOne makes room: of a few it forgets the one that would be forgotten
// first. Who has that many addresses is not stopped by counting them, and nobody
// else must be refused for it.
func (b *badKeys) forgetOne(now int64) {
	var first origin
	seen := 0
	for from, clear := range b.clear {
		if seen == 0 || clear < b.clear[first] {
			first = from
		}
		if seen++; seen == 8 || clear <= now {
			break
		}
	}
	delete(b.clear, first)
}

func originOf(address string) origin {
	a, err := netip.ParseAddr(address)
	if err != nil {
		if with, perr := netip.ParseAddrPort(address); perr == nil {
			a, err = with.Addr(), nil
		}
	}
	if err != nil {
		sum := sha256.Sum256([]byte(address))
		return origin(sum[:16])
	}
	if a = a.Unmap(); a.Is6() {
		net := a.As16()
		clear(net[8:])
		return net
	}
	return a.As16()
}
