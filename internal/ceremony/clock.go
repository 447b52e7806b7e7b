package ceremony

import (
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// ClockOff is [ErrInvalidCode] of a code that is right for another time: the
// device's clock is off by By, before ours where that is above zero. The code is
// not accepted. It is told for a pending enrollment only, whose secret is before
// its owner's eyes; elsewhere it would tell a guesser more than "wrong".
type ClockOff struct{ By time.Duration }

func (e *ClockOff) Error() string   { return ErrInvalidCode.Error() }
func (e *ClockOff) Is(t error) bool { return t == ErrInvalidCode }

// maxClockOff is how far off a clock is recognised.
const maxClockOff = 10 * time.Minute

// firstCode looks at the code that confirms an authenticator app, and uses it
// up in the secret that it gives back.
func (s *Service) firstCode(db *records.DB, pending *records.Pending, code string) (*records.TOTP, error) {
	secret, now := pending.TOTP, s.now()
	secret.Generation = db.Generation()
	key := s.key(&secret)
	var err error
	if secret.Last, err = totp.Match(key, code, now, 0); err == nil {
		return &secret, nil
	}
	key.Skew = 0
	for off := totp.Period; off <= maxClockOff; off += totp.Period {
		for _, by := range []time.Duration{off, -off} {
			if _, err := totp.Match(key, code, now.Add(by), 0); err == nil {
				return nil, &ClockOff{By: by}
			}
		}
	}
	return nil, ErrInvalidCode
}
