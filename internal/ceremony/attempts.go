package ceremony

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Budgets bound the wrong answers in a row of one subject, across challenges
// and restarts (S05). They are kept apart by where the answer comes from, so
// that a guesser in a browser of his own cannot lock out the person.
type Budgets struct {
	// Device is for browsers in which the subject once succeeded, Browser for
	// all others together, and API for all servers together: what an account can
	// take must not grow with the number of API keys (NIST SP 800-63B section
	// 3.2.2 allows 100 in all).
	Device, Browser, API int
	// Free wrong answers cost no waiting. After that many one waits FirstWait,
	// doubling with each further one up to MaxWait.
	Free               int
	FirstWait, MaxWait time.Duration
}

// DefaultBudgets are those of config.Limits.
func DefaultBudgets() Budgets {
	return Budgets{Device: 20, Browser: 60, API: 20, Free: 5, FirstWait: 30 * time.Second, MaxWait: time.Hour}
}

// The names under which budgets are stored. Under oldBudgetAPI and a client's name
// stood a budget of each API client by itself; see [Service.readBudget].
const (
	budgetDevice  = "device"
	budgetBrowser = "browser"
	budgetAPI     = "api"
	oldBudgetAPI  = "api "
)

// of is how large the budget of that name is.
func (b Budgets) of(name string) int {
	switch name {
	case budgetDevice:
		return b.Device
	case budgetAPI:
		return b.API
	}
	return b.Browser
}

// budget is one budget as it stands.
type budget struct {
	name string
	max  int
	row  records.Row[records.Attempts]
	// most is the longest wait that there is, and again the one that as many wrong
	// answers begin.
	most, again time.Duration
}

func (b *budget) left() int { return max(0, b.max-b.row.Value.Total()) }

// wait tells why no answer is looked at now, or nil.
func (b *budget) wait(now time.Time) *Wait {
	if b.left() == 0 {
		return &Wait{Disabled: true}
	}
	d := b.row.Value.NotBefore.Sub(now)
	if d > b.most {
		d = b.again // the clock was ahead; see settleWait
	}
	if d > 0 {
		return &Wait{For: d}
	}
	return nil
}

// settleWait returns w, the reason for which no answer is looked at. A wait that
// is longer than any was begun while the clock was ahead. Nobody knows how much of
// it is over, so it begins anew, and then it does end.
func (s *Service) settleWait(ctx context.Context, db *records.DB, b *budget, now time.Time, w *Wait) error {
	if w.Disabled || b.row.Value.NotBefore.Sub(now) <= b.most {
		return w
	}
	next := b.row.Value
	next.NotBefore = now.Add(b.again)
	op, err := db.Attempts.Update(b.row, next, time.Time{})
	if err != nil {
		return err
	}
	if err := db.Apply(ctx, op); err != nil {
		return err
	}
	return w
}

// budget reads the budget that p's answers are counted on.
func (s *Service) budget(ctx context.Context, db *records.DB, p Principal, h grants.Holder) (*budget, error) {
	name := budgetBrowser
	if p.Client != "" {
		name = budgetAPI
	} else if p.Browser != [32]byte{} {
		device, err := db.Devices.Get(ctx, h, p.Browser[:])
		switch {
		case err == nil && s.now().Before(device.Value.Expires):
			name = budgetDevice
		case err != nil && !errors.Is(err, records.ErrNotFound):
			return nil, err
		}
	}
	row, err := s.readBudget(ctx, db, h, name)
	return s.budgetOf(name, row), err
}

// budgetOf returns the budget of that name as a row has it.
func (s *Service) budgetOf(name string, row records.Row[records.Attempts]) *budget {
	return &budget{
		name: name, max: s.set.Budgets.of(name), row: row,
		most: max(s.set.Budgets.MaxWait, s.set.Budgets.FirstWait), again: s.set.Budgets.waitAfter(row.Value.Total()),
	}
}

// readBudget reads the budget of that name. Until the one of all API clients is
// first written, what was counted on each client's own stands for it: nobody gets
// new guesses by an upgrade.
func (s *Service) readBudget(ctx context.Context, db *records.DB, h grants.Holder, name string) (records.Row[records.Attempts], error) {
	row, err := db.Attempts.Find(ctx, h, []byte(name))
	if err != nil || name != budgetAPI || row.Version != 0 {
		return row, err
	}
	old, err := db.Attempts.List(ctx, h, []byte(oldBudgetAPI), maxListed)
	if err != nil || len(old) == 0 {
		return row, err
	}
	row.Value.Wrong = make(map[string]int)
	for _, o := range old {
		for method, wrong := range o.Value.Wrong {
			row.Value.Wrong[method] += wrong
		}
		if o.Value.NotBefore.After(row.Value.NotBefore) {
			row.Value.NotBefore = o.Value.NotBefore
		}
	}
	return row, nil
}

