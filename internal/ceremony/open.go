package ceremony

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// A browser restores its windows, and each of them asks for the same action: one
// proof answers all of their challenges. What was sent for the others meanwhile,
// mostly the same code again, is no guess.

// isOpen reports whether another challenge's proof has opened what c asks for.
func (s *Service) isOpen(c *records.Challenge) bool { return s.now().Before(c.OpenUntil) }

// closing gives the ops by which a challenge ends that the grant in won answers:
// the challenge goes, the request that it holds knows its grant, and what else
// the proof has opened is told so. Whatever passes a challenge applies them with
// the grant, a proof as well as a first enrollment.
func (s *Service) closing(ctx context.Context, db *records.DB, p Principal, passed records.Row[records.Challenge], won *Won) ([]store.Op, error) {
	end, err := s.end(db, p, passed, won)
	if err != nil {
		return nil, err
	}
	ops := []store.Op{end}
	if passed.Value.Held && won.Grant.Use == grants.OneTimeUse {
		link, err := s.link(ctx, db, won.Grant.Holder, ticketID(db, passed), won.ID)
		if err != nil {
			return nil, err
		}
		ops = append(ops, link...)
	}
	opened, err := s.openOthers(ctx, db, p, passed, won)
	return append(ops, opened...), err
}

// end is the op by which a challenge ends. One that several windows may show, since
// each went to the same address, is known as passed, so that the others are sent on.
func (s *Service) end(db *records.DB, p Principal, passed records.Row[records.Challenge], won *Won) (store.Op, error) {
	c := passed.Value
	if won.Grant.Use != grants.TimeBased || p.Client != "" || p.Browser == [32]byte{} || c.ReturnTo == "" || c.Held || len(c.Request) > 0 || c.Operation != "" {
		return db.Challenges.Delete(passed), nil
	}
	c.Passed = true
	return db.Challenges.Update(passed, c, c.Expires.Add(lapsedFor))
}

// Passed returns p's challenge that was passed and that several windows may show.
// [ErrNotFound] for others.
func (s *Service) Passed(ctx context.Context, p Principal, id string) (Challenge, error) {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Challenge{}, err
	}
	row, err := s.ownChallenge(ctx, db, p, id)
	if err == nil && !row.Value.Passed {
		err = ErrNotFound
	}
	if err != nil {
		return Challenge{}, err
	}
	return challengeOf(db, row)
}

// openOthers gives the ops by which the browser's other challenges know that the
// proof in won has opened their action too. A grant that is good for one request
// opens nothing else.
func (s *Service) openOthers(ctx context.Context, db *records.DB, p Principal, passed records.Row[records.Challenge], won *Won) ([]store.Op, error) {
	if won.Grant.Use != grants.TimeBased || p.Client != "" || p.Browser == [32]byte{} || len(passed.Value.Request) > 0 || passed.Value.Operation != "" {
		return nil, nil
	}
	mine, err := db.Challenges.List(ctx, won.Grant.Holder, p.Browser[:], 2*maxChallenges)
	if err != nil {
		return nil, err
	}
	binding := grants.Binding{Session: p.Session}
	var ops []store.Op
	for _, row := range mine {
		c := row.Value
		if string(db.Challenges.ID(row)) == string(db.Challenges.ID(passed)) || c.Site != passed.Value.Site || len(c.Request) > 0 || c.Operation != "" || c.Passed || s.isOpen(&c) || !s.now().Before(c.Expires) {
			continue
		}
		d, err := demandOf(&c)
		if err != nil || won.Grant.Check(&d, &won.Grant.Holder, &binding, s.now()) != nil {
			continue
		}
		c.OpenUntil = time.Unix(0, min(won.Grant.Expires, won.Grant.AuthTime+int64(d.TTL)))
		op, err := db.Challenges.Update(row, c, c.Expires.Add(lapsedFor))
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// unlessOpened returns err, or [ErrOpen] where the action was opened after the
// answer came. The attempt that was counted for it, if one was, is given back.
func (s *Service) unlessOpened(ctx context.Context, db *records.DB, p Principal, id string, c *counted, m grants.Methods, err error) error {
	row, found := s.findChallenge(ctx, db, p, id)
	if found != nil || !s.isOpen(&row.Value) {
		return err
	}
	if c == nil {
		return ErrOpen
	}
	if failed := records.Again(func() error { return s.uncount(ctx, db, db.Holder(p.Subject), *c, m) }); failed != nil {
		return errors.Join(ErrOpen, failed)
	}
	return ErrOpen
}

// uncount takes one counted attempt back. The success that opened the action may
// have forgiven it already.
func (s *Service) uncount(ctx context.Context, db *records.DB, h grants.Holder, c counted, m grants.Methods) error {
	row, err := db.Attempts.Find(ctx, h, []byte(c.budget))
	if err != nil || row.Value.Wrong[m.String()] == 0 {
		return err
	}
	next := records.Attempts{Wrong: maps.Clone(row.Value.Wrong), NotBefore: row.Value.NotBefore}
	if next.Wrong[m.String()]--; next.Wrong[m.String()] == 0 {
		delete(next.Wrong, m.String())
	}
	if next.Total() < s.set.Budgets.Free || next.NotBefore.Equal(c.notBefore) {
		next.NotBefore = time.Time{}
	}
	op, err := db.Attempts.Update(row, next, time.Time{})
	if err != nil {
		return err
	}
	return db.Apply(ctx, op)
}
