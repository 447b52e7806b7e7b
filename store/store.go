// Package store is the contract between the gateway and whatever keeps its state: a small ordered map of
// bytes with versions, and one verb that changes it.
//
// It promises that [Store.Apply] is all or nothing and durable when it returns nil, that of several callers
// who condition a change on the same version at most one succeeds, and that a read which begins after an
// acknowledged Apply sees it. One-time grants, replay refusal and attempt budgets are built on exactly these
// three, so an engine that cannot keep one of them must not be written.
//
// An engine is used by reading an entry, deciding, and applying a change conditional on the version read:
//
//	e, err := s.Get(ctx, key)
//	...
//	err = s.Apply(ctx, store.Op{Key: key, If: store.If(e.Version)}) // deletes key if nobody touched it
//	if errors.Is(err, store.ErrConflict) { /* somebody else was first: nothing changed */ }
//
// It does not know what the bytes mean, seals nothing, and does not enforce expiry: [Op.Expires] lets an
// engine tidy up, and anyone who reads an entry decides whether it is still good. There are no transactions
// that span calls, no watches and no secondary indexes; List over a prefix is the only query.
//
// Every engine passes the suite in the package storetest.
package store

import (
	"context"
	"time"
)

// Limits of every engine. Beyond them a call is refused with [ErrTooLarge] before anything is changed.
const (
	MaxKey   = 512     // bytes in a key
	MaxValue = 4 << 20 // bytes in a value
	MaxOps   = 100     // ops in one Apply
)

// A Version tells one state of one key from every other state of that key. It is given by the engine, grows
// strictly with each write of the key over the whole life of the database, and is never given to the same key
// again: not after a deletion, an expiry or a restart. So a condition on a version read earlier cannot be met
// by a later entry that merely looks the same. Versions of different keys have no relation to each other.
//
// Zero means "absent" and is the version of no entry.
type Version uint64

// An Entry is one key with what is stored under it. Its slices belong to the caller.
type Entry struct {
	Key, Value []byte
	Version    Version
}

// An Op is one change, a part of an [Store.Apply].
type Op struct {
	// Key names the entry: 1 to MaxKey arbitrary bytes.
	Key []byte

	// Value replaces what is stored. A nil Value deletes the entry; an empty one that is not nil stores
	// nothing under the key, which is then present. Deleting what is absent is no error.
	Value []byte

	// If is the version the entry must have for the Apply to take place: a value read earlier, or zero for
	// "must be absent". A nil If is unconditional.
	If *Version

	// Expires is a time after which nobody will miss the entry, so that the engine may remove it. Zero is
	// never. It only tidies: an engine removes nothing before Expires, but may do so any time later or not at
	// all, and until then the entry is read and counts for conditions like any other. Ignored for deletions.
	Expires time.Time
}

// A Store is one database. Its methods may be called concurrently. Slices passed in are not kept and not
// changed, slices handed out are not shared: the caller may do with both as it likes once the call returned.
type Store interface {
	// Get reads one entry. ErrNotFound reports that there is none.
	Get(ctx context.Context, key []byte) (Entry, error)

	// List reads up to limit entries whose keys begin with prefix and are strictly greater than after, in
	// ascending order of their keys as unsigned bytes. An empty prefix is every key, an empty after is the
	// beginning. Fewer entries than limit mean that there are no more; the last key is the next page's after.
	//
	// One call sees one state of the database. Two calls may see different ones.
	List(ctx context.Context, prefix, after []byte, limit int) ([]Entry, error)

	// Apply makes all the changes, or none, and has made them durable when it returns nil: they survive a
	// crash of the process and of the machine. All conditions are judged against one state, the one that the
	// changes are then made to. No two ops of one Apply may have the same key. Without ops it does nothing.
	//
	// After ErrConflict, ErrTooLarge, ErrInvalid and ErrClosed nothing changed. So it did after an error of
	// ctx, unless that error is wrapped together with ErrUnknown. After any other error, and after
	// ErrUnknown, the outcome is unknown: the changes were made, all of them, or will never be. The caller
	// must then fail closed, and may find out by reading.
	Apply(ctx context.Context, ops ...Op) error

	// Close waits for operations in flight and releases the database. What is called afterwards, or was still
	// queued, fails with ErrClosed. Closing again does nothing and returns nil.
	Close() error
}

// If is the condition that an entry has version v, or with zero is absent: for the If of an [Op].
func If(v Version) *Version { return &v }
