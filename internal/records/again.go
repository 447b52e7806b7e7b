package records

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// How often, and for how long, a decision is made again after somebody else was
// first. Each retry means that another caller succeeded. The first are made at once:
// in a database of this process they are enough. Where the callers are on several
// machines, those that go on spread over a while, lest they meet again.
const (
	retries     = 100
	retryFor    = 5 * time.Second
	atOnce      = 4
	longestWait = 30 * time.Millisecond
)

// Again runs decide, which reads, decides and applies, until it neither conflicts
// nor has lost too often.
func Again(decide func() error) error {
	end := time.Now().Add(retryFor)
	for try := range retries {
		if err := decide(); !errors.Is(err, ErrConflict) {
			return err
		}
		if time.Now().After(end) {
			break
		}
		if try >= atOnce {
			time.Sleep(rand.N(min(time.Duration(try)*time.Millisecond, longestWait)))
		}
	}
	return fmt.Errorf("giving up after %v of concurrent changes", time.Since(end.Add(-retryFor)).Round(time.Millisecond))
}

// ApplyInParts applies unconditional ops that may be more than one Apply takes.
// Each part is durable by itself; a caller that fails in between does it again.
func (db *DB) ApplyInParts(ctx context.Context, ops []store.Op) error {
	for len(ops) > 0 {
		n := min(len(ops), store.MaxOps)
		if err := db.Apply(ctx, ops[:n]...); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}
