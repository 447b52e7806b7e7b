// Package quota bounds the codes that are sent. What is sent costs money, and
// addresses of one's own choice bring it in for some: the caps are what stops that
// (pumping).
package quota

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Bounds are those of the codes of one kind.
type Bounds struct {
	// CodeTTL is how long a code is good, ResendAfter how long one waits for
	// the next.
	CodeTTL, ResendAfter time.Duration
	// PerSubject, PerDestination and Total bound what is sent in
	// [SubjectWindow], [DestinationWindow] and [TotalWindow]. Half of
	// PerDestination is for addresses that are confirmed.
	PerSubject, PerDestination, Total int
}

// The windows in which what was sent is counted.
const (
	SubjectWindow     = 10 * time.Minute
	DestinationWindow = 24 * time.Hour
	TotalWindow       = time.Hour
)

// ClockSkew is how far apart the clocks of gateways on one database may be.
const ClockSkew = 10 * time.Second

// ErrTooMany reports that no code is sent now. See [Wait].
var ErrTooMany = cause.New(cause.TooManySends, "too many codes were sent")

// Wait is ErrTooMany with what to wait for.
type Wait struct{ For time.Duration }

func (e *Wait) Error() string   { return ErrTooMany.Error() }
func (e *Wait) Is(t error) bool { return t == ErrTooMany }

// Cause is cause.TooManySends.
func (e *Wait) Cause() cause.Word { return cause.TooManySends }

// IsComplete reports whether every bound is set.
func (b Bounds) IsComplete() bool {
	return b.CodeTTL > 0 && b.ResendAfter > 0 && b.PerSubject > 0 && b.PerDestination > 0 && b.Total > 0
}

// Claimed are the bounds for an address that is not confirmed yet, which get half of
// the codes to it: else anyone who claims another's could use up the owner's.
func (b Bounds) Claimed() Bounds {
	b.PerDestination = (b.PerDestination + 1) / 2
	return b
}

// maxGivenBack bounds the codes that are not charged within [SubjectWindow] since
// they were not sent. Anyone who can make sending fail, by a number that does not exist or by
// hanging up on us in the middle, would have no cap of their own otherwise, and
// would use up that of all.
const maxGivenBack = 10

// A Sending is one code that is about to be sent.
type Sending struct {
	Bounds
	Holder grants.Holder // to whom
	Kind   string        // of the code; each kind is counted by itself
}

// Reserve counts the code against every cap, together with the ops that change
// returns beside the address. It returns when the code was counted, by which it is
// known again, and where it goes. It fails with a [Wait], and with what change does.
func (s Sending) Reserve(ctx context.Context, db *records.DB, clock func() time.Time, change func(now time.Time) (to string, ops []store.Op, err error)) (now time.Time, to string, err error) {
	err = records.Again(func() (err error) {
		now = clock()
		var ops []store.Op
		if to, ops, err = change(now); err != nil {
			return err
		}
		mine, err := oneMore(ctx, db, s.Holder, SubjectWindow, s.PerSubject, s.ResendAfter, now)
		if err != nil {
			return err
		}
		// Most mailboxes take their name in any case, so that its spellings are one.
		theirs, err := oneMore(ctx, db, db.NameKey(s.Kind+" destination", strings.ToLower(to)), DestinationWindow, s.PerDestination, 0, now)
		if err != nil {
			return err
		}
		all, err := oneMoreInAll(ctx, db, s.Kind, s.Total, now)
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(ops, mine, theirs, all)...)
	})
	return now, to, err
}

// GiveBack takes back what a code that was not sent cost its subject. What counts
// for the destination and in all stays counted: nobody knows whether a sender that
// failed late has not delivered after all.
func (s Sending) GiveBack(ctx context.Context, db *records.DB, counted time.Time) error {
	return records.Again(func() error {
		row, err := db.Sends.Find(ctx, s.Holder, nil)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(row.Value.At, counted.Equal)
		if at < 0 {
			return nil
		}
		back := within(row.Value.GivenBack, SubjectWindow, counted)
		if len(back) >= maxGivenBack {
			return nil
		}
		next := records.Sends{At: slices.Delete(slices.Clone(row.Value.At), at, at+1), GivenBack: append(back, counted)}
		put, err := db.Sends.Update(row, next, counted.Add(SubjectWindow))
		if err != nil {
			return err
		}
		return db.Apply(ctx, put)
	})
}

// Sent returns when codes were sent to a holder recently, and when the next may be.
func (b Bounds) Sent(ctx context.Context, db *records.DB, h grants.Holder, now time.Time) (at []time.Time, next time.Time, err error) {
	row, err := db.Sends.Find(ctx, h, nil)
	if err != nil {
		return nil, time.Time{}, err
	}
	at = within(row.Value.At, SubjectWindow, now)
	return at, nextSend(at, SubjectWindow, b.PerSubject, b.ResendAfter), nil
}

// oneMore is the op that counts one more code within a window, or a [Wait].
func oneMore(ctx context.Context, db *records.DB, h grants.Holder, window time.Duration, limit int, pause time.Duration, now time.Time) (store.Op, error) {
	row, err := db.Sends.Find(ctx, h, nil)
	if err != nil {
		return store.Op{}, err
	}
	at := within(row.Value.At, window, now)
	if next := nextSend(at, window, limit, pause); now.Before(next) {
		return store.Op{}, &Wait{For: next.Sub(now)}
	}
	return db.Sends.Update(row, records.Sends{At: append(at, now), GivenBack: within(row.Value.GivenBack, window, now)}, now.Add(window))
}

// within returns those of the times that lie in the window which ends now. Those that
// are yet to come are from when the clock was ahead: nobody knows when that was, and
// nobody waits longer than the window for them.
func within(times []time.Time, window time.Duration, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return now.Sub(t) >= window || t.Sub(now) > ClockSkew })
}

// nextSend is when one more code may be sent after those sent at the times, of
// which the window holds no older one.
func nextSend(at []time.Time, window time.Duration, limit int, pause time.Duration) time.Time {
	var next time.Time
	if n := len(at); n > 0 {
		next = at[n-1].Add(pause)
	}
	if n := len(at); n >= limit && at[n-limit].Add(window).After(next) {
		next = at[n-limit].Add(window)
	}
	return next
}

// oneMoreInAll counts one more code of all of a kind.
func oneMoreInAll(ctx context.Context, db *records.DB, name string, total int, now time.Time) (store.Op, error) {
	row, err := db.Sends.Find(ctx, db.NameKey(name+" total"), nil)
	if err != nil {
		return store.Op{}, err
	}
	next := records.Sends{Since: row.Value.Since, Count: row.Value.Count + 1}
	if age := now.Sub(next.Since); age >= TotalWindow || age < 0 {
		next = records.Sends{Since: now, Count: 1}
	}
	if next.Count > total {
		return store.Op{}, &Wait{For: TotalWindow - now.Sub(next.Since)}
	}
	return db.Sends.Update(row, next, next.Since.Add(TotalWindow))
}
