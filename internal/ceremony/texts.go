package ceremony

import (
	"context"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Phone is a phone that can be sent a code, as its owner knows it again.
type Phone struct{ ID, Suffix string }

// Texts tells how the codes that are sent to phones stand for a challenge.
type Texts struct {
	// Phones are those that may be sent one; none where the challenge takes
	// none.
	Phones []Phone
	// To is the id of the phone that was sent the code which is good now;
	// empty where there is none.
	To string
	// ResendAt is when the next may be asked for. It may be past.
	ResendAt time.Time
}

// texts tells how codes to the account's phones stand for a challenge.
func (s *Service) texts(ctx context.Context, db *records.DB, p Principal, d Deliverer, a *records.Account, challenge string) (Texts, error) {
	var t Texts
	sent, err := s.sentTo(ctx, db, p, d)
	if err != nil {
		return t, err
	}
	t.ResendAt = sent.next
	for i := range a.Authenticators {
		x := &a.Authenticators[i]
		if x.Dest == nil || grants.KindOfType(x.Type).Methods != d.Method() {
			continue
		}
		t.Phones = append(t.Phones, Phone{x.ID, d.Hint(x.Dest.Address)})
		if code := sent.code(x.Dest, challenge); code != nil {
			t.To = x.ID
		}
	}
	return t, nil
}

// sentCodes are the codes that one subject was sent of late.
type sentCodes struct {
	at   []time.Time
	ttl  time.Duration
	now  time.Time
	next time.Time // when the next may be sent
	// generation is the one under which a code must have been sent to be good.
	generation uint64
}

func (s *Service) sentTo(ctx context.Context, db *records.DB, p Principal, d Deliverer) (sentCodes, error) {
	q := d.Quota()
	sent := sentCodes{ttl: q.CodeTTL, now: s.now(), generation: db.Generation()}
	var err error
	sent.at, sent.next, err = q.Sent(ctx, db, db.Holder(p.Subject), sent.now)
	return sent, err
}

// code is the live code that went there for the challenge, or nil. One
// that could not be sent is kept, as it may have come through after all, but is
// not counted among the sent ones.
func (c *sentCodes) code(to *records.Destination, challenge string) *records.SentCode {
	for i := range to.Codes {
		code := &to.Codes[i]
		if code.Challenge == challenge && code.Generation == c.generation && c.now.Before(code.Expires) && slices.ContainsFunc(c.at, code.Expires.Add(-c.ttl).Equal) {
			return code
		}
	}
	return nil
}

// sentFirst describes the code that is to confirm an enrollment.
func (s *Service) sentFirst(ctx context.Context, db *records.DB, p Principal, d Deliverer, id string, to *records.Destination) (Sent, error) {
	first := Sent{Suffix: d.Hint(to.Address)}
	if !d.Serves("") {
		return first, nil // an enrollment may outlive the settings
	}
	sent, err := s.sentTo(ctx, db, p, d)
	if err != nil {
		return first, err
	}
	first.ResendAt = sent.next
	if code := sent.code(to, id); code != nil {
		first.Expires = code.Expires
	}
	return first, nil
}
