// Package remote has what engines have in common that keep the gateway's state on a
// database server: the deadline of calls, which state of the database is known,
// whether the server is in use, and until when what is in memory may be used.
//
// It knows no server. An engine embeds a [State] and a [Meter], and asks a [Lease]; what it does at
// each visit of the server is its own.
package remote

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// CallTimeout ends every call: what hangs longer has an unknown outcome.
const CallTimeout = 5 * time.Second

// Calls are the calls under way. The zero value has none.
type Calls struct {
	// running is held shared by every call for as long as it lasts.
	running sync.RWMutex
	closed  atomic.Bool
}

// Do runs f, with the deadline of a call and not with that of ctx: ending a query
// half-way ends its connection, and a client that goes away is no reason for that.
// Where ctx ends first, f goes on for itself, and interrupted is true.
func (c *Calls) Do(ctx context.Context, f func(context.Context) error) (interrupted bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c.running.RLock()
	if c.closed.Load() {
		c.running.RUnlock()
		return false, store.ErrClosed
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), CallTimeout)
	if ctx.Done() == nil {
		defer c.running.RUnlock()
		defer cancel()
		return false, f(own)
	}
	done := make(chan error, 1)
	go func() {
		defer c.running.RUnlock()
		defer cancel()
		done <- f(own)
	}()
	select {
	case err := <-done:
		return false, err
	case <-ctx.Done():
		return true, ctx.Err()
	}
}

// Close makes later calls fail with [store.ErrClosed], and reports whether it is the
// first to do so.
func (c *Calls) Close() bool { return !c.closed.Swap(true) }

// Wait waits for the calls under way.
func (c *Calls) Wait() {
	c.running.Lock() // later ones see closed
	defer c.running.Unlock()
}

// Clone copies ops, for calls that may outlast their callers.
func Clone(ops []store.Op) []store.Op {
	own := slices.Clone(ops)
	for i := range own {
		own[i].Key, own[i].Value = bytes.Clone(own[i].Key), bytes.Clone(own[i].Value)
	}
	return own
}

// CloneNames copies names, for calls that may outlast their callers.
func CloneNames(names [][]byte) [][]byte {
	own := make([][]byte, len(names))
	for i, name := range names {
		own[i] = bytes.Clone(name)
	}
	return own
}

// PrefixEnd returns the first key behind all that begin with the prefix; nil where
// there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// Wake sends to a channel with room for one without waiting.
func Wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
