package whoami

import (
	"encoding/binary"
	"hash/maphash"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// recall remembers who sent a request, by everything of it that the answer depends
// on, byte by byte: what is asked about it is the same again then, and so is the
// answer for as long as those answers hold that it was made of. It spares requests
// the search for their credentials, and is no wider than cache: a request that
// differs in one byte is asked about there.
type recall struct {
	seed  maphash.Seed
	slots [recalled]atomic.Pointer[known]
}

const (
	// recalled is how many requests are remembered: one to a slot, so that it takes
	// no lock and its size is bounded.
	recalled = 4096
	// maxKey bounds, in bytes, what is compared.
	maxKey = 2 << 10
	// maxAskedFields bounds Asked.Fields of a request that is remembered.
	maxAskedFields = 8
)

// known is who sent requests of that key, between two times.
type known struct {
	key          string
	who          Who
	asked, until time.Time
}

// key appends to buf everything that the answer for a request depends on, each with
// its length. It reports whether that is little enough to be remembered.
func (s *Source) key(buf []byte, h http.Header, as *Asked) ([]byte, bool) {
	if len(as.Fields) > maxAskedFields {
		return buf, false
	}
	text := func(v string) {
		buf = binary.AppendUvarint(buf, uint64(len(v)))
		buf = append(buf, v...)
	}
	values := func(list []string) bool {
		buf = binary.AppendUvarint(buf, uint64(len(list)))
		for _, v := range list {
			if len(buf)+len(v) > maxKey {
				return false
			}
			text(v)
		}
		return true
	}
	for _, name := range s.depends {
		if !values(h[name]) {
			return buf, false
		}
	}
	var room [maxAskedFields]string
	names := room[:0]
	for name := range as.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text(name)
		if !values(as.Fields[name]) {
			return buf, false
		}
	}
	text(as.Host)
	text(as.Address)
	return buf, len(buf) <= maxKey
}

// get returns who is known under the key at a time.
func (c *recall) get(key []byte, now time.Time) (Who, bool) {
	k := c.slot(key).Load()
	if k == nil || k.key != string(key) || now.Before(k.asked) || !now.Before(k.until) {
		return Who{}, false
	}
	return k.who, true
}

func (c *recall) put(key []byte, who Who, asked, until time.Time) {
	c.slot(key).Store(&known{key: string(key), who: who, asked: asked, until: until})
}

func (c *recall) slot(key []byte) *atomic.Pointer[known] {
	return &c.slots[maphash.Bytes(c.seed, key)%recalled]
}
