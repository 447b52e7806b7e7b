package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// apiYoung is a means of proof that does for a challenge from a time on, or with
// null never (S24).
type apiYoung struct {
	Method      string     `json:"method"`
	Label       string     `json:"label,omitempty"`
	AvailableAt *time.Time `json:"available_at"`
}

func shapeYoung(list []ceremony.Young) []apiYoung {
	out := make([]apiYoung, 0, len(list))
	for _, y := range list {
		one := apiYoung{Method: y.Method.String(), Label: y.Label}
		if !y.Until.IsZero() {
			t := stamp(y.Until.Add(time.Second - 1)) // never too early
			one.AvailableAt = &t
		}
		out = append(out, one)
	}
	return out
}

// youngLabel names what is too new: recovery codes have no name of their own.
func (v *visit) youngLabel(y ceremony.Young) string {
	if y.Label == "" {
		return pages.MethodName(v.language(), y.Method.String())
	}
	return y.Label
}

// young says that what the person has is too new, and for how long.
func (v *visit) young(y ceremony.Young) {
	kind := pages.NotYet
	if y.Until.IsZero() {
		kind = pages.WeakOrigin
	}
	v.render(http.StatusForbidden, pages.Message{Page: v.page(), Kind: kind, Label: v.youngLabel(y), Until: y.Until, NextURL: v.url("")})
}

// tooYoung says so of an answer that was right.
func (v *visit) tooYoung(method grants.Methods, err error) error {
	d, problem := v.describe(v.id())
	if problem != nil {
		return problem
	}
	for _, y := range d.Young {
		if y.Method == method && y.Until.IsZero() == errors.Is(err, ceremony.ErrWeakOrigin) {
			v.young(y)
			return nil
		}
	}
	return err
}

func (v *visit) askVouch() error {
	a, _, err := v.own()
	if err != nil {
		return err
	}
	if !a.Vouchable {
		return v.redirect(v.url(""))
	}
	path := "authenticators/" + a.ID + "/vouch"
	if proved, err := v.proved(ceremony.VouchOp(a.ID), a.Label, path); err != nil || !proved {
		return err
	}
	return v.confirm(pages.Confirm{Kind: pages.ConfirmVouch, Label: a.Label, FormURL: v.url(path)})
}

func (v *visit) vouch() error {
	_, err := v.service().Vouch(v.r.Context(), v.who, v.id(), v.manageToken())
	if errors.Is(err, ceremony.ErrManageRequired) {
		return v.askVouch()
	}
	if err != nil {
		return err
	}
	v.forgetManage()
	return v.redirect(v.done(pages.Vouched))
}

func (v *visit) apiVouch() error {
	if _, err := v.fields(); err != nil {
		return err
	}
	a, _, err := v.own()
	if err != nil {
		return err
	}
	vouched, err := v.service().Vouch(v.r.Context(), v.who, a.ID, v.manageToken())
	if err != nil {
		return v.orStepUp(err, ceremony.VouchOp(a.ID), a.Label)
	}
	v.forgetManage()
	return v.reply(http.StatusOK, shapeAuthenticator(vouched))
}

// notMe suspends a new authenticator. It needs no proof: it only takes away, and
// an older one gives it back.
func (v *visit) notMe() error {
	err := v.service().Disown(v.r.Context(), v.who, v.id())
	if errors.Is(err, ceremony.ErrNotDisownable) {
		return v.redirect(v.url(""))
	}
	if err != nil {
		return err
	}
	return v.redirect(v.done(pages.Disowned))
}

func (v *visit) apiNotMe() error {
	if _, err := v.fields(); err != nil {
		return err
	}
	if err := v.service().Disown(v.r.Context(), v.who, v.id()); err != nil {
		return err
	}
	return v.noContent()
}
