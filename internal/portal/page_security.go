package portal

import (
	"errors"
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// doneWords are what the security page may say at its top, by the word in its
// address.
var doneWords = map[string]pages.Done{
	"removed": pages.Removed, "renamed": pages.Renamed, "added": pages.Added,
	"vouched": pages.Vouched, "disowned": pages.Disowned,
	"revoked": pages.Revoked, "cancelled": pages.Cancelled,
}

// done is the security page saying what was just done.
func (v *visit) done(what pages.Done) string {
	for word, d := range doneWords {
		if d == what {
			return v.url("") + "?done=" + word
		}
	}
	return v.url("")
}

// showSecurity shows a person what they prove themselves with and what is open.
func (v *visit) showSecurity() error {
	account, err := v.service().Account(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	if err := v.needToken(); err != nil {
		return err
	}
	view := pages.Security{
		Page: v.page(), RecoveryLeft: account.RecoveryCodesLeft, AddURL: v.url("enroll"), SiteURL: v.site.Base + "/",
	}
	// Nobody else can make us say that something was done.
	if from := v.r.Header.Get("Sec-Fetch-Site"); from == "" || from == "same-origin" {
		view.Done = doneWords[v.r.URL.Query().Get("done")]
	}
	if account.Enrolled {
		view.RenewURL = v.url("recovery-codes/renew")
	}
	for _, a := range account.Authenticators {
		self := v.url("authenticators/" + a.ID)
		line := pages.Authenticator{
			Label: a.Label, Kind: a.Method.String(), Added: a.CreatedAt, LastUsed: a.LastUsedAt,
			Suffix: a.Suffix, Elsewhere: a.Elsewhere, Synced: a.Synced, Cloned: a.Suspect,
			RenameURL: self + "/rename", RemoveURL: self + "/remove",
			Recent: a.Recent, Fresh: a.FullAt, Suspended: a.Suspended, Unconfirmed: a.Unconfirmed,
		}
		if !a.FullAt.IsZero() {
			line.VouchedBy = a.Vouched.Names()
		}
		if a.Disownable {
			line.NotMeURL = self + "/not-me"
		}
		if a.Vouchable {
			line.VouchURL = self + "/vouch"
		}
		view.Authenticators = append(view.Authenticators, line)
	}
	for _, g := range account.Grants {
		line := pages.Grant{
			Action: v.actionLabel(g.Action), OneTime: g.Use == grants.OneTimeUse, Expires: g.Expires,
			RevokeURL: v.url("grants/" + g.ID + "/revoke"),
		}
		if g.Action == grants.ManageAction {
			line.Change = pages.ChangeAny
		}
		view.Grants = append(view.Grants, line)
	}
	if view.Activity, err = v.activity(); err != nil {
		return err
	}
	v.render(http.StatusOK, view)
	return nil
}

// proved tells whether the browser holds the grant for the operation (S14). If
// not, it begins the challenge for it and sends the person there, to come back to
// path; then everything is answered.
func (v *visit) proved(op ceremony.Operation, label, path string) (bool, error) {
	err := v.service().MayManage(v.r.Context(), v.who, op, v.manageToken())
	if !errors.Is(err, ceremony.ErrManageRequired) {
		return err == nil, err
	}
	c, err := v.service().BeginManage(v.r.Context(), v.who, op, label, v.site.Origin, v.url(path))
	if err != nil {
		return false, err
	}
	return false, v.redirect(v.url("challenge/" + c.ID))
}

// own finds the person's authenticator that the path names.
func (v *visit) own() (a ceremony.Authenticator, last bool, err error) {
	account, err := v.service().Account(v.r.Context(), v.who)
	if err != nil {
		return a, false, err
	}
	for _, a := range account.Authenticators {
		if a.ID == v.id() {
			return a, len(account.Authenticators) == 1, nil
		}
	}
	return a, false, ceremony.ErrNotFound
}

func (v *visit) askRemove() error {
	a, last, err := v.own()
	if err != nil {
		return err
	}
	path := "authenticators/" + a.ID + "/remove"
	if proved, err := v.proved(ceremony.RemoveOp(a.ID), a.Label, path); err != nil || !proved {
		return err
	}
	return v.confirm(pages.Confirm{Kind: pages.ConfirmRemove, Label: a.Label, Last: last, FormURL: v.url(path)})
}

func (v *visit) confirm(view pages.Confirm) error {
	if err := v.needToken(); err != nil {
		return err
	}
	view.Page, view.CancelURL = v.page(), v.url("")
	v.render(http.StatusOK, view)
	return nil
}

func (v *visit) remove() error {
	err := v.service().Remove(v.r.Context(), v.who, v.id(), v.manageToken())
	if errors.Is(err, ceremony.ErrManageRequired) {
		return v.askRemove()
	}
	if err != nil {
		return err
	}
	v.forgetManage()
	return v.redirect(v.done(pages.Removed))
}

func (v *visit) askRename() error { return v.renamePage(http.StatusOK, pages.NoError) }

func (v *visit) renamePage(status int, wrong pages.FieldError) error {
	a, _, err := v.own()
	if err != nil {
		return err
	}
	path := "authenticators/" + a.ID + "/rename"
	if proved, err := v.proved(ceremony.RenameOp(a.ID), a.Label, path); err != nil || !proved {
		return err
	}
	if err := v.needToken(); err != nil {
		return err
	}
	v.render(status, pages.Rename{Page: v.page(), Label: a.Label, Error: wrong, FormURL: v.url(path), CancelURL: v.url("")})
	return nil
}

func (v *visit) rename() error {
	label := strings.TrimSpace(v.form["label"])
	if label == "" {
		return v.renamePage(http.StatusUnprocessableEntity, pages.BadLabel)
	}
	_, err := v.service().Rename(v.r.Context(), v.who, v.id(), label, v.manageToken())
	switch {
	case err == nil:
		v.forgetManage()
		return v.redirect(v.done(pages.Renamed))
	case errors.Is(err, ceremony.ErrManageRequired):
		return v.askRename()
	case errors.Is(err, ceremony.ErrInvalid):
		return v.renamePage(http.StatusUnprocessableEntity, pages.BadLabel)
	}
	return err
}

func (v *visit) askRenew() error {
	account, err := v.service().Account(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	if !account.Enrolled {
		return v.redirect(v.url("enroll"))
	}
	const path = "recovery-codes/renew"
	if proved, err := v.proved(ceremony.RenewOp, "", path); err != nil || !proved {
		return err
	}
	return v.confirm(pages.Confirm{Kind: pages.ConfirmRenew, FormURL: v.url(path)})
}

func (v *visit) renew() error {
	codes, err := v.service().RenewRecoveryCodes(v.r.Context(), v.who, v.manageToken())
	if errors.Is(err, ceremony.ErrManageRequired) {
		return v.askRenew()
	}
	if err != nil {
		return err
	}
	v.forgetManage()
	v.render(http.StatusOK, pages.RecoveryCodes{Page: v.page(), Codes: codes, ContinueURL: v.url("")})
	return nil
}

// revoke ends a grant. It needs no proof: it only takes away.
func (v *visit) revoke() error {
	err := v.service().RevokeGrant(v.r.Context(), v.who, v.id())
	if err != nil && !errors.Is(err, ceremony.ErrNotFound) {
		return err
	}
	return v.redirect(v.done(pages.Revoked))
}
