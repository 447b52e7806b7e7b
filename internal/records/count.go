package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// accountPrefix is where accounts are stored.
const accountPrefix = "s/"

// Counted is how many accounts there are, stored under "u/" and the zero holder.
// It changes in the same Apply that creates an account. Without it, anyone who can
// change the files of the database could delete the row of an account, and its
// subject would pass for one that never enrolled: no key is needed to delete.
type Counted struct {
	Accounts int64 `json:"accounts"`
}

// countRetries bounds how often a change is made again because another gateway
// on the same database created an account at the same time.
const countRetries = 100

// countPage is how many accounts are listed at a time when they are counted.
const countPage = 1000

// touchesCount reports whether ops may change the number of accounts.
func touchesCount(ops []store.Op) bool {
	return slices.ContainsFunc(ops, func(op store.Op) bool {
		return isAccount(op.Key) && (op.If == nil || (*op.If == 0) == (op.Value != nil))
	})
}

func isAccount(key []byte) bool { return bytes.HasPrefix(key, []byte(accountPrefix)) }

// applyCounted applies ops and changes the number of accounts with them. Callers
// that create accounts at the same time take turns, so that none of them conflicts
// for the sake of the count.
func (db *DB) applyCounted(ctx context.Context, ops []store.Op) error {
	db.counting.Lock()
	defer db.counting.Unlock()
	var last []store.Version
	for range countRetries {
		row, err := db.count(ctx)
		if err != nil {
			return err
		}
		// The conflict was the caller's, unless what was added has changed since.
		exact, n, versions, err := db.exactly(ctx, ops)
		versions = append(versions, row.Version)
		if err != nil {
			return err
		}
		if slices.Equal(versions, last) {
			return store.ErrConflict
		}
		last = versions
		put, err := db.counts.Update(row, Counted{Accounts: row.Value.Accounts + n}, never)
		if err != nil {
			return err
		}
		err = db.apply(ctx, append(exact, put))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("counting accounts: giving up after %d concurrent changes", countRetries)
}

// exactly returns ops with a condition on each account, since only that tells
// whether a change creates one: of an unconditional change the version that is
// stored now, which is among versions then. They change the number of accounts by
// n.
func (db *DB) exactly(ctx context.Context, ops []store.Op) (exact []store.Op, n int64, versions []store.Version, err error) {
	exact = slices.Clone(ops)
	for i := range exact {
		op := &exact[i]
		if !isAccount(op.Key) {
			continue
		}
		if op.If == nil {
			e, err := db.store.Get(ctx, op.Key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, 0, nil, fmt.Errorf("reading an account: %w", err)
			}
			op.If = store.If(e.Version)
			versions = append(versions, e.Version)
		}
		switch {
		case op.Value != nil && *op.If == 0:
			n++
		case op.Value == nil && *op.If != 0:
			n--
		}
	}
	return exact, n, versions, nil
}

func (db *DB) count(ctx context.Context) (Row[Counted], error) {
	row, err := db.counts.Get(ctx, grants.Holder{}, nil)
	if errors.Is(err, ErrNotFound) {
		return row, fmt.Errorf("%w: the number of accounts is missing; rows were deleted by something else than the gateway: "+
			"restore the data from a backup", ErrCorrupt)
	}
	return row, err
}

// checkCount fails with [ErrCorrupt] where there are fewer accounts, or more, than
// were created.
func (db *DB) checkCount(ctx context.Context) error {
	for range countRetries {
		before, err := db.count(ctx)
		if err != nil {
			return err
		}
		n, err := db.countAccounts(ctx)
		if err != nil || n == before.Value.Accounts {
			return err
		}
		after, err := db.count(ctx)
		if err != nil {
			return err
		}
		if min(before.Value.Accounts, after.Value.Accounts) <= n && n <= max(before.Value.Accounts, after.Value.Accounts) {
			return nil // other gateways created some in between
		}
		if after.Version != before.Version {
			continue
		}
		return fmt.Errorf("%w: the database has %d accounts, and %d were created; rows were deleted or put back by something else than the gateway, "+
			"and whoever lost theirs could enroll as if for the first time: restore the data from a backup", ErrCorrupt, n, before.Value.Accounts)
	}
	return fmt.Errorf("counting accounts: giving up after %d concurrent changes", countRetries)
}

// countAccounts counts the rows of accounts without opening them.
func (db *DB) countAccounts(ctx context.Context) (n int64, err error) {
	for after := []byte(nil); ; {
		entries, err := db.store.List(ctx, []byte(accountPrefix), after, countPage)
		if err != nil {
			return 0, fmt.Errorf("counting accounts: %w", err)
		}
		n += int64(len(entries))
		if len(entries) < countPage {
			return n, nil
		}
		after = entries[len(entries)-1].Key
	}
}
