package ceremony

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Activity is something that was done with a subject's means of proof, or to
// them, as the subject sees it. The words are those of [Event].
type Activity = records.Activity

const activityTTL = 90 * 24 * time.Hour

// activityClass parts what is kept, so that nobody can make the gateway forget
// what they did by doing much of what is easy: wrong answers cost nothing, and who
// has an authenticator passes as often as they like.
type activityClass byte

// The classes. Each stands before the ids of its records.
const (
	classChange  activityClass = 'c'
	classPass    activityClass = 'p'
	classRefused activityClass = 'r' // and codes that were sent
)

// keptActivity is how many of each class are kept, of which the latest are shown
// first.
var keptActivity = map[activityClass]int{classChange: 40, classPass: 40, classRefused: 20}

func classOf(a *Activity) activityClass {
	switch kind, outcome := EventKind(a.Kind), Outcome(a.Outcome); {
	case outcome == Refused, outcome == SentOut:
		return classRefused
	case kind == EventVerify, kind == EventRevoke:
		return classPass
	}
	return classChange
}

// Activity lists what was done of late, the latest first.
func (s *Service) Activity(ctx context.Context, p Principal) ([]Activity, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return nil, err
	}
	var list []Activity
	for class, kept := range keptActivity {
		rows, err := db.Activities.List(ctx, db.Holder(p.Subject), []byte{byte(class)}, kept)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if s.now().Sub(row.Value.Time) < activityTTL {
				list = append(list, row.Value)
			}
		}
	}
	slices.SortFunc(list, func(a, b Activity) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Kind, b.Kind))
	})
	return list, nil
}

// LatestActivity picks at most room of a list of what was done, with the latest of
// each class among them: a page full of wrong answers would hide the right one.
func LatestActivity(list []Activity, room int) []Activity {
	seen := make(map[activityClass]int)
	sure := make([]bool, len(list))
	rest := room
	for i := range list {
		class := classOf(&list[i])
		if seen[class]++; seen[class] <= room/len(keptActivity) {
			sure[i] = true
			rest--
		}
	}
	var picked []Activity
	for i := range list {
		if !sure[i] {
			if rest == 0 {
				continue
			}
			rest--
		}
		picked = append(picked, list[i])
	}
	return picked
}

// isActivity tells which events their subject sees. Answers that were not looked
// at are not among them, so that nobody fills the disk by sending more.
func isActivity(e *Event) bool {
	switch e.Kind {
	case EventVerify, EventConfirm:
		return e.Outcome != Refused || e.Cause == string(cause.InvalidCode) || e.Cause == string(cause.Cloned)
	case EventRename, EventRemove, EventVouch, EventDisown, EventRecoveryCodes, EventRevoke, EventReset, EventUnlock:
		return e.Outcome == Done
	}
	return e.Outcome == SentOut
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
	a := Activity{
		Time: e.Time, Kind: string(e.Kind), Outcome: string(e.Outcome), Cause: e.Cause, Action: e.Action, Method: e.Method, Authenticator: e.label, Address: p.Address, Client: p.Client,
	}
	// The latest of a class come first in the order of ids.
	holder, class := db.Holder(p.Subject), classOf(&a)
	id := append(binary.BigEndian.AppendUint64([]byte{byte(class)}, ^uint64(e.Time.UnixNano())), newID(4)...)
	put, err := db.Activities.Set(holder, id, a, e.Time.Add(activityTTL))
	if err != nil {
		return
	}
	ops, kept := []store.Op{put}, keptActivity[class]
	rows, err := db.Activities.List(ctx, holder, []byte{byte(class)}, 2*kept)
	if err != nil {
		return
	}
	for _, row := range rows[min(len(rows), kept-1):] {
		ops = append(ops, db.Activities.Drop(row))
	}
	_ = db.Apply(ctx, ops...)
}
