package ceremony

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

var (
	// ErrNotSent tells that a code could not be sent. Nothing is burned by it,
	// and the next may be sent at once; but not without end.
	ErrNotSent = cause.New(cause.NotSent, "the code could not be sent")
	// ErrNumberRefused tells that a phone number is one to which no codes are
	// sent, such as of a country that the operator did not name.
	ErrNumberRefused = cause.New(cause.InvalidRequest, "no codes are sent to this number")
	// ErrNoSMS tells that no codes are sent here.
	ErrNoSMS = cause.New(cause.NoSMS, "codes of this kind are not sent here")
)

// Sent is a code that is on its way.
type Sent struct {
	// Method is the kind that sends, also where sending failed.
	Method grants.Methods
	// Suffix is by what its owner knows again where it was sent: the last digits
	// of a number.
	Suffix string
	// ResendAt is when the next may be asked for, Expires when this one ends.
	ResendAt, Expires time.Time

	// label is what the authenticator is called that it was sent to.
	label string
}

// SendCode sends a code for p's challenge to one of p's phones; the empty id
// means the first. The code that was sent for the challenge before is void.
//
// It fails with [ErrNotFound], [ErrExpired], [ErrMethodNotAccepted], [ErrNoSMS], a
// [Wait] while no answer would be looked at, a [quota.Wait], or [ErrNotSent].
func (s *Service) SendCode(ctx context.Context, p Principal, challenge, authenticator string) (Sent, error) {
	c, d, sent, err := s.sendCode(ctx, p, challenge, authenticator)
	sent.Method = sendKind(d)
	e := sendEvent(sent.Method)
	e.Object, e.Action, e.label = c.ID, c.Demand.Action.String(), sent.label
	if err != nil {
		e.Outcome, e.Cause = Refused, causeOf(err)
	}
	s.report(ctx, p, e)
	return sent, err
}

func (s *Service) sendCode(ctx context.Context, p Principal, challenge, authenticator string) (Challenge, Deliverer, Sent, error) {
	if !s.sends() {
		return Challenge{}, nil, Sent{}, ErrNoSMS
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Challenge{}, nil, Sent{}, err
	}
	_, c, err := s.challenge(ctx, db, p, challenge)
	if err != nil {
		return c, nil, Sent{}, err
	}
	account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
	if err != nil {
		return c, nil, Sent{}, err
	}
	d := s.sending(&account.Value, &c, authenticator)
	if d == nil {
		return c, nil, Sent{}, ErrMethodNotAccepted
	}
	if b, err := s.budget(ctx, db, p, db.Holder(p.Subject)); err != nil {
		return c, d, Sent{}, err
	} else if w := b.wait(s.now()); w != nil {
		return c, d, Sent{}, w
	}
	var to, code, label string
	sent, notSent, err := s.reserve(ctx, db, p, d, d.Quota(), func(now time.Time) (string, []store.Op, error) {
		account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
		if err != nil {
			return "", nil, err
		}
		changed := cloneAccount(account.Value)
		fit := s.fit(db, &changed, &c)
		dest := destinationOf(&fit, d, authenticator)
		if dest == nil && destinationOf(&changed, d, authenticator) != nil {
			return "", nil, s.blocked(db, &changed, &c, d.Method())
		}
		if dest == nil {
			return "", nil, ErrNotFound
		}
		for i := range changed.Authenticators {
			changed.Authenticators[i].Dest.Forget(c.ID, now)
		}
		to, code, label = recipient(p, d, dest), d.Remember(db, dest, c.ID, now), labelAt(&changed, dest)
		put, err := db.Accounts.Update(account, changed, never)
		return to, []store.Op{put}, err
	})
	if err != nil {
		return c, d, Sent{}, err
	}
	if err := d.Deliver(ctx, to, Message{Code: code, Label: labelOf(&c), Lang: p.Lang, Site: c.Site}); err != nil {
		return c, d, Sent{}, notSent(ctx)
	}
	sent.label = label
	return c, d, sent, nil
}

// maxSentLabel bounds what a message calls an action, in characters: messages are
// paid for by their length.
const maxSentLabel = 64

// labelOf is what a message calls the action. A name that a server made up is left
// out unless it is words: a message must not carry another's address or text at the
// operator's cost.
func labelOf(c *Challenge) string {
	name := c.Demand.Action.String()
	switch {
	case c.Label != "":
		return c.Label
	case utf8.RuneCountInString(name) > maxSentLabel:
		return ""
	case strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune(" _.-", r)
	}):
		return ""
	}
	return name
}

// sends reports whether codes are sent at all.
func (s *Service) sends() bool {
	return slices.ContainsFunc(s.factors, func(f Factor) bool {
		_, sends := f.(Deliverer)
		return sends && f.Serves("")
	})
}

// sending is what sends a code for the challenge: to the authenticator of the id,
// or with the empty one by the first kind that the challenge takes and the account
// has, else by the first that it takes. Nil where it takes none.
func (s *Service) sending(a *records.Account, c *Challenge, authenticator string) (first Deliverer) {
	for _, f := range s.factors {
		d, sends := f.(Deliverer)
		if !sends || !d.Serves("") || !s.accepts(c, d.Method()) {
			continue
		}
		if destinationOf(a, d, authenticator) != nil {
			return d
		}
		if first == nil {
			first = d
		}
	}
	return first
}

