package ceremony

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// SMS is how codes reach phones. What is sent costs money, and numbers of one's
// own choice bring it in for some: the caps are what stops that (pumping).
type SMS struct {
	// Number gives a phone number in E.164 form, or a [Field] that tells why it
	// is not taken; [ErrNumberRefused] too where it is a number.
	Number func(string) (string, error)
	// Send hands a text over for delivery. An error means that it was not, or
	// that nobody knows.
	Send func(ctx context.Context, to, text string) error
	// CodeTTL is how long a code is good, ResendAfter how long one waits for
	// the next.
	CodeTTL, ResendAfter time.Duration
	// PerSubject, PerDestination and Total bound what is sent in
	// [SubjectWindow], [DestinationWindow] and [TotalWindow]. Half of
	// PerDestination is for phones that are confirmed.
	PerSubject, PerDestination, Total int
}

// The windows in which what was sent is counted.
const (
	SubjectWindow     = 10 * time.Minute
	DestinationWindow = 24 * time.Hour
	TotalWindow       = time.Hour
)

func (m *SMS) check() error {
	if m.Number == nil || m.Send == nil || m.CodeTTL <= 0 || m.ResendAfter <= 0 || m.PerSubject < 1 || m.PerDestination < 1 || m.Total < 1 {
		return errors.New("ceremony: a setting of SMS is missing")
	}
	return nil
}

var (
	// ErrNotSent tells that a code could not be sent. Nothing is burned by it,
	// and the next may be sent at once; but not without end.
	ErrNotSent = errors.New("the code could not be sent")
	// ErrNumberRefused tells that a phone number is one to which no codes are
	// sent, such as of a country that the operator did not name.
	ErrNumberRefused = errors.New("no codes are sent to this number")
	// ErrNoSMS tells that no codes are sent here.
	ErrNoSMS = errors.New("codes are not sent to phones here")
	// ErrTooManySends tells that no code is sent now. See [SendWait].
	ErrTooManySends = errors.New("too many codes were sent")
)

// SendWait is ErrTooManySends with what to wait for.
type SendWait struct{ For time.Duration }

func (e *SendWait) Error() string   { return ErrTooManySends.Error() }
func (e *SendWait) Is(t error) bool { return t == ErrTooManySends }

// Sent is a code that is on its way.
type Sent struct {
	// Suffix are the last digits of the number that it was sent to.
	Suffix string
	// ResendAt is when the next may be asked for, Expires when this one ends.
	ResendAt, Expires time.Time
}

// smsDigits is the length of a code that is sent.
const smsDigits = 6

// maxCodes bounds the codes that a phone's record keeps.
const maxCodes = 5

// PhoneSuffix are the digits by which its owner knows a number again.
func PhoneSuffix(number string) string { return number[max(0, len(number)-4):] }

// SendCode sends a code for p's challenge to one of p's phones; the empty id
// means the first. The code that was sent for the challenge before is void.
//
// It fails with [ErrNotFound], [ErrExpired], [ErrMethodNotAccepted], [ErrNoSMS], a
// [Wait] while no answer would be looked at, a [SendWait], or [ErrNotSent].
func (s *Service) SendCode(ctx context.Context, p Principal, challenge, authenticator string) (Sent, error) {
	c, sent, err := s.sendCode(ctx, p, challenge, authenticator)
	e := Event{Kind: "sms", Outcome: "sent", Method: grants.SMS.String(), Object: c.ID, Action: c.Demand.Action.String()}
	if err != nil {
		e.Outcome, e.Cause = "refused", causeOf(err)
	}
	s.report(ctx, p, e)
	return sent, err
}

func (s *Service) sendCode(ctx context.Context, p Principal, challenge, authenticator string) (Challenge, Sent, error) {
	if s.sms == nil {
		return Challenge{}, Sent{}, ErrNoSMS
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Challenge{}, Sent{}, err
	}
	row, err := s.findChallenge(ctx, db, p, challenge)
	if err != nil {
		return Challenge{}, Sent{}, err
	}
	c, err := challengeOf(db, row)
	if err != nil {
		return c, Sent{}, err
	}
	if !s.accepts(&c, grants.SMS) {
		return c, Sent{}, ErrMethodNotAccepted
	}
	if b, err := s.budget(ctx, db, p, db.Holder(p.Subject)); err != nil {
		return c, Sent{}, err
	} else if w := b.wait(s.now()); w != nil {
		return c, Sent{}, w
	}
	code := newCode()
	var number string
	sent, undo, err := s.reserve(ctx, db, p, s.sms.PerDestination, func(now time.Time) (string, []store.Op, error) {
		account, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
		if err != nil {
			return "", nil, err
		}
		changed := cloneAccount(account.Value)
		fit := s.fit(db, &changed, &c)
		phone := phoneOf(&fit, authenticator)
		if phone == nil && phoneOf(&changed, authenticator) != nil {
			return "", nil, s.blocked(db, &changed, &c, grants.SMS)
		}
		if phone == nil {
			return "", nil, ErrNotFound
		}
		number = phone.Number
		for i := range changed.Authenticators {
			forgetCodes(changed.Authenticators[i].Phone, c.ID, now)
		}
		s.remind(db, phone, number, c.ID, code, now)
		put, err := db.Accounts.Update(account, changed, never)
		return number, []store.Op{put}, err
	})
	if err != nil {
		return c, Sent{}, err
	}
	if err := s.sms.Send(ctx, number, s.text(code, cmp.Or(c.Label, c.Demand.Action.String()), c.Site)); err != nil {
		return c, Sent{}, s.notSent(ctx, db, undo)
	}
	return c, sent, nil
}