// counted is an attempt that was taken off a budget: which one, and the wait
// that it began there.
type counted struct {
	budget    string
	notBefore time.Time
}

// count takes one attempt off p's budget, durably, before the answer is looked
// at. It fails with a [Wait] where no answer may be looked at.
func (s *Service) count(ctx context.Context, db *records.DB, p Principal, h grants.Holder, m grants.Methods) (counted, error) {
	var c counted
	err := records.Again(func() error {
		b, err := s.budget(ctx, db, p, h)
		if err != nil {
			return err
		}
		now := s.now()
		if w := b.wait(now); w != nil {
			return s.settleWait(ctx, db, b, now, w)
		}
		next := records.Attempts{Wrong: maps.Clone(b.row.Value.Wrong)}
		if next.Wrong == nil {
			next.Wrong = make(map[string]int)
		}
		next.Wrong[m.String()]++
		next.NotBefore = s.set.Budgets.notBefore(next.Total(), now)
		op, err := db.Attempts.Update(b.row, next, time.Time{})
		if err != nil {
			return err
		}
		c = counted{budget: b.name, notBefore: next.NotBefore}
		return db.Apply(ctx, op)
	})
	return c, err
}

func (b Budgets) notBefore(wrong int, now time.Time) time.Time {
	if wrong < b.Free {
		return time.Time{}
	}
	return now.Add(b.waitAfter(wrong))
}

// waitAfter is the wait that so many wrong answers begin, of which at least one is
// not free.
func (b Budgets) waitAfter(wrong int) time.Duration {
	wait := b.FirstWait
	for n := b.Free; n < wrong && wait < b.MaxWait; n++ {
		wait *= 2
	}
	return min(wait, b.MaxWait)
}

// forgive is the op by which a success with m clears what was counted for m on
// the budget that it was counted on, and nothing else: who can pass by one means
// of proof must not thereby gain guesses at another. The wait goes that the
// success itself began by being counted, and one that wrong answers began stays
// unless they all are forgiven.
func (s *Service) forgive(ctx context.Context, db *records.DB, c counted, h grants.Holder, m grants.Methods) (store.Op, error) {
	row, err := s.readBudget(ctx, db, h, c.budget)
	if err != nil {
		return store.Op{}, err
	}
	next := records.Attempts{Wrong: maps.Clone(row.Value.Wrong), NotBefore: row.Value.NotBefore}
	delete(next.Wrong, m.String())
	if next.Total() < s.set.Budgets.Free || next.NotBefore.Equal(c.notBefore) {
		next.NotBefore = time.Time{}
	}
	return db.Attempts.Update(row, next, time.Time{})
}

// remember gives the ops by which p's browser is known as one where its subject
// succeeded. Of too many browsers those go that were seen the longest ago.
func (s *Service) remember(ctx context.Context, db *records.DB, p Principal, h grants.Holder) ([]store.Op, error) {
	if p.Browser == [32]byte{} || p.Client != "" {
		return nil, nil
	}
	now := s.now()
	known, err := db.Devices.List(ctx, h, nil, 2*maxDevices)
	if err != nil {
		return nil, err
	}
	for _, row := range known {
		if [32]byte(db.Devices.ID(row)) == p.Browser && row.Value.Expires.Sub(now) > deviceTTL-24*time.Hour {
			return nil, nil // once a day is enough
		}
	}
	known = slices.DeleteFunc(known, func(row records.Row[records.Device]) bool {
		return [32]byte(db.Devices.ID(row)) == p.Browser
	})
	var ops []store.Op
	for _, row := range oldest(known, maxDevices-1, func(d *records.Device) time.Time { return d.Expires }) {
		ops = append(ops, db.Devices.Drop(row))
	}
	until := now.Add(deviceTTL)
	put, err := db.Devices.Set(h, p.Browser[:], records.Device{Expires: until}, until)
	return append(ops, put), err
}

// oldest gives the rows that are too many to keep only room of them.
func oldest[T any](rows []records.Row[T], room int, age func(*T) time.Time) []records.Row[T] {
	if len(rows) <= room {
		return nil
	}
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b records.Row[T]) int { return age(&a.Value).Compare(age(&b.Value)) })
	return rows[:len(rows)-room]
}
