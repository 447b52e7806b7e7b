package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// applyWorkers is how many records are looked at at the same time.
const applyWorkers = 16

// applyAgain applies what this process acknowledged and the database has lost, before
// this process serves the view's generation: a reset, a removed authenticator, a
// revoked API key are not undone by a failover. Removals come first.
func (db *DB) applyAgain(ctx context.Context) error {
	all, dropped := db.acked.since(db.in.Engine)
	ctx = store.Taking(context.WithoutCancel(ctx))
	var removed, rest []change
	for _, c := range all {
		if c.value == nil {
			removed = append(removed, c)
		} else {
			rest = append(rest, c)
		}
	}
	changed := 0
	for _, some := range [][]change{removed, rest} {
		n, err := db.applyEach(ctx, some)
		if changed += n; err != nil {
			return fmt.Errorf("applying again what was acknowledged before the database lost it: %w", err)
		}
	}
	db.acked.applied(db.in.Engine)
	if len(all) > 0 {
		db.fence.again.Store(int64(changed))
		db.fence.dropped.Store(int64(dropped))
	}
	return nil
}

func (db *DB) applyEach(ctx context.Context, all []change) (changed int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan change)
	for range min(applyWorkers, len(all)) {
		wg.Go(func() {
			for c := range next {
				did, failed := db.applyOne(ctx, c)
				mu.Lock()
				if did {
					changed++
				}
				err = errors.Join(err, failed)
				mu.Unlock()
			}
		})
	}
	for _, c := range all {
		mu.Lock()
		failed := err != nil
		mu.Unlock()
		if failed {
			break
		}
		next <- c
	}
	close(next)
	wg.Wait()
	return changed, err
}

// applyOne makes one record at least what was acknowledged.
func (db *DB) applyOne(ctx context.Context, c change) (changed bool, err error) {
	err = Again(func() error {
		changed = false
		e, err := db.get(ctx, c.key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		op, err := db.lost(c, e)
		if errors.Is(err, ErrCorrupt) {
			return nil // whoever reads it will be told
		}
		if err != nil || op.Key == nil {
			return err
		}
		changed = true
		return db.Apply(ctx, op)
	})
	return changed, err
}

// lost returns the op that makes the entry at least what was acknowledged; without a
// key where it is.
func (db *DB) lost(c change, e store.Entry) (store.Op, error) {
	switch {
	case c.value == nil && e.Version == 0, bytes.Equal(c.value, e.Value) && e.Version != 0:
		return store.Op{}, nil
	case c.value == nil:
		return store.Op{Key: c.key, If: store.If(e.Version)}, nil
	case c.exact && e.Version <= c.base:
		// Versions grow with each write, so this is what it was made on, or older.
		return store.Op{Key: c.key, Value: c.value, If: store.If(e.Version), Expires: c.expires}, nil
	case e.Version.Generation() < db.in.Engine:
		return store.Op{}, nil // it was not lost, and somebody has changed it since
	}
	// Somebody was faster in this generation.
	if isAccount(c.key) {
		return mergedInto(db.Accounts, c, e, func(now, then *Account) bool { return now.atLeast(then, c.at) })
	}
	return mergedInto(db.Attempts, c, e, func(now, then *Attempts) bool { return now.atLeast(then) })
}

func mergedInto[T any](t Table[T], c change, e store.Entry, raise func(now, then *T) bool) (store.Op, error) {
	then, err := t.open(store.Entry{Key: c.key, Value: c.value})
	if err != nil {
		return store.Op{}, err
	}
	now, err := t.open(e)
	if err != nil {
		return store.Op{}, err
	}
	if !raise(&now.Value, &then.Value) {
		return store.Op{}, nil
	}
	return t.Update(now, now.Value, c.expires)
}

// atLeast takes from the account what was taken from it before, at that time, and
// reports whether it had it: nothing that was removed, suspended or used is good again.
func (a *Account) atLeast(before *Account, at time.Time) (changed bool) {
	if before.State == StateReset {
		if a.State != StateReset {
			*a = Account{Tenant: a.Tenant, User: a.User, State: StateReset, Set: max(a.Set, before.Set) + 1, CreatedAt: a.CreatedAt}
			return true
		}
		return false
	}
	var kept []Authenticator
	for _, x := range a.Authenticators {
		was := before.Find(x.ID)
		switch {
		case was == nil && x.CreatedAt.After(at): // added since
		case was == nil:
			changed = true
			continue
		default:
			changed = x.atLeast(was) || changed
		}
		kept = append(kept, x)
	}
	removed := len(kept) != len(a.Authenticators)
	if a.Authenticators = kept; removed {
		a.Set = max(a.Set, before.Set) + 1
		if len(kept) == 0 {
			a.State = StateReset
		}
	}
	if before.CodesGivenAt.After(a.CodesGivenAt) {
		a.RecoveryCodes, a.CodesOrigin = before.RecoveryCodes, before.CodesOrigin
		a.CodesGivenAt, a.CodesGeneration = before.CodesGivenAt, before.CodesGeneration
		return true
	}
	for i := range a.RecoveryCodes {
		code := &a.RecoveryCodes[i]
		for _, was := range before.RecoveryCodes {
			if code.UsedAt.IsZero() && !was.UsedAt.IsZero() && bytes.Equal(code.Hash, was.Hash) {
				code.UsedAt, changed = was.UsedAt, true
			}
		}
	}
	return changed
}

func (x *Authenticator) atLeast(was *Authenticator) (changed bool) {
	if x.SuspendedAt.IsZero() && !was.SuspendedAt.IsZero() {
		x.SuspendedAt, changed = was.SuspendedAt, true
	}
	if x.TOTP != nil && was.TOTP != nil && was.TOTP.Last > x.TOTP.Last {
		x.TOTP.Last, changed = was.TOTP.Last, true
	}
	if x.Passkey != nil && was.Passkey != nil && (was.Passkey.SignCount > x.Passkey.SignCount || was.Passkey.Suspect && !x.Passkey.Suspect) {
		x.Passkey.SignCount = max(x.Passkey.SignCount, was.Passkey.SignCount)
		x.Passkey.Suspect = x.Passkey.Suspect || was.Passkey.Suspect
		changed = true
	}
	return changed
}

// atLeast raises the counts to what they were.
func (a *Attempts) atLeast(before *Attempts) (changed bool) {
	for method, n := range before.Wrong {
		if n > a.Wrong[method] {
			if a.Wrong == nil {
				a.Wrong = make(map[string]int)
			}
			a.Wrong[method], changed = n, true
		}
	}
	if before.NotBefore.After(a.NotBefore) {
		a.NotBefore, changed = before.NotBefore, true
	}
	return changed
}
