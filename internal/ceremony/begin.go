package ceremony

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Ask is what a challenge is begun for.
type Ask struct {
	Demand grants.Demand
	// Label is the operator's name for the action, for people.
	Label string
	// Request binds the grant to one request; zero does not.
	Request [32]byte
	// Show is what the person sees of that request.
	Show []Shown
	// Operation is what a challenge for step_up.manage is for; see
	// [Service.BeginManage].
	Operation Operation
	// Site is scheme://host of the site, ReturnTo the path and query there that
	// the browser is sent to afterwards. ReturnTo is empty for clients that
	// are not browsers.
	Site, ReturnTo string
	// Foreign tells that another site sent the browser to ReturnTo, From which
	// one: scheme and host, empty where the browser does not say.
	Foreign bool
	From    string
	// Held is a request to carry on with afterwards, in whatever form; nil for
	// none. ReturnTo is then the address that was asked for, and the browser is
	// sent back to it with the ticket's name in [ResumeParam]. A one-time grant
	// that is won for it passes that request and no other.
	Held *heldrequest.Packed
	// Gate names the gateway instance that holds the request and will carry on
	// with it.
	Gate string
}

// Challenge is one pending step-up.
type Challenge struct {
	ID        string
	Demand    grants.Demand
	Label     string
	Operation Operation
	Site      string
	ReturnTo  string
	Show      []Shown
	// Held tells that a request waits for the challenge to be passed.
	Held bool
	// Foreign and From say whether another site sent the browser, and which.
	Foreign bool
	From    string
	// OpenUntil is set where another challenge's proof has opened the action in
	// this browser until then.
	OpenUntil time.Time
	Expires   time.Time

	mailbox mailbox // of who asks; see barred
}

// Shown is one field of the request that a challenge is bound to.
type Shown = records.Shown

// challengeIDLen is the length of a challenge's id in bytes: a UUID (version 4,
// RFC 9562). It is no secret: a challenge is found only for its own subject and
// browser.
const challengeIDLen = 16

// MaxReturnTo bounds a return target, in bytes.
const MaxReturnTo = 8 << 10

// Begin gives p's live challenge for what is asked, or begins one. It needs no
// enrollment: who has none is told so by [Service.Describe].
func (s *Service) Begin(ctx context.Context, p Principal, ask Ask) (Challenge, error) {
	if len(ask.ReturnTo) > MaxReturnTo || len(ask.Site) > MaxReturnTo {
		return Challenge{}, &Field{Name: "return_to", Detail: "the address is too long to come back to"}
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Challenge{}, err
	}
	now, holder := s.now(), db.Holder(p.Subject)
	want := records.Challenge{
		Action: ask.Demand.Action.String(), Label: ask.Label, Use: ask.Demand.Use.String(), TTL: ask.Demand.TTL,
		Methods: ask.Demand.Methods.Names(), Session: bytesOf(p.Session), Request: bytesOf(ask.Request),
		Operation: string(ask.Operation), Site: ask.Site, ReturnTo: ask.ReturnTo, Show: ask.Show,
		Foreign: ask.Foreign, From: ask.From, CreatedAt: now, Expires: now.Add(s.set.ChallengeTTL),
	}
	if _, err := demandOf(&want); err != nil {
		return Challenge{}, fmt.Errorf("beginning a challenge: %w", err)
	}
	// Concurrent callers may each find room for one more: twice the number is
	// listed so that the next one makes up for it.
	mine, err := db.Challenges.List(ctx, holder, p.Browser[:], 2*maxChallenges)
	if err != nil {
		return Challenge{}, err
	}
	for _, row := range mine {
		// A server is about to send a code, which must not outlive the challenge.
		if ask.Held == nil && p.Client == "" && !row.Value.Passed && sameAsk(&row.Value, &want) && row.Value.Expires.Sub(now) > s.set.ChallengeTTL/5 {
			return challengeOf(db, row)
		}
	}
	ops, err := s.makeRoom(ctx, db, holder, mine)
	if err != nil {
		return Challenge{}, err
	}
	id := newUUID()
	key := append(p.Browser[:], id...)
	if ask.Held != nil {
		more, err := s.hold(ctx, db, p, holder, key, &want, ask.Gate, ask.Held)
		if err != nil {
			return Challenge{}, err
		}
		ops = append(ops, more...)
		want.Held, want.ReturnTo = true, resumeURL(ask.ReturnTo, idText(id))
		if ask.Demand.Use == grants.OneTimeUse && len(want.Request) == 0 {
			want.Request = bytesOf(heldBinding(key))
		}
	}
	op, err := db.Challenges.Put(holder, key, want, 0, want.Expires.Add(lapsedFor))
	if err != nil {
		return Challenge{}, err
	}
	if err := db.Apply(ctx, append(ops, op)...); err != nil {
		return Challenge{}, err
	}
	c := Challenge{ID: idText(id), Demand: ask.Demand, Label: ask.Label,
		Operation: ask.Operation, Site: ask.Site, ReturnTo: want.ReturnTo, Show: ask.Show, Held: want.Held, Foreign: want.Foreign, From: want.From, Expires: want.Expires}
	s.report(ctx, p, Event{Kind: EventChallenge, Outcome: Begun, Action: want.Action, Object: c.ID})
	return c, nil
}

