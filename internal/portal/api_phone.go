package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Of a phone's number no more than its last digits is ever told (S13).
type (
	apiPendingPhone struct {
		ID                string    `json:"id"`
		PhoneNumberSuffix string    `json:"phone_number_suffix"`
		ResendAt          time.Time `json:"resend_at"`
		ExpiresAt         time.Time `json:"expires_at"`
	}
	apiSent struct {
		PhoneNumberSuffix string    `json:"phone_number_suffix"`
		ResendAt          time.Time `json:"resend_at"`
	}
)

// apiEnrollPhone begins to enroll a phone, and sends it a code. Where that fails
// the enrollment stands, and the refusal names it: what allowed it is spent.
func (v *visit) apiEnrollPhone() error {
	in, err := v.fields("phone_number", "label", "invite")
	if err != nil {
		return err
	}
	if err := v.offered(grants.SMS); err != nil {
		return err
	}
	if in["phone_number"] == "" {
		return invalid("phone_number", "is required")
	}
	e, err := v.service().EnrollPhone(v.r.Context(), v.who, in["label"], in["phone_number"], v.site.Origin, v.leave(in["invite"]))
	if notSent(err) {
		v.forgetManage()
		p := problemOf(err)
		p.ID = e.ID
		return &refusal{p}
	}
	if err != nil {
		return v.orStepUp(err, ceremony.AddOp, "")
	}
	v.forgetManage()
	return v.reply(http.StatusCreated, apiPendingPhone{
		ID: e.ID, PhoneNumberSuffix: e.Sent.Suffix, ResendAt: stampAfter(e.Sent.ResendAt), ExpiresAt: stamp(e.Expires),
	})
}

// notSent tells that a code was not sent, but might be later.
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

func (v *visit) apiConfirmPhone() error { return v.apiConfirmCode(grants.SMS) }

func (v *visit) apiSend() error {
	in, err := v.fields("authenticator_id")
	if err != nil {
		return err
	}
	if _, err := v.describe(v.id()); err != nil {
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
