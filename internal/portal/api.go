package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

// The shapes of the answers; openapi.yaml describes them and the tests hold the
// two together.
type (
	apiAuthenticator struct {
		ID         string     `json:"id"`
		Type       string     `json:"type"`
		Label      string     `json:"label"`
		CreatedAt  time.Time  `json:"created_at"`
		LastUsedAt *time.Time `json:"last_used_at"`
	}
	apiGrant struct {
		ID         string    `json:"id"`
		ActionType string    `json:"action_type"`
		GrantType  string    `json:"grant_type"`
		ExpiresAt  time.Time `json:"expires_at"`
	}
	apiAccount struct {
		UserID            string             `json:"user_id"`
		Enrolled          bool               `json:"enrolled"`
		Authenticators    []apiAuthenticator `json:"authenticators"`
		RecoveryCodesLeft int                `json:"recovery_codes_left"`
		Grants            []apiGrant         `json:"grants"`
	}
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
	apiCodes struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	apiChallengeState struct {
		ChallengeID  string     `json:"challenge_id"`
		ActionType   string     `json:"action_type"`
		GrantType    string     `json:"grant_type"`
		MaxAge       int64      `json:"max_age"`
		Methods      []string   `json:"methods"`
		Show         []apiShown `json:"show"`
		AttemptsLeft int        `json:"attempts_left"`
		ExpiresAt    time.Time  `json:"expires_at"`
	}
	apiShown struct {
		Name      string `json:"name"`
		Value     string `json:"value"`
		Truncated bool   `json:"truncated"`
	}
	apiWon struct {
		ActionType string    `json:"action_type"`
		GrantType  string    `json:"grant_type"`
		ExpiresAt  time.Time `json:"expires_at"`
		ResumeURL  string    `json:"resume_url,omitempty"`
		Grant      string    `json:"grant,omitempty"`
	}
)

// reply sends an answer as JSON.
func (v *visit) reply(status int, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body)
	return nil
}

func (v *visit) noContent() error {
	v.w.WriteHeader(http.StatusNoContent)
	return nil
}

// stamp is a time as the API tells it: UTC, whole seconds.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func shapeAuthenticator(a ceremony.Authenticator) apiAuthenticator {
	out := apiAuthenticator{ID: a.ID, Type: a.Type, Label: a.Label, CreatedAt: stamp(a.CreatedAt)}
	if !a.LastUsedAt.IsZero() {
		t := stamp(a.LastUsedAt)
		out.LastUsedAt = &t
	}
	return out
}