// makeRoom gives the ops that remove the oldest challenges where the subject
// has as many as it may have, in this browser or in all. Of all, those go first
// that ran out, then those whose browser never passed one: who has no more than a password must not be able
// to end what the person is about to pass.
func (s *Service) makeRoom(ctx context.Context, db *records.DB, h grants.Holder, mine []records.Row[records.Challenge]) ([]store.Op, error) {
	age := func(c *records.Challenge) time.Time { return c.CreatedAt }
	over := oldest(mine, maxChallenges-1, age)
	gone := make(map[string]bool, len(over))
	for _, row := range over {
		gone[string(db.Challenges.ID(row))] = true
	}
	all, err := db.Challenges.List(ctx, h, nil, 2*maxChallengesInAll)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(row records.Row[records.Challenge]) bool { return gone[string(db.Challenges.ID(row))] })
	if many := len(all) - (maxChallengesInAll - 1); many > 0 {
		known, err := db.Devices.List(ctx, h, nil, 2*maxDevices)
		if err != nil {
			return nil, err
		}
		stays := make(map[[32]byte]int, len(known))
		for _, row := range known {
			stays[[32]byte(db.Devices.ID(row))] = 1
		}
		slices.SortFunc(all, func(a, b records.Row[records.Challenge]) int {
			rank := func(row records.Row[records.Challenge]) int {
				if !s.now().Before(row.Value.Expires) {
					return -1
				}
				return stays[[32]byte(db.Challenges.ID(row)[:32])]
			}
			return cmp.Or(rank(a)-rank(b), age(&a.Value).Compare(age(&b.Value)))
		})
		over = append(over, all[:min(many, store.MaxOps/4)]...)
	}
	ops := make([]store.Op, 0, len(over)+1)
	for _, row := range over {
		ops = append(ops, db.Challenges.Drop(row))
	}
	return ops, nil
}

func sameAsk(a, b *records.Challenge) bool {
	return a.OpenUntil.Equal(b.OpenUntil) && a.Action == b.Action && a.Label == b.Label && a.Use == b.Use && a.TTL == b.TTL &&
		slices.Equal(a.Methods, b.Methods) && bytes.Equal(a.Session, b.Session) && bytes.Equal(a.Request, b.Request) &&
		a.Operation == b.Operation && a.Site == b.Site && a.ReturnTo == b.ReturnTo && a.Held == b.Held &&
		a.Foreign == b.Foreign && a.From == b.From && slices.Equal(a.Show, b.Show)
}

func bytesOf(d [32]byte) []byte {
	if d == [32]byte{} {
		return nil
	}
	return d[:]
}

func challengeOf(db *records.DB, row records.Row[records.Challenge]) (Challenge, error) {
	c, err := challengeIn(&row.Value)
	id := db.Challenges.ID(row)
	c.ID = idText(id[len(id)-challengeIDLen:])
	return c, err
}

