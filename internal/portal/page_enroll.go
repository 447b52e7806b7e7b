package portal

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// challengeField carries the id of the challenge that sent the person to enroll,
// in addresses and forms. The id opens nothing: only its own subject and browser
// find the challenge, and where that leads to is in it.
const challengeField = "challenge"

// enrollFor is a page of enrollment that goes back to the challenge afterwards.
func (v *visit) enrollFor(path, challenge string) string {
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
	if errors.Is(err, ceremony.ErrExpired) {
		// Setting something up takes longer than a challenge: it can be begun again.
		var l ceremony.Lapsed
		l, err = v.service().Lapsed(v.r.Context(), v.who, id)
		d.Challenge = l.Challenge
	}
	return d, err == nil && d.Operation == ""
}

// namesOf are the names of the kinds by which one can prove with the methods, the
// best first.
func namesOf(methods grants.Methods) (names []string) {
	for _, k := range grants.Kinds() {
		if k.Offer != "" && methods&k.Methods == k.Methods {
			names = append(names, k.Name)
		}
	}
	return names
}

// outcome is what came of a form, told on the page that it came from.
type outcome struct {
	status   int
	kind     string // as it was chosen
	wrong    pages.FieldError
	clockOff time.Duration // with pages.WrongClock
	resend   time.Duration // how long no code is sent
}

var fresh = outcome{status: http.StatusOK}

// mayAdd tells whether the person may go on to enroll, and whether it would be
// the first time; if not, everything is answered or err tells why.
func (v *visit) mayAdd() (first, may bool, err error) {
	err = v.service().MayEnroll(v.r.Context(), v.who)
	if errors.Is(err, ceremony.ErrManageRequired) {
		path := "enroll"
		if d, ok := v.waiting(); ok {
			path += "?" + challengeField + "=" + d.ID
		}
		may, err = v.proved(ceremony.AddOp, "", path)
		return false, may, err
	}
	return true, err == nil, err
}

// showEnrollStart explains, and asks for what is needed to begin.
func (v *visit) showEnrollStart() error { return v.enrollStart(fresh) }

func (v *visit) enrollStart(o outcome) error {
	first, may, err := v.mayAdd()
	needsInvite := errors.Is(err, ceremony.ErrInviteRequired)
	if !may && !needsInvite {
		return err
	}
	view := pages.EnrollStart{
		First: first, NeedsInvite: needsInvite, Kinds: namesOf(v.service().Offers(v.who, v.site.Origin)), Kind: o.kind, Label: v.form["label"], Error: o.wrong,
		FormURL: v.url("enroll"), CancelURL: v.url(""),
	}
	view.Missing = namesOf(v.service().Unaddressed(v.who, v.site.Origin))
	if o.wrong == pages.BadLabel {
		view.Label = ""
	}
	if d, ok := v.waiting(); ok {
		view.Challenge, view.For = d.ID, d.Label
		// What does not do for the action would lead nowhere.
		if do := namesOf(v.service().Offers(v.who, v.site.Origin) & d.Demand.Methods); len(do) > 0 {
			view.Kinds = do
		}
	}
	if err := v.needToken(); err != nil {
		return err
	}
	view.Page = v.page()
	v.render(o.status, view)
	return nil
}

// beginEnroll begins the chosen kind.
func (v *visit) beginEnroll() error {
	name := cmp.Or(v.form["kind"], pages.MethodTOTP)
	if !slices.Contains(namesOf(v.service().Offers(v.who, v.site.Origin)), name) {
		return invalid("kind", "is none of those offered")
	}
	method, err := grants.ParseMethod(name)
	if err != nil {
		return err
	}
	kind := grants.KindOf(method)
	if kind.Field != "" {
		return v.addressPage(kind, fresh) // which has the rest of the form with it
	}
	e, err := v.service().Enroll(v.r.Context(), v.who, v.setupHere(kind, ""), v.leave(v.form["invite"]))
	if notSent(err) {
		v.forgetManage()
		return v.enrollPage(e.ID, v.unsent(name, err))
	}
	return v.begun(name, e, err)
}

// setupHere is what the page's form begins: where it gives no name, the
// authenticator is called after its kind in the language of the page.
func (v *visit) setupHere(kind grants.Kind, address string) ceremony.Setup {
	setup := v.setup(kind, v.form["label"], address)
	setup.Name = pages.Label(v.language(), kind.Name)
	return setup
}

