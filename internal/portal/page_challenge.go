package portal

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

// showChallenge asks for a proof, or sends on to enrollment who has none.
func (v *visit) showChallenge() error {
	return v.challengePage(outcome{status: http.StatusOK, kind: v.r.URL.Query().Get("method")})
}

// challengePage draws the person's challenge as it stands.
func (v *visit) challengePage(o outcome) error {
	d, err := v.describe(v.id())
	switch {
	case errors.Is(err, ceremony.ErrNotFound):
		if c, err := v.service().Passed(v.r.Context(), v.who, v.id()); err == nil && v.isOpen(&c) {
			return v.onward(&c)
		}
		if v.newcomer {
			v.message(http.StatusNotFound, pages.NoCookies, cmp.Or(v.cameFrom(), v.site.Base+"/"))
			return nil
		}
		// Mostly one that was passed or cancelled, seen again in the history.
		v.message(http.StatusNotFound, pages.Expired, cmp.Or(v.cameFrom(), v.site.Base+"/"))
		return nil
	case err != nil:
		return err
	case v.isOpen(&d.Challenge):
		return v.onward(&d.Challenge)
	case !d.Enrolled:
		return v.redirect(v.enrollFor("enroll", d.ID))
	case d.Wait != nil && d.Wait.Disabled:
		return d.Wait
	case len(d.Methods) == 0 && len(d.Young) > 0:
		v.young(d.Young[0])
		return nil
	case len(d.Methods) == 0 && len(d.Elsewhere) > 0:
		v.message(http.StatusForbidden, pages.Elsewhere, v.url(""))
		return nil
	case len(d.Methods) == 0 && d.Addable != 0:
		v.render(http.StatusForbidden, pages.Message{
			Page: v.page(), Kind: pages.MustAdd, Takes: namesOf(d.Addable), NextURL: v.enrollFor("enroll", d.ID),
		})
		return nil
	case len(d.Methods) == 0:
		v.message(http.StatusForbidden, pages.NoMethod, v.url(""))
		return nil
	}
	if err := v.needToken(); err != nil {
		return err
	}
	self := v.url("challenge/" + d.ID)
	view := pages.Challenge{
		Page: v.page(), Action: d.Label, Change: changeOf(d.Operation),
		OneTime: d.Demand.Use == grants.OneTimeUse, Hold: d.Demand.TTL, Held: d.Held,
		AttemptsLeft: d.AttemptsLeft, Error: o.wrong, ClockOff: o.clockOff, FormURL: self, CancelURL: self + "/cancel", CancelTo: v.cameFrom(),
		SendURL: self + "/send", Left: d.Expires.Sub(v.portal.o.Now()),
	}
	view.Opens = opened(&d.Challenge)
	view.Address, view.Foreign, view.From = leadsTo(&d.Challenge), d.Foreign, siteName(d.From)
	for _, a := range d.Recent {
		view.Recent = append(view.Recent, pages.Recent{Label: a.Label, Added: a.CreatedAt})
	}
	for _, y := range d.Young {
		if !y.Until.IsZero() {
			view.Young = append(view.Young, pages.Young{Label: v.youngLabel(y), Until: y.Until})
		}
	}
	view.Elsewhere = d.Elsewhere
	for _, s := range d.Show {
		view.Show = append(view.Show, pages.Shown{Name: s.Name, Label: s.Label, Value: s.Value, Cut: s.Cut})
	}
	if view.Action == "" && view.Change == "" {
		view.Action = d.Demand.Action.String()
	}
	selected := d.Methods[0]
	if m, err := grants.ParseMethod(o.kind); err == nil && slices.Contains(d.Methods, m) {
		selected = m
	}
	for _, m := range d.Methods {
		view.Methods = append(view.Methods, pages.Method{Name: m.String(), URL: v.methodURL(d.ID, m.String()), Selected: m == selected})
	}
	asked := d.Asked(selected)
	view.Digits, view.PasskeyOptions = asked.Digits, string(asked.Options)
	if grants.KindOf(selected).Way == grants.BySent {
		v.fillPhones(&view, asked.Texts, o)
	}
	if d.Wait != nil {
		view.RetryAfter = d.Wait.For
		if o.status != http.StatusOK {
			// Also after the wrong answer that began the wait: who comes back at
			// once is refused.
			v.w.Header().Set("Retry-After", strconv.FormatInt(problem.Seconds(d.Wait.For), 10))
		}
	}
	v.render(o.status, view)
	return nil
}

