package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

type (
	apiChallengeState struct {
		ChallengeID  string     `json:"challenge_id"`
		ActionType   string     `json:"action_type"`
		GrantType    string     `json:"grant_type"`
		MaxAge       int64      `json:"max_age"`
		Methods      []string   `json:"methods"`
		TooNew       []apiYoung `json:"too_new"`
		Show         []apiShown `json:"show"`
		AttemptsLeft int        `json:"attempts_left"`
		ExpiresAt    time.Time  `json:"expires_at"`
	}
	apiShown struct {
		Name      string `json:"name"`
		Label     string `json:"label,omitempty"`
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
	// Who may not simply enroll because they have is the one we want.
	if err := v.service().MayEnroll(v.r.Context(), v.who); !errors.Is(err, ceremony.ErrManageRequired) {
		if err == nil || errors.Is(err, ceremony.ErrInviteRequired) || errors.Is(err, ceremony.ErrEnrollmentDenied) {
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
		shown = append(shown, apiShown{Name: s.Name, Label: s.Label, Value: s.Value, Truncated: s.Cut})
	}
	return apiChallengeState{
		ChallengeID: d.ID, ActionType: d.Demand.Action.String(), GrantType: d.Demand.Use.String(),
		MaxAge: int64(d.Demand.TTL / time.Second), Methods: names(d.Methods), TooNew: shapeYoung(d.Young), Show: shown,
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

// apiAnswer reads the answer to a challenge: a code, or what a passkey says.
func (v *visit) apiAnswer() (a ceremony.Answer, err error) {
	in, err := v.fieldsAnd("credential", "method", "code")
	if err != nil {
		return a, err
	}
	if a.Method, err = grants.ParseMethod(in["method"]); err != nil {
		return a, invalid("method", "is required, and one of the challenge's methods")
	}
	member, other := "code", "credential"
	if grants.KindOf(a.Method).Way == grants.ByBrowser {
		member, other = other, member
	}
	if _, there := in[other]; there {
		return a, invalid(other, "does not belong to this method")
	}
	if a.Code = in[member]; a.Code == "" {
		return a, invalid(member, "is required")
	}
	return a, nil
}

func (v *visit) apiVerify() error {
	answer, err := v.apiAnswer()
	if err != nil {
		return err
	}
	won, err := v.service().Verify(v.r.Context(), v.who, v.id(), answer)
	if errors.Is(err, ceremony.ErrOpen) {
		// The browser has the grant of the challenge that was passed.
		d, err := v.describe(v.id())
		if err != nil {
			return err
		}
		return v.reply(http.StatusOK, v.shapeOpen(&d.Challenge))
	}
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

// shapeOpen is the answer where another challenge's proof has opened the action.
func (v *visit) shapeOpen(c *ceremony.Challenge) apiWon {
	out := apiWon{ActionType: c.Demand.Action.String(), GrantType: c.Demand.Use.String(), ExpiresAt: stamp(c.OpenUntil)}
	if c.ReturnTo != "" {
		out.ResumeURL = v.back(c.ReturnTo)
	}
	return out
}