func (v *visit) apiMe() error {
	account, err := v.service().Account(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	out := apiAccount{
		UserID: account.Subject.User, Enrolled: account.Enrolled, RecoveryCodesLeft: account.RecoveryCodesLeft,
		Authenticators: []apiAuthenticator{}, Grants: []apiGrant{},
	}
	for _, a := range account.Authenticators {
		out.Authenticators = append(out.Authenticators, shapeAuthenticator(a))
	}
	for _, g := range account.Grants {
		out.Grants = append(out.Grants, apiGrant{ID: g.ID, ActionType: g.Action, GrantType: g.Use.String(), ExpiresAt: stamp(g.Expires)})
	}
	return v.reply(http.StatusOK, out)
}

func (v *visit) apiEnrol() error {
	in, err := v.fields("label", "invite")
	if err != nil {
		return err
	}
	e, err := v.service().Enrol(v.r.Context(), v.who, in["label"], ceremony.Leave{Invite: in["invite"], Manage: v.manageToken()})
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

func (v *visit) apiConfirm() error {
	in, err := v.fields("code")
	if err != nil {
		return err
	}
	if in["code"] == "" {
		return invalid("code", "is required")
	}
	done, err := v.service().Confirm(v.r.Context(), v.who, v.id(), in["code"], "")
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, apiConfirmed{Authenticator: shapeAuthenticator(done.Authenticator), RecoveryCodes: done.RecoveryCodes})
}

func (v *visit) apiBegin() error {
	in, err := v.fields("action_type")
	if err != nil {
		return err
	}
	if in["action_type"] == "" {
		return invalid("action_type", "is required")
	}
	action, ok := v.portal.o.Actions[in["action_type"]]
	if !ok {
		return ceremony.ErrNotFound
	}
	if action.RequestBound {
		return &refusal{problem.Problem{Code: problem.RequestRequired, Detail: "Such a grant is bound to one request: send that."}}
	}
	// Who may not simply enrol because they have is the one we want.
	if err := v.service().MayEnrol(v.r.Context(), v.who); !errors.Is(err, ceremony.ErrManageRequired) {
		if err == nil || errors.Is(err, ceremony.ErrInviteRequired) || errors.Is(err, ceremony.ErrEnrolmentDenied) {
			err = ceremony.ErrNotEnrolled
		}
		return err
	}
	c, err := v.service().Begin(v.r.Context(), v.who, ceremony.Ask{Demand: action.Demand, Label: action.Label, Site: v.site.Origin})
	if err != nil {
		return err
	}
	d, err := v.describe(c.ID)
	if err != nil {
		return err
	}
	v.w.Header().Set("Location", v.url("api/challenges/"+c.ID))
	return v.reply(http.StatusCreated, shapeChallenge(d))
}

func shapeChallenge(d ceremony.Description) apiChallengeState {
	shown := make([]apiShown, 0, len(d.Show))
	for _, s := range d.Show {
		shown = append(shown, apiShown{Name: s.Name, Value: s.Value, Truncated: s.Cut})
	}
	return apiChallengeState{
		ChallengeID: d.ID, ActionType: d.Demand.Action.String(), GrantType: d.Demand.Use.String(),
		MaxAge: int64(d.Demand.TTL / time.Second), Methods: names(d.Methods), Show: shown,
		AttemptsLeft: d.AttemptsLeft, ExpiresAt: stamp(d.Expires),
	}
}

func names(methods []grants.Methods) []string {
	out := []string{}
	for _, m := range methods {
		out = append(out, m.String())
	}
	return out
}

func (v *visit) apiChallenge() error {
	d, err := v.describe(v.id())
	if err != nil {
		return err
	}
	return v.reply(http.StatusOK, shapeChallenge(d))
}

func (v *visit) apiVerify() error {
	in, err := v.fields("method", "code")
	if err != nil {
		return err
	}
	method, err := grants.ParseMethod(in["method"])
	if err != nil {
		return invalid("method", "is required, and one of the challenge's methods")
	}
	if in["code"] == "" {
		return invalid("code", "is required")
	}
	if _, err := v.describe(v.id()); err != nil {
		return err
	}
	won, err := v.service().Verify(v.r.Context(), v.who, v.id(), ceremony.Answer{Method: method, Code: in["code"]})
	if err != nil {
		return err
	}
	v.keep(&won)
	out := apiWon{
		ActionType: won.Challenge.Demand.Action.String(), GrantType: won.Challenge.Demand.Use.String(),
		ExpiresAt: stamp(time.Unix(0, won.Grant.Expires)),
	}
	if won.Challenge.ReturnTo != "" {
		out.ResumeURL = v.back(won.Challenge.ReturnTo)
	}
	if !fromBrowser(v.r) {
		// A program without a cookie jar; a script in a page must not see it.
		out.Grant = won.Token.Text()
	}
	return v.reply(http.StatusOK, out)
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

// orStepUp begins the challenge for the operation where err says that one is
// needed, and gives the refusal that tells about it; other errors it gives back.
func (v *visit) orStepUp(err error, op ceremony.Operation, label string) error {
	if !errors.Is(err, ceremony.ErrManageRequired) {
		return err
	}
	c, err := v.service().BeginManage(v.r.Context(), v.who, op, label, v.site.Origin, "")
	if err != nil {
		return err
	}
	d, err := v.describe(c.ID)
	if err != nil {
		return err
	}
	return &refusal{problem.Problem{
		Code: problem.StepUpRequired, Detail: "Changing how you prove yourself needs a fresh proof. Pass the challenge, then try again.",
		Challenge: problem.Challenge{
			ID: d.ID, ActionType: d.Demand.Action.String(), GrantType: d.Demand.Use.String(), MaxAge: d.Demand.TTL,
			Methods: names(d.Methods), VerifyURL: v.url("challenge/" + d.ID), APIURL: v.url("api/challenges/" + d.ID), Expires: d.Expires,
		},
	}}
}
