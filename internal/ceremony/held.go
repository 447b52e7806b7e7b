package ceremony

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// ResumeParam is the query parameter that names the ticket of a held request,
// worthless without the browser's cookie.
const ResumeParam = "step_up_resume"

// resumeGrace is how much longer than its challenge a held request is kept: who
// proves in the last second still has to come back.
const resumeGrace = 2 * time.Minute

// heldKept is how long a request is held after its challenge ran out, unless
// others need the room: who was called away begins again with what they sent.
const heldKept = time.Hour

// resumeURL is the address by which a browser comes back for a held request.
func resumeURL(asked, id string) string {
	if strings.Contains(asked, "?") {
		return asked + "&" + ResumeParam + "=" + id
	}
	return asked + "?" + ResumeParam + "=" + id
}

// hold gives the ops that keep a request and its ticket under a challenge's id.
// The oldest ones of the browser, and of the subject, make room for it. [ErrLimit] where as much is
// held as may be in all.
func (s *Service) hold(ctx context.Context, db *records.DB, p Principal, h grants.Holder, id []byte, c *records.Challenge, gate string, held *heldrequest.Packed) ([]store.Op, error) {
	now := s.now()
	ops, freed, err := s.makeHeldRoom(ctx, db, p, h, now)
	if err != nil {
		return nil, err
	}
	size := records.HeldSize(held)
	ok, err := db.ReserveHeld(ctx, size-freed, s.set.HeldInAll, now)
	if err != nil {
		return nil, err
	}
	if !ok {
		if ok, err = db.DropLapsed(ctx, size-freed, now); ok && err == nil {
			ok, err = db.ReserveHeld(ctx, size-freed, s.set.HeldInAll, now)
		}
		if err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, ErrLimit
	}
	t := records.Ticket{
		Action: c.Action, Site: c.Site, Session: c.Session, URL: c.ReturnTo, Gate: gate, Size: size,
		Expires: c.Expires.Add(resumeGrace), Kept: c.Expires.Add(heldKept),
	}
	// One that is begun again at the last moment still has all its time.
	until := t.Until().Add(s.set.ChallengeTTL + resumeGrace)
	ticket, err := db.Tickets.Put(h, id, t, 0, until.Add(tidyAfter))
	if err != nil {
		return nil, err
	}
	resume, err := db.Resumes.Put(grants.Holder{}, id, records.Resume{Holder: h[:]}, 0, until.Add(tidyAfter))
	if err != nil {
		return nil, err
	}
	return append(ops, ticket, resume, db.PutHeld(h, id, held, until)), nil
}

// heldBrowsers is for how many browsers' worth a subject can have requests held.
// Browsers are the client's to make up, and one person must not take the room of
// all others.
const heldBrowsers = 4

// makeHeldRoom gives the ops that remove the oldest requests where p has as many
// held as may be, in this browser or in all, and how many bytes that frees.
func (s *Service) makeHeldRoom(ctx context.Context, db *records.DB, p Principal, h grants.Holder, now time.Time) (ops []store.Op, freed int64, err error) {
	all, err := db.Tickets.List(ctx, h, nil, maxListed)
	if err != nil {
		return nil, 0, err
	}
	age := func(t *records.Ticket) time.Time { return t.Expires }
	var mine, others []records.Row[records.Ticket]
	for _, row := range all {
		if bytes.HasPrefix(db.Tickets.ID(row), p.Browser[:]) {
			mine = append(mine, row)
		} else {
			others = append(others, row)
		}
	}
	over := oldest(mine, s.set.HeldPerBrowser-1, age)
	over = append(over, oldest(others, heldBrowsers*s.set.HeldPerBrowser-1-(len(mine)-len(over)), age)...)
	for _, row := range over[:min(len(over), store.MaxOps/4)] {
		ops = append(ops, db.Tickets.Drop(row), db.Held.DropID(h, db.Tickets.ID(row)))
		if now.Before(row.Value.Until()) && len(row.Value.Spent) == 0 {
			freed += row.Value.Size
		}
	}
	return ops, freed, nil
}