// methodURL is the challenge's page with a method selected.
func (v *visit) methodURL(challenge, method string) string {
	query := url.Values{"method": {method}}
	if from := v.cameFrom(); from != "" {
		query.Set(fromField, from)
	}
	return v.url("challenge/" + challenge + "?" + query.Encode())
}

// changeOf names the operation that a proof is asked for.
func changeOf(op ceremony.Operation) pages.Change {
	switch {
	case op == "":
		return ""
	case op == ceremony.AddOp:
		return pages.ChangeAdd
	case op == ceremony.RenewOp:
		return pages.ChangeRenew
	case strings.HasPrefix(string(op), string(ceremony.RemoveOp(""))):
		return pages.ChangeRemove
	case strings.HasPrefix(string(op), string(ceremony.VouchOp(""))):
		return pages.ChangeVouch
	case strings.HasPrefix(string(op), string(ceremony.RenameOp(""))):
		return pages.ChangeRename
	}
	return pages.ChangeAny
}

// answerChallenge looks at an answer, and sends on whoever passed.
func (v *visit) answerChallenge() error {
	d, err := v.describe(v.id())
	switch {
	case err != nil:
		return v.challengePage(outcome{status: http.StatusUnprocessableEntity})
	case v.isOpen(&d.Challenge):
		return v.onward(&d.Challenge)
	}
	name := v.form["method"]
	method, err := grants.ParseMethod(name)
	if err != nil {
		return invalid("method", "is not known")
	}
	won, err := v.service().Verify(v.r.Context(), v.who, v.id(), ceremony.Answer{Method: method, Code: v.form["code"]})
	wait := (*ceremony.Wait)(nil)
	switch {
	case err == nil:
		v.keep(&won)
		return v.onward(&won.Challenge)
	case errors.Is(err, ceremony.ErrOpen):
		return v.onward(&won.Challenge)
	case errors.Is(err, ceremony.ErrInvalidCode):
		o := outcome{status: http.StatusUnprocessableEntity, kind: name, wrong: pages.WrongAnswer(name)}
		if clock := (*ceremony.ClockOff)(nil); errors.As(err, &clock) {
			o.wrong, o.clockOff = pages.LateCode, wholeMinutes(clock.By)
		}
		return v.challengePage(o)
	case errors.Is(err, ceremony.ErrInvalid):
		return v.challengePage(outcome{status: http.StatusUnprocessableEntity, kind: name, wrong: pages.MalformedCode})
	case errors.Is(err, ceremony.ErrAuthenticatorTooNew):
		return v.tooYoung(method, err)
	case errors.As(err, &wait) && !wait.Disabled:
		return v.challengePage(outcome{status: http.StatusTooManyRequests, kind: name})
	case errors.Is(err, ceremony.ErrNotEnrolled), errors.Is(err, ceremony.ErrNotFound):
		return v.challengePage(outcome{status: http.StatusNotFound, kind: name})
	}
	return err
}

