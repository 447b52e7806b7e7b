package portal

import (
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

type apiCodes struct {
	RecoveryCodes []string `json:"recovery_codes"`
}

func (v *visit) apiRename() error {
	in, err := v.fields("label")
	if err != nil {
		return err
	}
	label := strings.TrimSpace(in["label"])
	if label == "" {
		return invalid("label", "is required")
	}
	old, _, err := v.own()
	if err != nil {
		return err
	}
	renamed, err := v.service().Rename(v.r.Context(), v.who, v.id(), label, v.manageToken())
	if err != nil {
		return v.orStepUp(err, ceremony.RenameOp(v.id()), old.Label)
	}
	v.forgetManage()
	return v.reply(http.StatusOK, shapeAuthenticator(renamed))
}

func (v *visit) apiRemove() error {
	if err := v.noBody(); err != nil {
		return err
	}
	old, _, err := v.own()
	if err != nil {
		return err
	}
	if err := v.service().Remove(v.r.Context(), v.who, v.id(), v.manageToken()); err != nil {
		return v.orStepUp(err, ceremony.RemoveOp(v.id()), old.Label)
	}
	v.forgetManage()
	return v.noContent()
}

func (v *visit) apiRenew() error {
	if _, err := v.fields(); err != nil {
		return err
	}
	account, err := v.service().Account(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	if !account.Enrolled {
		return ceremony.ErrNotEnrolled
	}
	codes, err := v.service().RenewRecoveryCodes(v.r.Context(), v.who, v.manageToken())
	if err != nil {
		return v.orStepUp(err, ceremony.RenewOp, "")
	}
	v.forgetManage()
	return v.reply(http.StatusCreated, apiCodes{RecoveryCodes: codes})
}

func (v *visit) apiRevoke() error {
	if err := v.noBody(); err != nil {
		return err
	}
	if err := v.service().RevokeGrant(v.r.Context(), v.who, v.id()); err != nil {
		return err
	}
	return v.noContent()
}
