package portal

import (
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
	case a.Outcome == "refused":
		return pages.ActivityRefused
	case a.Kind == "verify":
		return pages.ActivityPassed
	case a.Outcome == "sent":
		return pages.ActivitySent
	}
	return map[string]pages.ActivityKind{
		"vouch": pages.ActivityVouched, "disown": pages.ActivityDisowned,
		"confirm": pages.ActivityAdded, "rename": pages.ActivityRenamed, "remove": pages.ActivityRemoved, "recovery_codes": pages.ActivityRenewed,
		"revoke": pages.ActivityRevoked, "reset": pages.ActivityReset, "unlock": pages.ActivityUnlock,
	}[a.Kind]
}

// activity lists what was done of late.
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
		shown = append(shown, line)
	}
	return shown, nil
}
