package portal

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
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
