package portal

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Options are what a browser is asked with, and credentials what it answers, in
// the JSON of WebAuthn level 3, sections 5.1.8 and 5.1.9.
type (
	apiPendingPasskey struct {
		ID        string          `json:"id"`
		Options   json.RawMessage `json:"options"`
		ExpiresAt time.Time       `json:"expires_at"`
	}
	apiPasskeyOptions struct {
		Options json.RawMessage `json:"options"`
	}
)

func (v *visit) apiEnrollPasskey() error {
	in, err := v.fields("label", "invite")
	if err != nil {
		return err
	}
	if err := v.offered(grants.Passkey); err != nil {
		return err
	}
	e, err := v.service().EnrollPasskey(v.r.Context(), v.who, in["label"], v.site.Origin, v.leave(in["invite"]))
	if err != nil {
		return v.orStepUp(err, ceremony.AddOp, "")
	}
	v.forgetManage()
	return v.reply(http.StatusCreated, apiPendingPasskey{ID: e.ID, Options: e.Options, ExpiresAt: stamp(e.Expires)})
}

func (v *visit) apiConfirmPasskey() error {
	in, err := v.fieldsAnd("credential")
	if err != nil {
		return err
	}
	if in["credential"] == "" {
		return invalid("credential", "is required")
	}
	return v.apiFinish(grants.Passkey, in["credential"])
}

func (v *visit) apiPasskey() error {
	if _, err := v.describe(v.id()); err != nil {
		return err
	}
	options, err := v.service().PasskeyOptions(v.r.Context(), v.who, v.id())
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, apiPasskeyOptions{Options: options})
}
