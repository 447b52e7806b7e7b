package ceremony

import (
	"context"
	"encoding/hex"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Snapshot returns the database as it is now, for a backup. Whoever asked for it closes
// it.
func (s *Service) Snapshot(ctx context.Context) (*records.Snapshot, error) {
	db, err := s.open(ctx)
	var x *records.Snapshot
	if err == nil {
		x, err = db.Snapshot(ctx)
	}
	e := Event{Kind: EventBackup, Outcome: Begun}
	if err != nil {
		e.Outcome, e.Cause = Refused, causeOf(err)
	}
	s.report(ctx, Principal{}, e)
	return x, err
}

// NoteBackup notes a backup that is where it is to be.
func (s *Service) NoteBackup(ctx context.Context, b records.BackedUp) error {
	db, err := s.open(ctx)
	if err == nil {
		err = db.NoteBackup(ctx, b)
	}
	if err == nil {
		s.report(ctx, Principal{}, Event{Kind: EventBackup, Outcome: Done, Object: hex.EncodeToString(b.SHA256)})
	}
	return err
}
