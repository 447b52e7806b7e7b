package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
)

// apiWhere tells by what its owner knows again where codes go: of a phone's number no
// more than its last digits is ever told (S13), and of a mail address the first
// letter and the domain.
type apiWhere struct {
	PhoneNumberSuffix string `json:"phone_number_suffix,omitempty"`
	Email             string `json:"email,omitempty"`
}

// whereOf is the hint of an address in the member of its kind.
func whereOf(kind grants.Kind, hint string) apiWhere {
	if kind.ByIdentity() {
		return apiWhere{Email: hint}
	}
	return apiWhere{PhoneNumberSuffix: hint}
}

type apiSent struct {
	apiWhere
	ResendAt time.Time `json:"resend_at"`
}

// notSent reports that a code was not sent, but might be later.
func notSent(err error) bool {
	return errors.Is(err, ceremony.ErrNotSent) || errors.Is(err, quota.ErrTooMany)
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
	return v.reply(http.StatusOK, apiSent{apiWhere: whereOf(grants.KindOf(sent.Method), sent.Suffix), ResendAt: stampAfter(sent.ResendAt)})
}
