package database

import (
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

// longWait is how long a change may wait on a disk that is well.
const longWait = time.Second

// Condition is how a database is.
type Condition struct {
	// Reason says what an operator has to look at; empty: nothing.
	Reason string
	// Since is when the database went out of use; nil while it is in use.
	Since *time.Time
	// Waiting is how long the oldest change has waited to be on the disk.
	Waiting time.Duration
	// Refused says what is refused for want of space on the disk.
	Refused string
	// Marked reports whether an older copy of the database would be noticed.
	Marked bool
	// Generation is that of the database, as far as this process knows.
	Generation uint64
	// Heard is how long ago a database that several gateways use said last what the
	// others took away; zero for one that is this gateway's alone.
	Heard time.Duration
	// Shared reports that several gateways use the database. For them Skew is by how
	// much the clock of the server, or of another gateway, is ahead of this one's, at
	// least, and Changes what this process has asked it for.
	Shared  bool
	Skew    time.Duration
	Changes remote.Changes
	// Tenants are those that are refused, since other gateways configure them
	// differently.
	Tenants []string
	// Backup is whose moment the last backup has, as far as is known; zero: there is none.
	Backup time.Time
	// Process is the id of the process that has the database open; 0: this one.
	Process int
}

// onServer is an engine whose database is on a server.
type onServer interface {
	Heard() time.Time
	ClockSkew() time.Duration
	Changes() remote.Changes
}

// Condition returns what the engine reports of itself. It does not wait.
func (d *Shared) Condition() (h Condition) {
	d.mu.Lock()
	s, failed, since := d.store, d.failed, d.since
	d.mu.Unlock()
	if failed != nil {
		h.Reason, h.Since = failed.Error(), &since
	}
	if s == nil {
		return h
	}
	if db := d.opened.Load(); db != nil {
		h.Generation = db.Fencing().Generation
		d.backups.look(db)
		h.Backup = db.KnownBackup().Moment
	}
	if shared, ok := s.(onServer); ok {
		if at := shared.Heard(); !at.IsZero() {
			h.Heard = time.Since(at)
		}
		h.Shared, h.Skew, h.Changes = true, shared.ClockSkew(), shared.Changes()
	}
	if child, ok := s.(interface{ PID() int }); ok {
		h.Process = child.PID()
	}
	now := s.Health()
	h.Marked, h.Waiting = !now.Unmarked, now.Waiting
	switch {
	case now.Down != nil:
		h.Reason = now.Down.Error()
		if at := s.Since(); !at.IsZero() {
			h.Since = &at
		}
	case failed != nil:
	case now.Low != nil:
		h.Reason = now.Low.Error()
		h.Refused = "everything that needs a change to the database, but revocations, resets and removals"
	case now.Waiting > longWait:
		h.Reason = "the disk is slow: a change waits for it"
	}
	return h
}

// RefusedTenants returns the tenants of a configuration that other gateways configure
// differently, with the reasons, as far as is known. It does not wait.
func (d *Shared) RefusedTenants(mine map[string]*records.Fingerprint) map[string]error {
	if db := d.opened.Load(); db != nil {
		return db.RefusedTenants(mine)
	}
	return nil
}
