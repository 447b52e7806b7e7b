package portal

import (
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

type (
	apiPending struct {
		ID         string    `json:"id"`
		Secret     string    `json:"secret"`
		OTPAuthURI string    `json:"otpauth_uri"`
		QRSVG      string    `json:"qr_svg"`
		ExpiresAt  time.Time `json:"expires_at"`
	}
	apiConfirmed struct {
		Authenticator apiAuthenticator `json:"authenticator"`
		RecoveryCodes []string         `json:"recovery_codes,omitempty"`
	}
)

func (v *visit) apiEnroll() error {
	in, err := v.fields("label", "invite")
	if err != nil {
		return err
	}
	e, err := v.service().Enroll(v.r.Context(), v.who, in["label"], v.leave(in["invite"]))
	if err != nil {
		return v.orStepUp(err, ceremony.AddOp, "")
	}
	v.forgetManage()
	qr, err := pages.NewQR(e.URI)
	if err != nil {
		return err
	}
	return v.reply(http.StatusCreated, apiPending{
		ID: e.ID, Secret: e.Key.Base32(), OTPAuthURI: e.URI, QRSVG: qr.SVG(), ExpiresAt: stamp(e.Expires),
	})
}

func (v *visit) apiConfirm() error { return v.apiConfirmCode(grants.TOTP) }

// apiConfirmCode finishes an enrollment with a code.
func (v *visit) apiConfirmCode(kind grants.Methods) error {
	in, err := v.fields("code")
	if err != nil {
		return err
	}
	if in["code"] == "" {
		return invalid("code", "is required")
	}
	return v.apiFinish(kind, in["code"])
}

// apiFinish finishes an enrollment of the kind that the path names.
func (v *visit) apiFinish(kind grants.Methods, answer string) error {
	e, err := v.service().Pending(v.r.Context(), v.who, v.id())
	if err != nil {
		return err
	}
	if e.Method != kind {
		return ceremony.ErrNotFound
	}
	done, err := v.service().Confirm(v.r.Context(), v.who, e.ID, answer, "")
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, apiConfirmed{Authenticator: shapeAuthenticator(done.Authenticator), RecoveryCodes: done.RecoveryCodes})
}

// offered refuses to enroll what is not offered here.
func (v *visit) offered(kind grants.Methods) error {
	if v.service().Offers(v.site.Origin)&kind != kind {
		return &refusal{problem.Problem{Code: problem.Forbidden, Detail: "Authenticators of this kind are not set up here."}}
	}
	return nil
}

// leave is what allows an enrollment.
func (v *visit) leave(invite string) ceremony.Leave {
	return ceremony.Leave{Invite: invite, Manage: v.manageToken()}
}
