package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

type apiSent struct {
	PhoneNumberSuffix string    `json:"phone_number_suffix"`
	ResendAt          time.Time `json:"resend_at"`
}

// notSent reports that a code was not sent, but might be later.
func notSent(err error) bool {
	return errors.Is(err, ceremony.ErrNotSent) || errors.Is(err, ceremony.ErrTooManySends)
}

// stampAfter is a time before which a client is not to come back, so it is
// rounded up.
func stampAfter(t time.Time) time.Time { return stamp(t.Add(time.Second - 1)) }

func (v *visit) apiSendFirst() error {
	if _, err := v.fields(); err != nil {
		return err
	}
	return v.sent(v.service().SendFirstCode(v.r.Context(), v.who, v.id()))
}

func (v *visit) apiSend() error {
	in, err := v.fields("authenticator_id")
	if err != nil {
		return err
	}
	return v.sent(v.service().SendCode(v.r.Context(), v.who, v.id(), in["authenticator_id"]))
}

func (v *visit) sent(sent ceremony.Sent, err error) error {
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, apiSent{PhoneNumberSuffix: sent.Suffix, ResendAt: stampAfter(sent.ResendAt)})
}
