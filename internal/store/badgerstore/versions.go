package badgerstore

import (
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// knownVersions bounds the versions that are known: each generation holds as many.
const knownVersions = 4096

// versions knows what rows that were read or written recently have for a version, so
// that the committer, which is asked to change what somebody has just read, does not
// read it again.
//
// What it knows is always true of the last commit. The committer tells it of each
// before readers see it. A reader tells what it found as of the commit that it read
// at, which counts unless something is known that is newer, or may have been known:
// floor is the latest commit of which anything was forgotten.
type versions struct {
	mu         sync.Mutex
	young, old generation
	floor      uint64 // nothing older is taken
}

// known is one row as of a commit.
type known struct {
	version   store.Version // zero: absent
	expiresAt uint64        // as in change
	ts        uint64
	unsure    bool // it is to be read
}

// A generation is what became known in some span of time, and the latest commit that
// anything of it is known as of.
type generation struct {
	rows map[string]known
	last uint64
}

// read tells what a reader found. Rows in several pieces are not kept, nor absent
// ones: anyone who asks for what is not there must not drive out what is.
func (v *versions) read(key []byte, r row, ts uint64) {
	if r.kind != kindInline {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if k, ok := v.find(key); ts < v.floor || ok && k.ts >= ts {
		return
	}
	v.keep(string(key), known{version: r.version, expiresAt: r.expiresAt, ts: ts})
}

// wrote tells of a commit that is durable, before anybody reads at it.
func (v *versions) wrote(entries map[string]*badger.Entry, ts uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, e := range entries {
		if key[0] != rowPrefix {
			continue
		}
		k := known{expiresAt: e.ExpiresAt, ts: ts}
		if e.Value != nil {
			r, err := decodeRow([]byte(key), e.Value) // Badger has changed e.Key
			k.version, k.unsure = r.version, err != nil || r.kind != kindInline
		}
		v.keep(key, k)
	}
}

// of returns the version of a row that is not in several pieces; zero if it is
// absent. known is false where that has to be read.
func (v *versions) of(key []byte, now time.Time) (version store.Version, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.find(key)
	if !ok || k.unsure || k.expiresAt != 0 && k.expiresAt <= uint64(now.Unix()) {
		return 0, false // Badger goes by the same clock
	}
	return k.version, true
}

func (v *versions) find(key []byte) (k known, ok bool) {
	if k, ok = v.young.rows[string(key)]; !ok {
		k, ok = v.old.rows[string(key)]
	}
	return k, ok
}

func (v *versions) keep(key string, k known) {
	if v.young.rows == nil || len(v.young.rows) >= knownVersions {
		v.floor = max(v.floor, v.old.last)
		v.old, v.young = v.young, generation{rows: make(map[string]known)}
	}
	v.young.rows[key] = k
	v.young.last = max(v.young.last, k.ts)
}
