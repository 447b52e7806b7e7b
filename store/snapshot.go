package store

import "context"

// Snapshots is implemented by engines that can show the database as it was at one
// moment, while it goes on changing: for a backup.
type Snapshots interface {
	Movable

	// Snapshot returns the database as it is now: with every change that was
	// acknowledged before the call, and each of those that are under way as a whole or
	// not at all. Changes do not wait for it. Whoever asked for it closes it.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// A Snapshot is a database as it was at one moment. Its methods must not be called
// concurrently. Once the engine cannot show that moment any more, since it went out of
// use or too much time has passed, Dump fails, and goes on failing.
type Snapshot interface {
	// Sequence grows with the changes of a database: of two snapshots the later one has
	// at least the sequence of the earlier. Engines count differently.
	Sequence() uint64

	// Dump is that of [Movable], of the moment. An entry that has run out since may be
	// missing.
	Dump(ctx context.Context, after []byte, limit int) ([]Op, error)

	// Close lets go of the moment. Closing again does nothing.
	Close() error
}