func phoneOf(a *records.Account, id string) *records.Phone {
	for i := range a.Authenticators {
		if x := &a.Authenticators[i]; x.Phone != nil && (id == "" || x.ID == id) {
			return x.Phone
		}
	}
	return nil
}

// forgetCodes makes void what the phone, if it is one, was sent for the challenge,
// and lets go of what ran out.
func forgetCodes(phone *records.Phone, challenge string, now time.Time) {
	if phone == nil {
		return
	}
	phone.Codes = slices.DeleteFunc(phone.Codes, func(c records.SentCode) bool {
		return c.Challenge == challenge || !now.Before(c.Expires)
	})
}

// remind makes the code the one that answers the challenge, of those that went to
// the phone.
func (s *Service) remind(db *records.DB, phone *records.Phone, number, challenge, code string, now time.Time) {
	forgetCodes(phone, challenge, now)
	if over := len(phone.Codes) - (maxCodes - 1); over > 0 {
		phone.Codes = slices.Delete(phone.Codes, 0, over)
	}
	phone.Codes = append(phone.Codes, records.SentCode{
		Challenge: challenge, Hash: codeHash(db, number, challenge, code), Expires: now.Add(s.sms.CodeTTL), Generation: db.Generation(),
	})
}

func codeHash(db *records.DB, number, challenge, code string) []byte {
	mac := db.MAC("sms code", []byte(number), []byte(challenge), []byte(code))
	return mac[:]
}

// AnswerSMS uses up the code that was sent to one of the account's phones for the
// challenge, and names the phone. It fails with [ErrInvalidCode] where the code is
// another, or was used, or ended. It is what an SMS Factor does with the database
// that keys the codes' digests.
func AnswerSMS(db *records.DB, a *records.Account, try Attempt) (authenticator string, err error) {
	for i := range a.Authenticators {
		phone := a.Authenticators[i].Phone
		if phone == nil {
			continue
		}
		if at := findCode(db, phone, try.Challenge, try.Answer, try.Now); at >= 0 {
			phone.Codes = slices.Delete(phone.Codes, at, at+1)
			return a.Authenticators[i].ID, nil
		}
	}
	return "", ErrInvalidCode
}

// findCode is the index of the live code, or less than 0. All are compared, so
// that time does not tell which.
func findCode(db *records.DB, phone *records.Phone, challenge, code string, now time.Time) int {
	hash, found := codeHash(db, phone.Number, challenge, code), -1
	for i, c := range phone.Codes {
		if subtle.ConstantTimeCompare(c.Hash, hash) == 1 && c.Challenge == challenge && now.Before(c.Expires) && c.Generation == db.Generation() {
			found = i
		}
	}
	return found
}

func newCode() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // never happens: crypto/rand ends the program instead
	}
	return fmt.Sprintf("%0*d", smsDigits, n)
}

// text is the message. Its last line lets a phone's browser fill the code in on
// the site it is for, and on no other (WICG, Origin-bound one-time codes).
func (s *Service) text(code, label, site string) string {
	text := code + " is your code"
	if label != "" {
		text += " for " + label
	}
	text += " (" + s.set.Issuer + "). Nobody from us will ever ask you for it."
	if host, ok := strings.CutPrefix(site, "https://"); ok {
		host, _, _ = strings.Cut(host, ":")
		text += "\n\n@" + host + " #" + code
	}
	return text
}

// SendFirstCode sends another code to the phone of p's pending enrollment.
func (s *Service) SendFirstCode(ctx context.Context, p Principal, enrollment string) (Sent, error) {
	if s.sms == nil {
		return Sent{}, ErrNoSMS
	}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return Sent{}, err
	}
	return s.sendFirstCode(ctx, db, p, enrollment)
}

func (s *Service) sendFirstCode(ctx context.Context, db *records.DB, p Principal, enrollment string) (Sent, error) {
	code := newCode()
	var number, site string
	sent, undo, err := s.reserve(ctx, db, p, s.sms.claimed(), func(now time.Time) (string, []store.Op, error) {
		pending, err := s.findPending(ctx, db, p, enrollment)
		if err != nil {
			return "", nil, err
		}
		if pending.Value.Type != records.TypePhone {
			return "", nil, ErrNotFound
		}
		next := pending.Value
		next.Phone.Codes, number, site = nil, next.Phone.Number, next.Site
		s.remind(db, &next.Phone, number, enrollment, code, now)
		put, err := db.Pendings.Update(pending, next, next.Expires.Add(tidyAfter))
		return number, []store.Op{put}, err
	})
	e := Event{Kind: "sms", Outcome: "sent", Cause: "enrolment", Method: grants.SMS.String(), Object: EnrollmentUUID(enrollment)}
	if err == nil {
		if s.sms.Send(ctx, number, s.text(code, "", site)) != nil {
			err = s.notSent(ctx, db, undo)
		}
	}
	if err != nil {
		e.Outcome, e.Cause, e.Object = "refused", causeOf(err), ""
	}
	s.report(ctx, p, e)
	return sent, err
}

// maxTries is how many codes are compared with the one that confirms a phone.
// Its subject may begin anew, but is sent another code then, and those are few.
const maxTries = 5

// tryPhone counts one more try before it is looked at.
func (s *Service) tryPhone(ctx context.Context, db *records.DB, p Principal, id string) error {
	return again(func() error {
		row, err := s.findPending(ctx, db, p, id)
		if err != nil || row.Value.Type != records.TypePhone {
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
