// Package identity has the identity sources that come with the gateway, Caddy
// modules of the namespace step_up.identity. Importing it registers them. What a
// source promises is written at caddymodule.IdentitySource.
package sources

import (
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// Answer is the answer of an IdentitySource. Only Subject.User is required.
type Answer struct {
	// Subject is the user. Its Tenant is left empty unless the source itself
	// names one: if that is not the site's, nobody is signed in here.
	Subject grants.Subject
	// Name is the user id as the source wrote it, which people and the
	// application see. Empty: as in Subject.
	Name string
	// Session names the login session at the source. A grant that was given in
	// one session is no good in another. Empty: the source has no sessions.
	Session string
	// Vouched are the places whose credentials this answer stands for. The
	// list may be shared between answers, and is not changed.
	Vouched []identity.Credential
	// Email is the user's mail address, if the source vouches for it as it does
	// for the user: codes are sent there, and nobody else may have written it. A
	// text that is not one plain address counts as none. Empty: the source has
	// none, or does not vouch for it.
	Email string
	// Groups are what the source knows of the user besides; empty if it does not.
	Groups []string
}