// begun sends on to the page that shows the enrollment, so that loading that page
// again does not begin anew.
func (v *visit) begun(kind string, e ceremony.Enrollment, err error) error {
	switch {
	case err == nil:
		v.forgetManage()
		d, _ := v.waiting()
		return v.redirect(v.enrollFor("enroll/"+e.ID, d.ID))
	case errors.Is(err, ceremony.ErrInviteRequired) && v.form["invite"] == "":
		return v.enrollStart(outcome{status: http.StatusForbidden, kind: kind, wrong: pages.MissingInvite})
	case errors.Is(err, ceremony.ErrInviteRequired):
		return v.enrollStart(outcome{status: http.StatusForbidden, kind: kind, wrong: pages.WrongInvite})
	case errors.Is(err, ceremony.ErrInvalid):
		return v.enrollStart(outcome{status: http.StatusUnprocessableEntity, kind: kind, wrong: pages.BadLabel})
	case errors.Is(err, ceremony.ErrManageRequired):
		return v.enrollStart(outcome{status: http.StatusForbidden, kind: kind})
	}
	return err
}

// showEnroll shows a pending enrollment, to the browser that began it.
func (v *visit) showEnroll() error { return v.enrollPage(v.id(), fresh) }

func (v *visit) enrollPage(id string, o outcome) error {
	e, err := v.service().Pending(v.r.Context(), v.who, id)
	if err != nil {
		return err
	}
	if err := v.needToken(); err != nil {
		return err
	}
	waiting, _ := v.waiting()
	confirm := v.url("enroll/" + e.ID + "/confirm")
	switch kind := grants.KindOf(e.Method); kind.Way {
	case grants.BySent:
		return v.sentPage(kind, e, o, waiting.ID, confirm)
	case grants.ByBrowser:
		v.render(o.status, pages.EnrollPasskey{
			Page: v.page(), CreationOptions: string(e.Options), Label: e.Label, Expires: e.Expires, Challenge: waiting.ID,
			Error: o.wrong, FormURL: confirm, OtherURL: v.enrollFor("enroll", waiting.ID), CancelURL: v.url(""),
		})
		return nil
	}
	qr, err := pages.NewQR(e.URI)
	if err != nil {
		return err
	}
	v.render(o.status, pages.Enroll{
		Page: v.page(), QR: qr, Secret: e.Key.Base32(), OTPAuthURI: e.URI, Label: e.Label, Digits: e.Key.Digits,
		Expires: e.Expires, AttemptsLeft: -1, Challenge: waiting.ID, Error: o.wrong, ClockOff: o.clockOff,
		FormURL: confirm, CancelURL: v.url(""),
	})
	return nil
}

// confirmEnroll takes the first proof. Recovery codes are shown in the answer to
// the form and nowhere else: they are not kept anywhere to be shown again.
func (v *visit) confirmEnroll() error {
	waiting, waits := v.waiting()
	done, err := v.service().Confirm(v.r.Context(), v.who, v.id(), v.form["code"], waiting.ID)
	if errors.Is(err, ceremony.ErrInvalidCode) {
		return v.notConfirmed(err)
	}
	if err != nil {
		return err
	}
	next, action, lead, opens := v.url(""), "", pages.Lead{}, ""
	switch {
	case done.Won != nil:
		v.keep(done.Won)
		won := &done.Won.Challenge
		next, action, lead, opens = v.back(won.ReturnTo), won.Label, leadOf(won), opened(won)
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
		Page: v.page(), Codes: done.RecoveryCodes, Enrolled: true, Kind: done.Authenticator.Method.String(), ContinueURL: next, ContinueFor: action, Lead: lead, Opens: opens,
	})
	return nil
}

// notConfirmed asks again.
func (v *visit) notConfirmed(wrong error) error {
	e, err := v.service().Pending(v.r.Context(), v.who, v.id())
	if err != nil {
		return err
	}
	o := outcome{status: http.StatusUnprocessableEntity, wrong: pages.WrongAnswer(e.Method.String())}
	if clock := (*ceremony.ClockOff)(nil); errors.As(wrong, &clock) {
		o.wrong, o.clockOff = pages.WrongClock, wholeMinutes(clock.By)
	}
	return v.enrollPage(e.ID, o)
}
