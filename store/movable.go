package store

import "context"

// Movable is implemented by engines whose entries can be taken to a database of
// another engine, with what List does not tell of them.
type Movable interface {
	Store

	// Dump reads up to limit entries whose keys are strictly greater than after, in
	// the order of List, as ops that make them in another database: without a
	// condition, and with an Expires that is no earlier than the one they were written
	// with, zero being the latest. It returns fewer where their values come to more
	// than MaxValue bytes in all, one at least, and none where there are no more.
	Dump(ctx context.Context, after []byte, limit int) ([]Op, error)
}
