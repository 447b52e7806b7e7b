package portal

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// lapsed answers for the path's challenge that ran out, which the person can begin
// again; false where the path names none.
func (v *visit) lapsed() bool {
	if len(v.ids) == 0 {
		return false
	}
	l, err := v.service().Lapsed(v.r.Context(), v.who, v.id())
	if err != nil || v.needToken() != nil {
		return false
	}
	if v.isOpen(&l.Challenge) {
		return v.onward(&l.Challenge) == nil
	}
	view := pages.Lapsed{
		Page: v.page(), Action: l.Label, Change: changeOf(l.Operation), Kept: l.Kept, Lost: l.Held && l.Kept.IsZero(),
		Lead: leadOf(&l.Challenge), CancelTo: v.cameFrom(),
	}
	view.Address = leadsTo(&l.Challenge)
	if view.Action == "" && view.Change == "" {
		view.Action = l.Demand.Action.String()
	}
	switch {
	case view.Lost:
		view.BackURL = cmp.Or(view.CancelTo, v.back(withoutTicket(l.ReturnTo)))
	case l.ReturnTo != "":
		view.AgainURL = v.url("challenge/" + l.ID + "/again")
	}
	v.render(http.StatusGone, view)
	return true
}

// withoutTicket is the address that was asked for with a held request.
func withoutTicket(returnTo string) string {
	if i := strings.LastIndex(returnTo, ceremony.ResumeParam+"="); i > 0 {
		return returnTo[:i-1]
	}
	return returnTo
}

// beginAgain begins a challenge that ran out again.
func (v *visit) beginAgain() error {
	c, err := v.service().BeginAgain(v.r.Context(), v.who, v.id())
	if errors.Is(err, ceremony.ErrNotFound) {
		// It was begun again in another window, is not over yet, or what was held is
		// not any more: its page tells.
		return v.challengePage(outcome{status: http.StatusNotFound})
	}
	if err != nil {
		return err
	}
	page := v.url("challenge/" + c.ID)
	if from := v.cameFrom(); from != "" {
		page += "?" + url.Values{fromField: {from}}.Encode()
	}
	return v.redirect(page)
}
