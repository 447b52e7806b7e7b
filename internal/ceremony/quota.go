package ceremony

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Quota bounds the codes of one kind that are sent. What is sent costs money, and
// addresses of one's own choice bring it in for some: the caps are what stops that
// (pumping).
type Quota struct {
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

func (q Quota) isComplete() bool {
	return q.CodeTTL > 0 && q.ResendAfter > 0 && q.PerSubject > 0 && q.PerDestination > 0 && q.Total > 0
}

// claimed is how many of the codes to one number in a day may be sent before it was
// confirmed: else whoever claims another's number could use up the owner's.
func (q Quota) claimed() int { return (q.PerDestination + 1) / 2 }

// maxGivenBack bounds the codes that are not charged within [SubjectWindow] since
// they were not sent. Whoever can make sending fail, by a number that does not exist or by
// hanging up on us in the middle, would have no cap of their own otherwise, and
// would use up that of all.
const maxGivenBack = 10

// reserve counts one more code against every cap, of which perDestination is the
// number's, together with the ops that
// change gives for the number, and tells how to take back what must not be
// charged where it cannot be sent. The code is known again by the time at which it
// was counted, so there is one time for all that is written.
func (s *Service) reserve(ctx context.Context, db *records.DB, p Principal, d Deliverer, perDestination int, change func(now time.Time) (string, []store.Op, error)) (Sent, func(context.Context) error, error) {
	holder, q, name := db.Holder(p.Subject), d.Quota(), d.Method().String()
	var sent Sent
	var now time.Time
	err := records.Again(func() error {
		now = s.now()
		to, ops, err := change(now)
		if err != nil {
			return err
		}
		mine, err := s.oneMore(ctx, db, holder, SubjectWindow, q.PerSubject, q.ResendAfter, now)
		if err != nil {
			return err
		}
		// Most mailboxes take their name in any case, so that its spellings are one.
		theirs, err := s.oneMore(ctx, db, db.NameKey(name+" destination", strings.ToLower(to)), DestinationWindow, perDestination, 0, now)
		if err != nil {
			return err
		}
		all, err := s.oneMoreInAll(ctx, db, name, q.Total, now)
		if err != nil {
			return err
		}
		sent = Sent{Suffix: d.Hint(to), ResendAt: now.Add(q.ResendAfter), Expires: now.Add(q.CodeTTL)}
		return db.Apply(ctx, append(ops, mine, theirs, all)...)
	})
	undo := func(ctx context.Context) error {
		return records.Again(func() error {
			row, err := db.Sends.Find(ctx, holder, nil)
			if err != nil {
				return err
			}
			at := slices.IndexFunc(row.Value.At, now.Equal)
			if at < 0 {
				return nil
			}
			back := within(row.Value.GivenBack, SubjectWindow, now)
			if len(back) >= maxGivenBack {
				return nil
			}
			next := records.Sends{At: slices.Delete(slices.Clone(row.Value.At), at, at+1), GivenBack: append(back, now)}
			put, err := db.Sends.Update(row, next, now.Add(SubjectWindow))
			if err != nil {
				return err
			}
			return db.Apply(ctx, put)
		})
	}
	return sent, undo, err
}

// notSent takes back what a code that was not sent cost its subject. What counts
// for the destination and in all stays counted: nobody knows whether a sender
// that failed late has not delivered after all.
func (s *Service) notSent(ctx context.Context, db *records.DB, undo func(context.Context) error) error {
	if err := undo(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return ErrNotSent
}

// oneMore is the op that counts one more code within a window, or a [SendWait].
func (s *Service) oneMore(ctx context.Context, db *records.DB, h grants.Holder, window time.Duration, limit int, pause time.Duration, now time.Time) (store.Op, error) {
	row, err := db.Sends.Find(ctx, h, nil)
	if err != nil {
		return store.Op{}, err
	}
	at := within(row.Value.At, window, now)
	if next := nextSend(at, window, limit, pause); now.Before(next) {
		return store.Op{}, &SendWait{For: next.Sub(now)}
	}
	return db.Sends.Update(row, records.Sends{At: append(at, now), GivenBack: within(row.Value.GivenBack, window, now)}, now.Add(window))
}

// within gives those of the times that lie in the window which ends now. Those that
// are yet to come are from when the clock was ahead: nobody knows when that was, and
// nobody waits longer than the window for them.
func within(times []time.Time, window time.Duration, now time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(times), func(t time.Time) bool { return now.Sub(t) >= window || t.Sub(now) > clockSkew })
}

// clockSkew is how far apart the clocks of gateways on one database may be.
const clockSkew = 10 * time.Second

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
func (s *Service) oneMoreInAll(ctx context.Context, db *records.DB, name string, total int, now time.Time) (store.Op, error) {
	row, err := db.Sends.Find(ctx, db.NameKey(name+" total"), nil)
	if err != nil {
		return store.Op{}, err
	}
	next := records.Sends{Since: row.Value.Since, Count: row.Value.Count + 1}
	if age := now.Sub(next.Since); age >= TotalWindow || age < 0 {
		next = records.Sends{Since: now, Count: 1}
	}
	if next.Count > total {
		return store.Op{}, &SendWait{For: TotalWindow - now.Sub(next.Since)}
	}
	return db.Sends.Update(row, next, next.Since.Add(TotalWindow))
}
