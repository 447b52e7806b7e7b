package store

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is Get's answer for a key that is absent. It is an answer about the database as it is now,
	// and proves nothing about what was: entries expire and are deleted.
	ErrNotFound = errors.New("no such entry")

	// ErrConflict reports that at least one condition of an Apply did not hold. Nothing changed. Reading again
	// and deciding anew is right; repeating the same Apply is pointless, since versions never come back.
	ErrConflict = errors.New("entry has changed")

	// ErrTooLarge reports that a key, a value or the number of ops is over its limit. Nothing changed.
	ErrTooLarge = errors.New("over the limit of the store")

	// ErrInvalid reports that a call makes no sense in itself: an empty key, the same key twice in one Apply, a
	// limit below one. Nothing changed. It is a mistake in the calling code.
	ErrInvalid = errors.New("invalid store call")

	// ErrClosed reports that the store is closed or closing. Nothing changed.
	ErrClosed = errors.New("store is closed")

	// ErrUnknown reports that an Apply may or may not have taken place, and will not be told: its commit failed
	// half-way, or the caller stopped waiting for it. Callers must fail closed.
	ErrUnknown = errors.New("outcome of the change is unknown")

	// ErrUnavailable reports that the engine is out of use for now and will come
	// back by itself once its cause is gone. Nothing changed, unless the error
	// is wrapped together with ErrUnknown.
	ErrUnavailable = errors.New("store is out of use for now")

	// ErrNoSpace reports that a change was refused because the disk is nearly
	// full. Nothing changed, and reading goes on.
	ErrNoSpace = errors.New("too little space on the disk of the database")

	// ErrDamaged reports that what was read is not what was written. It is never
	// to be taken for absence.
	ErrDamaged = errors.New("database is damaged")

	// ErrMissing reports that there is no database where there was one.
	ErrMissing = errors.New("database is gone")

	// ErrUnfit reports that the database is set up in a way with which what is
	// promised here cannot be kept. Only an operator can change that.
	ErrUnfit = errors.New("database is not set up for this")

	// ErrLocked reports that another process has the database open.
	ErrLocked = errors.New("database is in use by another process")

	// ErrFenced reports that the generation of the database in which a change was
	// decided has ended. Nothing changed. Reading again and deciding anew is right.
	ErrFenced = errors.New("the database began a new generation meanwhile")

	// ErrRolledBack reports that the database is older than what was acknowledged
	// (FenceRolledBack) and that no operator has accepted it. Nothing changed.
	ErrRolledBack = errors.New("database is an older copy of itself; see caddy step-up fence")
)

// CheckKey reports whether key may name an entry: nil, ErrInvalid or ErrTooLarge. Engines call it first.
func CheckKey(key []byte) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("empty key: %w", ErrInvalid)
	case len(key) > MaxKey:
		return fmt.Errorf("key of %d bytes, at most %d: %w", len(key), MaxKey, ErrTooLarge)
	}
	return nil
}

// CheckList reports whether the arguments of a List are within the contract: nil, ErrInvalid or ErrTooLarge.
func CheckList(prefix, after []byte, limit int) error {
	switch {
	case limit < 1:
		return fmt.Errorf("limit of %d entries: %w", limit, ErrInvalid)
	case len(prefix) > MaxKey:
		return fmt.Errorf("prefix of %d bytes, at most %d: %w", len(prefix), MaxKey, ErrTooLarge)
	case len(after) > MaxKey:
		return fmt.Errorf("position of %d bytes, at most %d: %w", len(after), MaxKey, ErrTooLarge)
	}
	return nil
}

// CheckOps reports whether ops are within the contract, so that every engine refuses the same ones: nil,
// ErrInvalid or ErrTooLarge. It names positions and sizes, never keys, which may hold what logs must not.
func CheckOps(ops []Op) error {
	if len(ops) > MaxOps {
		return fmt.Errorf("%d ops, at most %d: %w", len(ops), MaxOps, ErrTooLarge)
	}
	for i, op := range ops {
		if err := CheckKey(op.Key); err != nil {
			return fmt.Errorf("op %d: %w", i, err)
		}
		if len(op.Value) > MaxValue {
			return fmt.Errorf("op %d: value of %d bytes, at most %d: %w", i, len(op.Value), MaxValue, ErrTooLarge)
		}
	}
	if repeatsKey(ops) {
		return fmt.Errorf("two ops with one key: %w", ErrInvalid)
	}
	return nil
}

// repeatsKey compares the few ops of a usual Apply pairwise, which allocates nothing, and many by a set.
func repeatsKey(ops []Op) bool {
	if len(ops) <= 16 {
		for i := range ops {
			for j := range i {
				if string(ops[i].Key) == string(ops[j].Key) {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[string]struct{}, len(ops))
	for _, op := range ops {
		if _, ok := seen[string(op.Key)]; ok {
			return true
		}
		seen[string(op.Key)] = struct{}{}
	}
	return false
}
