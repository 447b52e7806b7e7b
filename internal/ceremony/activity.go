package ceremony

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// Activity is something that was done with a subject's means of proof, or to
// them, as the subject sees it. The words are those of [Event].
type Activity = records.Activity

const (
	maxActivity = 50
	activityTTL = 90 * 24 * time.Hour
)

// Activity lists what was done of late, the latest first.
func (s *Service) Activity(ctx context.Context, p Principal) ([]Activity, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	rows, err := db.Activities.List(ctx, db.Holder(p.Subject), nil, maxActivity)
	if err != nil {
		return nil, err
	}
	var list []Activity
	for _, row := range rows {
		if s.now().Sub(row.Value.Time) < activityTTL {
			list = append(list, row.Value)
		}
	}
	return list, nil
}

// isActivity tells which events their subject sees. Answers that were not looked
// at are not among them, so that nobody fills the disk by sending more.
func isActivity(e *Event) bool {
	switch e.Kind {
	case "verify", "confirm":
		return e.Outcome != "refused" || e.Cause == "invalid_code" || e.Cause == "cloned"
	case "rename", "remove", "recovery_codes", "revoke", "reset", "unlock":
		return e.Outcome == "done"
	case "sms":
		return e.Outcome == "sent"
	}
	return false
}

// keepActivity notes an event for its subject. The audit log has it already:
// where the note cannot be written the decision stands.
func (s *Service) keepActivity(ctx context.Context, p Principal, e *Event) {
	if p.IsZero() || !isActivity(e) {
		return
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return
	}
	// The latest come first in the order of ids.
	holder, id := db.Holder(p.Subject), append(binary.BigEndian.AppendUint64(nil, ^uint64(e.Time.UnixNano())), newID(4)...)
	put, err := db.Activities.Set(holder, id, Activity{
		Time: e.Time, Kind: e.Kind, Outcome: e.Outcome, Cause: e.Cause, Action: e.Action, Method: e.Method, Address: p.Address, Client: p.Client,
	}, e.Time.Add(activityTTL))
	if err != nil {
		return
	}
	ops := []store.Op{put}
	rows, err := db.Activities.List(ctx, holder, nil, 2*maxActivity)
	if err != nil {
		return
	}
	for _, row := range rows[min(len(rows), maxActivity-1):] {
		ops = append(ops, db.Activities.Drop(row))
	}
	_ = db.Apply(ctx, ops...)
}
