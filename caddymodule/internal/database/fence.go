package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// logFence tells the operator that a database is an older copy, or that it cannot
// be told. It is called once for each time that it is found.
func logFence(location string) func(records.Fencing) {
	return func(f records.Fencing) {
		log := caddy.Log().Named("step_up")
		if f.Kind == store.FenceRolledBack {
			log.Error("an older copy of the database was put back: whatever is protected is refused with 503 store_rolled_back until an operator has accepted it; "+
				"look at it with `caddy step-up fence`, then run: caddy step-up fence accept --audit FILE",
				zap.String("database", location), zap.String("reason", f.Reason))
			return
		}
		log.Warn("it cannot be told whether the database is an older copy: what could be used once is void and time-based grants have ended; "+
			"codes of authenticator apps that may have been used are refused, and recovery codes until they are renewed or an operator runs: caddy step-up fence accept --codes",
			zap.String("database", location), zap.String("reason", f.Cause), zap.Uint64("generation", f.Generation),
			zap.Int("applied_again", f.AppliedAgain), zap.Int("not_kept", f.NotKept))
	}
}

// view is the database as whoever begins something now sees it.
func (d *Shared) view(ctx context.Context, db *records.DB) (*records.DB, error) {
	v, err := db.View(ctx)
	if errors.Is(err, records.ErrMoved) {
		d.told.Do(func() { d.logger.Error("what is protected is refused from now on", zap.Error(err)) })
	}
	if err != nil && !errors.Is(err, store.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return v, err
}
