package portal

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
)

// No message is sent by opening a page, only by sending a form: it costs money,
// and browsers open pages on their own.

// showAddress asks where codes of the kind are to go.
func showAddress(kind grants.Kind) func(*visit) error {
	return func(v *visit) error { return v.addressPage(kind, fresh) }
}

func (v *visit) addressPage(kind grants.Kind, o outcome) error {
	if err := v.offered(kind.Methods); err != nil {
		return err
	}
	_, may, err := v.mayAdd()
	switch {
	case errors.Is(err, ceremony.ErrInviteRequired) && v.form == nil:
		return v.redirect(v.url("enroll"))
	case errors.Is(err, ceremony.ErrInviteRequired) && v.form["invite"] == "":
		return v.enrollStart(outcome{status: http.StatusForbidden, kind: kind.Name, wrong: pages.MissingInvite})
	case !may && !errors.Is(err, ceremony.ErrInviteRequired):
		return err
	}
	if err := v.needToken(); err != nil {
		return err
	}
	waiting, _ := v.waiting()
	v.render(o.status, pages.EnrollPhone{
		Page: v.page(), Kind: kind.Name, Number: v.form["number"], Label: v.form["label"], Invite: v.form["invite"], Challenge: waiting.ID,
		SendURL: v.url(kind.Type), AttemptsLeft: -1, Error: o.wrong, CancelURL: v.url(""),
	})
	return nil
}

// beginAddress sends the first code there. Where that fails the enrollment stands,
// since what allowed it is spent, and its page offers to send another.
func beginAddress(kind grants.Kind) func(*visit) error {
	return func(v *visit) error {
		if err := v.offered(kind.Methods); err != nil {
			return err
		}
		e, err := v.service().Enroll(v.r.Context(), v.who, v.setupHere(kind, v.form["number"]), v.leave(v.form["invite"]))
		field := (*ceremony.Field)(nil)
		switch {
		case notSent(err):
			v.forgetManage()
			return v.enrollPage(e.ID, v.unsent(kind.Name, err))
		case errors.Is(err, ceremony.ErrNumberRefused):
			return v.addressPage(kind, outcome{status: http.StatusUnprocessableEntity, wrong: pages.PhoneNotAllowed})
		case errors.As(err, &field) && field.Name != "label":
			return v.addressPage(kind, outcome{status: http.StatusUnprocessableEntity, wrong: pages.BadPhone})
		}
		return v.begun(kind.Name, e, err)
	}
}

// unsent is what is told where a code was not sent, with the field that tells
// programs when to come back.
func (v *visit) unsent(kind string, err error) outcome {
	wait := (*quota.Wait)(nil)
	if !errors.As(err, &wait) {
		return outcome{status: http.StatusServiceUnavailable, kind: kind, wrong: pages.NotSent}
	}
	v.w.Header().Set("Retry-After", strconv.FormatInt(problem.Seconds(wait.For), 10))
	return outcome{status: http.StatusTooManyRequests, kind: kind, wrong: pages.TooManySends, resend: wait.For}
}

// sentPage asks for the code that was sent.
func (v *visit) sentPage(kind grants.Kind, e ceremony.Enrollment, o outcome, challenge, confirm string) error {
	changeURL := ""
	if kind.Field != "" {
		changeURL = v.enrollFor(kind.Type, challenge)
	}
	v.render(o.status, pages.EnrollPhone{
		Page: v.page(), Kind: kind.Name, SentTo: e.Sent.Suffix, ResendAfter: v.resendAfter(e.Sent.ResendAt, o), SendURL: v.url("enroll/" + e.ID + "/send"),
		FormURL: confirm, ChangeURL: changeURL, Expires: e.Expires, AttemptsLeft: -1, Challenge: challenge, Error: o.wrong, CancelURL: v.url(""),
	})
	return nil
}

// resendAfter is how long no other code is sent.
func (v *visit) resendAfter(at time.Time, o outcome) time.Duration {
	return max(at.Sub(v.portal.o.Now()), o.resend, 0)
}

// sendFirst sends another code to the phone of a pending enrollment.
func (v *visit) sendFirst() error {
	_, err := v.service().SendFirstCode(v.r.Context(), v.who, v.id())
	if notSent(err) {
		return v.enrollPage(v.id(), v.unsent("", err))
	}
	if err != nil {
		return err
	}
	waiting, _ := v.waiting()
	return v.redirect(v.enrollFor("enroll/"+v.id(), waiting.ID))
}

// sendCode sends a code for a challenge, to the phone that was picked.
func (v *visit) sendCode() error {
	if _, err := v.describe(v.id()); err != nil {
		return v.challengePage(outcome{status: http.StatusUnprocessableEntity})
	}
	sent, err := v.service().SendCode(v.r.Context(), v.who, v.id(), v.form["phone"])
	kind := sent.Method.String()
	wait := (*ceremony.Wait)(nil)
	switch {
	case err == nil:
		return v.redirect(v.methodURL(v.id(), kind))
	case notSent(err):
		return v.challengePage(v.unsent(kind, err))
	case errors.As(err, &wait) && !wait.Disabled:
		return v.challengePage(outcome{status: http.StatusTooManyRequests, kind: kind})
	}
	return err
}

// fillPhones tells the challenge's page which phones there are, and where a code
// is on its way.
func (v *visit) fillPhones(view *pages.Challenge, texts ceremony.Texts, o outcome) {
	for _, p := range texts.Phones {
		phone := pages.Phone{ID: p.ID, Suffix: p.Suffix}
		view.Phones = append(view.Phones, phone)
		if p.ID == texts.To {
			view.SentTo = phone
		}
	}
	view.ResendAfter = v.resendAfter(texts.ResendAt, o)
}