// destinationOf is where the codes of d go for the authenticator of the id, or for
// the first of its kind with the empty one; nil where there is none.
func destinationOf(a *records.Account, d Deliverer, id string) *records.Destination {
	for i := range a.Authenticators {
		x := &a.Authenticators[i]
		if x.Dest != nil && grants.KindOfType(x.Type).Methods == d.Method() && (id == "" || x.ID == id) {
			return x.Dest
		}
	}
	return nil
}

// labelAt is what the authenticator is called whose codes go to the destination.
func labelAt(a *records.Account, d *records.Destination) string {
	for i := range a.Authenticators {
		if a.Authenticators[i].Dest == d {
			return a.Authenticators[i].Label
		}
	}
	return ""
}

// sendKind is the kind of what d sends; of the first kind that is sent where nobody
// got so far as to say which.
func sendKind(d Deliverer) grants.Methods {
	if d == nil {
		return grants.SMS
	}
	return d.Method()
}

func sendEvent(kind grants.Methods) Event {
	return Event{Kind: EventKind(kind.String()), Outcome: SentOut, Method: kind.String()}
}

// SendFirstCode sends another code for p's pending enrollment. It fails as
// [Service.SendCode] does.
func (s *Service) SendFirstCode(ctx context.Context, p Principal, enrollment string) (Sent, error) {
	if !s.sends() {
		return Sent{}, ErrNoSMS
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Sent{}, err
	}
	return s.sendFirstCode(ctx, db, p, enrollment)
}

func (s *Service) sendFirstCode(ctx context.Context, db *records.DB, p Principal, enrollment string) (Sent, error) {
	d, sent, err := s.sendFirst(ctx, db, p, enrollment)
	sent.Method = sendKind(d)
	e := sendEvent(sent.Method)
	e.Cause, e.Object = "enrolment", EnrollmentUUID(enrollment)
	if err != nil {
		e.Outcome, e.Cause, e.Object = Refused, causeOf(err), ""
	}
	s.report(ctx, p, e)
	return sent, err
}

func (s *Service) sendFirst(ctx context.Context, db *records.DB, p Principal, enrollment string) (Deliverer, Sent, error) {
	begun, err := s.findPending(ctx, db, p, enrollment)
	if err != nil {
		return nil, Sent{}, err
	}
	d := s.deliverer(begun.Value.Type)
	switch {
	case d == nil:
		return nil, Sent{}, ErrNotFound
	case !d.Serves(""):
		return d, Sent{}, ErrNoSMS // an enrollment may outlive the settings
	}
	var m Message
	var to string
	sent, notSent, err := s.reserve(ctx, db, p, d, d.Quota().Claimed(), func(now time.Time) (string, []store.Op, error) {
		pending, err := s.findPending(ctx, db, p, enrollment)
		if err != nil {
			return "", nil, err
		}
		next := pending.Value
		if !mailboxOf(db, p).reaches(next.Type, &next.Dest) {
			return "", nil, ErrElsewhere
		}
		next.Dest.Codes, to, m.Site = nil, recipient(p, d, &next.Dest), next.Site
		m.Lang = p.Lang
		m.Code = d.Remember(db, &next.Dest, enrollment, now)
		put, err := db.Pendings.Update(pending, next, next.Expires.Add(tidyAfter))
		return to, []store.Op{put}, err
	})
	if err == nil && d.Deliver(ctx, to, m) != nil {
		err = notSent(ctx)
	}
	return d, sent, err
}

// maxTries is how many codes are compared with the one that confirms an address.
// Its subject may begin anew, but is sent another code then, and those are few.
const maxTries = 5

// trySent counts one more try at a code that was sent before it is looked at.
func (s *Service) trySent(ctx context.Context, db *records.DB, p Principal, id string) error {
	return records.Again(func() error {
		row, err := s.findPending(ctx, db, p, id)
		if err != nil || grants.KindOfType(row.Value.Type).Way != grants.BySent {
			return err
		}
		next := row.Value
		if next.Tries++; next.Tries > maxTries {
			return ErrExpired
		}
		put, err := db.Pendings.Update(row, next, next.Expires.Add(tidyAfter))
		if err != nil {
			return err
		}
		return db.Apply(ctx, put)
	})
}

// reserve counts one more code to p, and returns how to take back what must not be
// charged where it cannot be sent.
func (s *Service) reserve(ctx context.Context, db *records.DB, p Principal, d Deliverer, bounds quota.Bounds, change func(now time.Time) (string, []store.Op, error)) (sent Sent, notSent func(context.Context) error, err error) {
	q := quota.Sending{Bounds: bounds, Holder: db.Holder(p.Subject), Kind: d.Method().String()}
	now, to, err := q.Reserve(ctx, db, s.now, change)
	if err != nil {
		return Sent{}, nil, err
	}
	notSent = func(ctx context.Context) error {
		if err := q.GiveBack(context.WithoutCancel(ctx), db, now); err != nil {
			return err
		}
		return ErrNotSent
	}
	return Sent{Suffix: d.Hint(to), ResendAt: now.Add(q.ResendAfter), Expires: now.Add(q.CodeTTL)}, notSent, nil
}
