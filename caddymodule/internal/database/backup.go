package database

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// lookEvery is how often somebody looks whether another gateway of the database was
// asked for a backup.
const lookEvery = time.Minute

// backups is when the last backup was looked for.
type backups struct{ looked atomic.Int64 }

// look looks for the last backup, where that was not done lately, and does not wait.
func (b *backups) look(db *records.DB) {
	now, last := time.Now().UnixNano(), b.looked.Load()
	if now-last < int64(lookEvery) || !b.looked.CompareAndSwap(last, now) {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), openPatience)
		defer cancel()
		if view, err := db.View(ctx); err == nil {
			_, _ = view.LastBackup(ctx) // what is wrong with the database is told elsewhere
		}
	}()
}

// Engine returns the kind of store.
func (d *Shared) Engine() string {
	if m, ok := d.engine.(caddy.Module); ok {
		return m.CaddyModule().ID.Name()
	}
	return ""
}
