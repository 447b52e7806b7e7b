package portal

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

type (
	// apiPending is an enrollment that was begun, with the members of its kind.
	// Options are what a browser is asked with, in the JSON of WebAuthn level 3,
	// section 5.1.8.
	apiPending struct {
		ID         string          `json:"id"`
		Secret     string          `json:"secret,omitempty"`
		OTPAuthURI string          `json:"otpauth_uri,omitempty"`
		QRSVG      string          `json:"qr_svg,omitempty"`
		Options    json.RawMessage `json:"options,omitempty"`
		apiWhere
		ResendAt  time.Time `json:"resend_at,omitzero"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	apiConfirmed struct {
		Authenticator apiAuthenticator `json:"authenticator"`
		RecoveryCodes []string         `json:"recovery_codes,omitempty"`
	}
	apiOptions struct {
		Options json.RawMessage `json:"options"`
	}
)

// apiEnroll begins an enrollment of the kind. Where its first code is not sent the
// enrollment stands, and the refusal names it: what allowed it is spent.
func apiEnroll(kind grants.Kind) func(*visit) error {
	names := []string{"label", "invite"}
	if kind.Field != "" {
		names = append(names, kind.Field)
	}
	return func(v *visit) error {
		in, err := v.fields(names...)
		if err != nil {
			return err
		}
		if err := v.offered(kind.Methods); err != nil {
			return err
		}
		if kind.Field != "" && in[kind.Field] == "" {
			return invalid(kind.Field, "is required")
		}
		e, err := v.service().Enroll(v.r.Context(), v.who, v.setup(kind, in["label"], in[kind.Field]), v.leave(in["invite"]))
		switch {
		case notSent(err):
			v.forgetManage()
			p := problemOf(err)
			p.ID = e.ID
			return &refusal{p}
		case err != nil:
			return v.orStepUp(err, ceremony.AddOp, "")
		}
		v.forgetManage()
		return v.replyPending(kind, &e)
	}
}

// setup is what an enrollment of the kind begins with on this site.
func (v *visit) setup(kind grants.Kind, label, address string) ceremony.Setup {
	return ceremony.Setup{Kind: kind.Methods, Label: label, Address: address, Site: v.site.Origin}
}

func (v *visit) replyPending(kind grants.Kind, e *ceremony.Enrollment) error {
	out := apiPending{ID: e.ID, Options: e.Options, ExpiresAt: stamp(e.Expires)}
	switch kind.Way {
	case grants.ByApp:
		qr, err := pages.NewQR(e.URI)
		if err != nil {
			return err
		}
		out.Secret, out.OTPAuthURI, out.QRSVG = e.Key.Base32(), e.URI, qr.SVG()
	case grants.BySent:
		out.apiWhere, out.ResendAt = whereOf(kind, e.Sent.Suffix), stampAfter(e.Sent.ResendAt)
	}
	return v.reply(http.StatusCreated, out)
}

// apiConfirm finishes an enrollment of the kind that the path names: with a code, or
// with what the browser says, in the JSON of WebAuthn level 3, section 5.1.9.
func apiConfirm(kind grants.Kind) func(*visit) error {
	return func(v *visit) error {
		member, read := "code", v.fields
		if kind.Way == grants.ByBrowser {
			member, read = "credential", func(names ...string) (map[string]string, error) { return v.fieldsAnd(names[0]) }
		}
		in, err := read(member)
		if err != nil {
			return err
		}
		if in[member] == "" {
			return invalid(member, "is required")
		}
		e, err := v.service().Pending(v.r.Context(), v.who, v.id())
		if err != nil {
			return err
		}
		if e.Method != kind.Methods {
			return ceremony.ErrNotFound
		}
		done, err := v.service().Confirm(v.r.Context(), v.who, e.ID, in[member], "")
		if err != nil {
			return err
		}
		return v.reply(http.StatusOK, apiConfirmed{Authenticator: shapeAuthenticator(done.Authenticator), RecoveryCodes: done.RecoveryCodes})
	}
}

// apiAsk gives what a challenge asks a browser with for the kind.
func apiAsk(kind grants.Kind) func(*visit) error {
	return func(v *visit) error {
		asked, err := v.service().Ask(v.r.Context(), v.who, v.id(), kind.Methods)
		if err != nil {
			return err
		}
		return v.reply(http.StatusOK, apiOptions{Options: asked.Options})
	}
}

// offered refuses to enroll what is not offered here.
func (v *visit) offered(kind grants.Methods) error {
	if v.service().Unaddressed(v.who, v.site.Origin)&kind != 0 {
		return ceremony.ErrNoAddress
	}
	if v.service().Offers(v.who, v.site.Origin)&kind != kind {
		return &refusal{problem.Problem{Code: problem.Forbidden, Detail: "Authenticators of this kind are not set up here."}}
	}
	return nil
}

// leave is what allows an enrollment.
func (v *visit) leave(invite string) ceremony.Leave {
	return ceremony.Leave{Invite: invite, Manage: v.manageToken()}
}
