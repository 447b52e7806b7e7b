package records

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// holders remembers the digests of subjects that were asked for recently, one to a
// slot: it takes no lock, and its size is bounded. A digest depends on its subject
// and the database's lookup key alone, so that nothing ever makes one untrue.
type holders struct {
	seed  maphash.Seed
	slots [rememberedHolders]atomic.Pointer[holderOf]
}

const rememberedHolders = 4096

type holderOf struct {
	subject grants.Subject
	holder  grants.Holder
}

func newHolders() *holders { return &holders{seed: maphash.MakeSeed()} }

// of returns the digest of a subject, by digest where it is not remembered.
func (h *holders) of(s grants.Subject, digest func(grants.Subject) grants.Holder) grants.Holder {
	at := maphash.String(h.seed, s.User) ^ maphash.String(h.seed, s.Tenant)<<1
	slot := &h.slots[at%rememberedHolders]
	if known := slot.Load(); known != nil && known.subject == s {
		return known.holder
	}
	holder := digest(s)
	// A name may be a part of a whole header, which would be kept with it.
	slot.Store(&holderOf{grants.Subject{Tenant: strings.Clone(s.Tenant), User: strings.Clone(s.User)}, holder})
	return holder
}