// challengeIn is the challenge that a record holds, but for its id.
func challengeIn(v *records.Challenge) (Challenge, error) {
	c := Challenge{Label: v.Label, Operation: Operation(v.Operation), Site: v.Site, ReturnTo: v.ReturnTo, Show: v.Show, Held: v.Held, Foreign: v.Foreign, From: v.From, OpenUntil: v.OpenUntil, Expires: v.Expires}
	var err error
	if c.Demand, err = demandOf(v); err != nil {
		return Challenge{}, errors.Join(records.ErrCorrupt, err)
	}
	return c, nil
}

func demandOf(v *records.Challenge) (d grants.Demand, err error) {
	if d.Action, err = grants.NewAction(v.Action); err != nil {
		return d, err
	}
	if d.Use, err = grants.ParseUse(v.Use); err != nil {
		return d, err
	}
	d.TTL = v.TTL
	for _, name := range v.Methods {
		m, err := grants.ParseMethod(name)
		if err != nil {
			return d, err
		}
		d.Methods |= m
	}
	return d, nil
}

// findChallenge reads p's challenge. [ErrNotFound] as of ownChallenge; [ErrExpired]
// for one that ran out.
func (s *Service) findChallenge(ctx context.Context, db *records.DB, p Principal, id string) (records.Row[records.Challenge], error) {
	row, err := s.ownChallenge(ctx, db, p, id)
	switch {
	case err == nil && row.Value.Passed:
		return records.Row[records.Challenge]{}, ErrNotFound
	case err == nil && !s.now().Before(row.Value.Expires):
		return records.Row[records.Challenge]{}, ErrExpired
	}
	return row, err
}

// ownChallenge reads p's challenge, also one that ran out. [ErrNotFound] for an
// unknown one, another subject's, another browser's, another session's or another
// site's.
func (s *Service) ownChallenge(ctx context.Context, db *records.DB, p Principal, id string) (records.Row[records.Challenge], error) {
	var none records.Row[records.Challenge]
	raw, ok := parseID(id, challengeIDLen)
	if !ok {
		return none, ErrNotFound
	}
	row, err := db.Challenges.Get(ctx, db.Holder(p.Subject), append(p.Browser[:], raw...))
	if errors.Is(err, records.ErrNotFound) {
		return none, ErrNotFound
	}
	if err != nil {
		return none, err
	}
	if !bytes.Equal(row.Value.Session, bytesOf(p.Session)) || row.Value.Site != p.Site {
		return none, ErrNotFound
	}
	return row, nil
}

// challenge is findChallenge, with the challenge that the row holds.
func (s *Service) challenge(ctx context.Context, db *records.DB, p Principal, id string) (records.Row[records.Challenge], Challenge, error) {
	row, err := s.findChallenge(ctx, db, p, id)
	if err != nil {
		return row, Challenge{}, err
	}
	c, err := challengeOf(db, row)
	c.mailbox = mailboxOf(db, p)
	return row, c, err
}

// parseID reads an id of size bytes, of which there is exactly one spelling: the
// decoder alone would skip line breaks.
func parseID(id string, size int) ([]byte, bool) {
	if len(id) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return raw, err == nil && len(raw) == size
}

// accepts tells whether a challenge takes a means of proof: its demand's, and
// for managing one's authenticators what S14 allows.
func (s *Service) accepts(c *Challenge, m grants.Methods) bool {
	return c.Demand.Methods.Accepts(m) && (c.Operation == "" || c.Operation.methods().Accepts(m))
}

// Cancel removes p's challenge and what is held for it, also where it ran out. One that is gone already is no error.
func (s *Service) Cancel(ctx context.Context, p Principal, id string) error {
	ctx = store.Taking(ctx)
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	row, err := s.ownChallenge(ctx, db, p, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ops := []store.Op{db.Challenges.Drop(row)}
	if row.Value.Held {
		key := ticketID(db, row)
		ops = append(ops, db.Tickets.DropID(db.Holder(p.Subject), key), db.Held.DropID(db.Holder(p.Subject), key))
	}
	return db.Apply(ctx, ops...)
}
