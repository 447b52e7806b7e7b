package records

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// retries bounds how often a decision is made again after somebody else was
// first. Each retry means that another caller succeeded.
const retries = 100

// Again runs decide, which reads, decides and applies, until it neither conflicts
// nor has lost too often.
func Again(decide func() error) error {
	for range retries {
		if err := decide(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("giving up after %d concurrent changes", retries)
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