// onward sends whoever passed to where they were going.
//
// A browser is sent there by a page that refreshes: it would follow a redirect
// as part of sending our form, and then hold our form-action against every
// further one, so that an application that redirects to another origin, such as
// its own sign-in, would leave the person stuck here (seen in Chromium). Our own
// pages redirect nowhere, and programs have no such policy.
//
// Where another site sent the person, nothing leads on by itself: the proof was
// given for an address that the other site chose, and is read once more.
func (v *visit) onward(c *ceremony.Challenge) error {
	if c.ReturnTo == "" && fromBrowser(v.r) {
		// A script opened this window and waits behind it.
		v.render(http.StatusOK, pages.Passed{Page: v.page(), Action: c.Label, Opens: opened(c)})
		return nil
	}
	target := v.back(c.ReturnTo)
	page := pages.Passed{Page: v.page(), Action: c.Label, Opens: opened(c), URL: target, Lead: leadOf(c)}
	switch {
	case strings.HasPrefix(target, v.url("")):
		return v.redirect(target)
	case c.Foreign:
	case !fromBrowser(v.r):
		return v.redirect(target)
	default:
		v.w.Header().Set("Refresh", "0;url="+target)
	}
	v.render(http.StatusOK, page)
	return nil
}

// isOpen reports whether the browser has what the challenge asks for already: its
// window waited while another one was passed. A proof that is good for one
// request is never there already.
func (v *visit) isOpen(c *ceremony.Challenge) bool {
	if !mayOpenOthers(c) {
		return false
	}
	token, _ := cookies.Get(v.r.Header, v.grantCookie(c.Demand.Action.String()).On(v.site.Secure))
	_, err := v.service().Check(v.r.Context(), &v.who, &c.Demand, [32]byte{}, token)
	return err == nil
}

// mayOpenOthers reports whether a proof for the challenge answers others for the same
// action too.
func mayOpenOthers(c *ceremony.Challenge) bool {
	return c.Demand.Use == grants.TimeBased && c.Operation == "" && len(c.Show) == 0
}

// opened names the action that the challenge's proof opened; see pages.Passed.
func opened(c *ceremony.Challenge) string {
	if !mayOpenOthers(c) {
		return ""
	}
	return c.Demand.Action.String()
}

// cancelChallenge forgets the challenge, and leads back to where the person came
// from; but not to a page that would ask for the same again, such as one that was
// open under a grant which has ended.
func (v *visit) cancelChallenge() error {
	if err := v.service().Cancel(v.r.Context(), v.who, v.id()); err != nil {
		return err
	}
	to := v.cameFrom()
	if to == "" || v.portal.o.Asks(v.r, v.who, v.site.Base, to) {
		return v.redirect(v.done(pages.Cancelled))
	}
	// As in onward: the application may redirect elsewhere.
	if fromBrowser(v.r) {
		v.w.Header().Set("Refresh", "0;url="+to)
		v.render(http.StatusOK, pages.Left{Page: v.page(), URL: to})
		return nil
	}
	return v.redirect(to)
}

// fromField carries cameFrom through the forms and links of a challenge.
const fromField = "from"

// maxFrom bounds what is carried; browsers cut a Referer at 4 KiB.
const maxFrom = 4 << 10

// cameFrom is the page of the application from which the person came to the
// challenge, as a path on the site; "" where it cannot be told, or was one of our own. A
// browser says it in the Referer of the first request; forms and links carry it on.
//
// Only pages of the site itself can have put it there: another origin's Referer or
// link is not taken, and a form of ours comes with its token (S10). Even so it is only
// ever a path, which back keeps on the site (S09).
func (v *visit) cameFrom() string {
	from := v.form[fromField]
	if v.form == nil {
		from = v.r.URL.Query().Get(fromField)
	}
	if v.form == nil && (from == "" || v.r.Header.Get("Sec-Fetch-Site") != "same-origin") {
		var ok bool
		if from, ok = strings.CutPrefix(v.r.Header.Get("Referer"), v.site.Origin); !ok {
			return ""
		}
	}
	from, _, _ = strings.Cut(from, "#")
	u, err := url.ParseRequestURI(from)
	if err != nil || !strings.HasPrefix(from, "/") || len(from) > maxFrom || v.isOwn(u.Path) || u.Query().Has(ceremony.ResumeParam) {
		return ""
	}
	to := v.back(from)
	if to == v.url("") {
		return ""
	}
	return to
}

// isOwn tells of a path that it lies under the prefix, in any spelling.
func (v *visit) isOwn(path string) bool {
	return strings.Contains(strings.ToLower(path)+"/", Prefix)
}
