package portal

import (
	"errors"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// challengeField carries the id of the challenge that sent the person to enrol,
// in addresses and forms. The id opens nothing: only its own subject and browser
// find the challenge, and where that leads to is in it.
const challengeField = "challenge"

// enrolFor is a page of enrolment that goes back to the challenge afterwards.
func (v *visit) enrolFor(path, challenge string) string {
	if challenge == "" {
		return v.url(path)
	}
	return v.url(path) + "?" + challengeField + "=" + challenge
}

// waiting finds the challenge that a request names. One that is not there, or
// not this person's, is as if none were named.
func (v *visit) waiting() (ceremony.Description, bool) {
	id := v.form[challengeField]
	if v.form == nil {
		id = v.r.URL.Query().Get(challengeField)
	}
	if !isID(id) {
		return ceremony.Description{}, false
	}
	d, err := v.describe(id)
	return d, err == nil && d.Operation == ""
}

// showEnrolStart explains, and asks for what is needed to begin.
func (v *visit) showEnrolStart() error { return v.enrolStart(http.StatusOK, "", pages.NoError) }

func (v *visit) enrolStart(status int, label string, wrong pages.FieldError) error {
	view := pages.EnrolStart{Label: label, Error: wrong, FormURL: v.url("enroll"), CancelURL: v.url("")}
	err := v.service().MayEnrol(v.r.Context(), v.who)
	switch {
	case err == nil:
		view.First = true
	case errors.Is(err, ceremony.ErrInviteRequired):
		view.First, view.NeedsInvite = true, true
	case errors.Is(err, ceremony.ErrManageRequired):
		if proved, err := v.proved(ceremony.AddOp, "", "enroll"); err != nil || !proved {
			return err
		}
	default:
		return err
	}
	if d, ok := v.waiting(); ok {
		view.Challenge, view.For = d.ID, d.Label
	}
	if err := v.needToken(); err != nil {
		return err
	}
	view.Page = v.page()
	v.render(status, view)
	return nil
}

// beginEnrol makes the secret, and sends on to the page that shows it, so that
// loading that page again does not begin anew.
func (v *visit) beginEnrol() error {
	label, invite := v.form["label"], v.form["invite"]
	e, err := v.service().Enrol(v.r.Context(), v.who, label, ceremony.Leave{Invite: invite, Manage: v.manageToken()})
	switch {
	case err == nil:
		v.forgetManage()
		d, _ := v.waiting()
		return v.redirect(v.enrolFor("enroll/"+e.ID, d.ID))
	case errors.Is(err, ceremony.ErrInviteRequired) && invite == "":
		return v.enrolStart(http.StatusForbidden, label, pages.MissingInvite)
	case errors.Is(err, ceremony.ErrInviteRequired):
		return v.enrolStart(http.StatusForbidden, label, pages.WrongInvite)
	case errors.Is(err, ceremony.ErrInvalid):
		return v.enrolStart(http.StatusUnprocessableEntity, "", pages.BadLabel)
	case errors.Is(err, ceremony.ErrManageRequired):
		return v.enrolStart(http.StatusForbidden, label, pages.NoError)
	}
	return err
}

// showEnrol shows the secret of a pending enrolment, to the browser that began
// it.
func (v *visit) showEnrol() error { return v.enrolPage(http.StatusOK, pages.NoError) }

func (v *visit) enrolPage(status int, wrong pages.FieldError) error {
	e, err := v.service().Pending(v.r.Context(), v.who, v.id())
	if err != nil {
		return err
	}
	qr, err := pages.NewQR(e.URI)
	if err != nil {
		return err
	}
	if err := v.needToken(); err != nil {
		return err
	}
	view := pages.Enrol{
		Page: v.page(), QR: qr, Secret: e.Key.Base32(), OTPAuthURI: e.URI, Label: e.Label, Digits: e.Key.Digits,
		Expires: e.Expires, AttemptsLeft: -1, Error: wrong, FormURL: v.url("enroll/" + e.ID + "/confirm"), CancelURL: v.url(""),
	}
	if d, ok := v.waiting(); ok {
		view.Challenge = d.ID
	}
	v.render(status, view)
	return nil
}

// confirmEnrol takes the app's first code. Recovery codes are shown in the
// answer to the form and nowhere else: they are not kept anywhere to be shown
// again.
func (v *visit) confirmEnrol() error {
	waiting, waits := v.waiting()
	done, err := v.service().Confirm(v.r.Context(), v.who, v.id(), v.form["code"], waiting.ID)
	if errors.Is(err, ceremony.ErrInvalidCode) {
		return v.enrolPage(http.StatusUnprocessableEntity, pages.WrongCode)
	}
	if err != nil {
		return err
	}
	next, action := v.url(""), ""
	switch {
	case done.Won != nil:
		v.keep(done.Won)
		next, action = v.back(done.Won.Challenge.ReturnTo), done.Won.Challenge.Label
	case waits:
		next, action = v.url("challenge/"+waiting.ID), waiting.Label
	}
	if len(done.RecoveryCodes) == 0 {
		if waits {
			return v.redirect(next)
		}
		return v.redirect(v.done(pages.Added))
	}
	v.render(http.StatusOK, pages.RecoveryCodes{
		Page: v.page(), Codes: done.RecoveryCodes, Enrolled: true, ContinueURL: next, ContinueFor: action,
	})
	return nil
}
