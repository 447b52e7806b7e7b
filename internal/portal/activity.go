package portal

import (
	"cmp"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// shownActivity is how much of what was done the security page lists, so that it
// stays small; the JSON API has all that is kept.
const shownActivity = 10

// activityOf is how the pages tell of what was done; empty for what they do not
// tell.
func activityOf(a *ceremony.Activity) pages.ActivityKind {
	switch {
	case ceremony.Outcome(a.Outcome) == ceremony.Refused:
		return pages.ActivityRefused
	case ceremony.EventKind(a.Kind) == ceremony.EventVerify:
		return pages.ActivityPassed
	case ceremony.Outcome(a.Outcome) == ceremony.SentOut:
		return pages.ActivitySent
	}
	return map[ceremony.EventKind]pages.ActivityKind{
		ceremony.EventVouch: pages.ActivityVouched, ceremony.EventDisown: pages.ActivityDisowned,
		ceremony.EventConfirm: pages.ActivityAdded, ceremony.EventRename: pages.ActivityRenamed, ceremony.EventRemove: pages.ActivityRemoved, ceremony.EventRecoveryCodes: pages.ActivityRenewed,
		ceremony.EventRevoke: pages.ActivityRevoked, ceremony.EventReset: pages.ActivityReset, ceremony.EventUnlock: pages.ActivityUnlock,
	}[ceremony.EventKind(a.Kind)]
}

// activity lists what was done recently.
func (v *visit) activity() ([]pages.Activity, error) {
	list, err := v.service().Activity(v.r.Context(), v.who)
	if err != nil {
		return nil, err
	}
	var shown []pages.Activity
	for _, a := range ceremony.LatestActivity(list, shownActivity) {
		kind := activityOf(&a)
		if kind == "" {
			continue
		}
		line := pages.Activity{Time: a.Time, Kind: kind, Method: a.Method, Address: a.Address}
		if a.Client != ceremony.UserClient {
			line.Key = a.Client
		}
		// Who manages their authenticators sees next what they did.
		if a.Action != "" && a.Action != grants.ManageAction {
			line.Action = v.actionLabel(a.Action)
		}
		switch kind {
		case pages.ActivityPassed, pages.ActivityRefused, pages.ActivitySent:
			line.Label = a.Authenticator
		default:
			line.Action = cmp.Or(line.Action, a.Authenticator) // what was changed
		}
		shown = append(shown, line)
	}
	return shown, nil
}
