package records

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// How long what was acknowledged is kept, to be applied again to a database that
// lost it, and how many records at most. An asynchronous standby is seconds behind.
const (
	acknowledgedFor = 10 * time.Minute
	maxAcknowledged = 20_000
)

// acknowledged is what this process has told its callers is durable, and what lasts
// beyond a generation: accounts, counts of wrong answers, and API keys that were
// revoked. What can be used once is void in another generation, and time-based
// grants have ended.
type acknowledged struct {
	mu      sync.Mutex
	last    map[string]change // by key
	tidied  time.Time
	dropped int // more than can be kept

	// through is the engine's generation to which all of it was applied.
	through uint64
}

// change is the last change of one record.
type change struct {
	key     []byte
	value   []byte // sealed; nil: it was removed
	base    store.Version
	exact   bool // base is the version that it was made on
	at      time.Time
	expires time.Time
}

func outlivesGenerations(op *store.Op) bool {
	switch {
	case isAccount(op.Key), bytes.HasPrefix(op.Key, []byte(attemptsPrefix)):
		return op.Value != nil // removed counts are forgiven
	case bytes.HasPrefix(op.Key, []byte(keyPrefix)):
		return op.Value == nil
	}
	return false
}

// note keeps ops that were applied.
func (a *acknowledged) note(ops []store.Op) {
	now := clock.Now()
	for i := range ops {
		op := &ops[i]
		if !outlivesGenerations(op) {
			continue
		}
		c := change{key: bytes.Clone(op.Key), value: bytes.Clone(op.Value), at: now, expires: op.Expires}
		if op.If != nil {
			c.base, c.exact = *op.If, true
		}
		a.mu.Lock()
		if a.last == nil {
			a.last = make(map[string]change)
		}
		a.last[string(c.key)] = c
		a.tidy(now)
		a.mu.Unlock()
	}
}

// tidy lets go of what is old, and of the oldest half where there is too much. The
// lock is held.
func (a *acknowledged) tidy(now time.Time) {
	full := len(a.last) > maxAcknowledged
	if !full && now.Sub(a.tidied) < time.Minute {
		return
	}
	a.tidied = now
	for key, c := range a.last {
		if age := now.Sub(c.at); age > acknowledgedFor || age < -acknowledgedFor {
			delete(a.last, key)
		}
	}
	if len(a.last) <= maxAcknowledged {
		return
	}
	all := a.list()
	for _, c := range all[:len(all)/2] {
		delete(a.last, string(c.key))
	}
	a.dropped += len(all) / 2
}

// list returns all changes, the oldest first. The lock is held.
func (a *acknowledged) list() []change {
	all := make([]change, 0, len(a.last))
	for _, c := range a.last {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b change) int { return a.at.Compare(b.at) })
	return all
}

// since returns the changes that may not be in a generation of the engine, with how
// many more there were.
func (a *acknowledged) since(generation uint64) (all []change, dropped int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.through == generation {
		return nil, 0
	}
	return a.list(), a.dropped
}

func (a *acknowledged) applied(generation uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.through, a.dropped = generation, 0
}
