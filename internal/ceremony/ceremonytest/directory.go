package ceremonytest

import (
	"context"
	"slices"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// List has all tenants share a directory of these users, or of an error where it is
// not nil. No users and no error means that there is no directory.
func (w *World) List(err error, users ...string) {
	w.t.Helper()
	w.directory = func(_ context.Context, who grants.Subject) (ceremony.Listing, error) {
		switch {
		case err != nil:
			return 0, err
		case slices.Contains(users, who.User):
			return ceremony.Listed, nil
		}
		return ceremony.Unlisted, nil
	}
	if err == nil && len(users) == 0 {
		w.directory = nil
	}
	w.Configure()
}
