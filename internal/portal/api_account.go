package portal

import (
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// The shapes of the answers; openapi.yaml describes them and the tests hold the
// two together.
type (
	apiAuthenticator struct {
		ID         string     `json:"id"`
		Type       string     `json:"type"`
		Label      string     `json:"label"`
		CreatedAt  time.Time  `json:"created_at"`
		LastUsedAt *time.Time `json:"last_used_at"`
		// VouchedBy is by what it was added; it is worth no more until FullStrengthAt,
		// null once it is.
		VouchedBy      []string   `json:"vouched_by"`
		FullStrengthAt *time.Time `json:"full_strength_at"`
		Suspended      bool       `json:"suspended"`
		// Of one whose codes are sent. Usable is false where the identity source does
		// not give the address any more.
		apiWhere
		Usable *bool `json:"usable,omitempty"`
		// Of a passkey.
		Synced  *bool `json:"synced,omitempty"`
		Suspect *bool `json:"suspect,omitempty"`
	}
	apiGrant struct {
		ID         string    `json:"id"`
		ActionType string    `json:"action_type"`
		GrantType  string    `json:"grant_type"`
		ExpiresAt  time.Time `json:"expires_at"`
	}
	apiAccount struct {
		UserID            string             `json:"user_id"`
		Enrolled          bool               `json:"enrolled"`
		Authenticators    []apiAuthenticator `json:"authenticators"`
		RecoveryCodesLeft int                `json:"recovery_codes_left"`
		Grants            []apiGrant         `json:"grants"`
	}
	apiActivity struct {
		Time       time.Time `json:"time"`
		Kind       string    `json:"kind"`
		Outcome    string    `json:"outcome"`
		ActionType string    `json:"action_type,omitempty"`
		Method     string    `json:"method,omitempty"`
		Address    string    `json:"address,omitempty"`
		Client     string    `json:"client,omitempty"`
	}
	apiActivities struct {
		Activity []apiActivity `json:"activity"`
	}
)

func shapeAuthenticator(a ceremony.Authenticator) apiAuthenticator {
	out := apiAuthenticator{ID: a.ID, Type: a.Type, Label: a.Label, CreatedAt: stamp(a.CreatedAt)}
	if !a.LastUsedAt.IsZero() {
		t := stamp(a.LastUsedAt)
		out.LastUsedAt = &t
	}
	out.VouchedBy, out.Suspended = a.Vouched.Names(), a.Suspended
	if !a.FullAt.IsZero() {
		t := stamp(a.FullAt.Add(time.Second - 1)) // never too early
		out.FullStrengthAt = &t
	}
	out.apiWhere = whereOf(grants.KindOf(a.Method), a.Suffix)
	if grants.KindOf(a.Method).ByIdentity() {
		usable := !a.Elsewhere
		out.Usable = &usable
	}
	if grants.KindOf(a.Method).Way == grants.ByBrowser {
		out.Synced, out.Suspect = &a.Synced, &a.Suspect
	}
	return out
}

func (v *visit) apiMe() error {
	account, err := v.service().Account(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	out := apiAccount{
		UserID: account.Subject.User, Enrolled: account.Enrolled, RecoveryCodesLeft: account.RecoveryCodesLeft,
		Authenticators: []apiAuthenticator{}, Grants: []apiGrant{},
	}
	for _, a := range account.Authenticators {
		out.Authenticators = append(out.Authenticators, shapeAuthenticator(a))
	}
	for _, g := range account.Grants {
		out.Grants = append(out.Grants, apiGrant{ID: g.ID, ActionType: g.Action, GrantType: g.Use.String(), ExpiresAt: stamp(g.Expires)})
	}
	return v.reply(http.StatusOK, out)
}

func (v *visit) apiActivity() error {
	list, err := v.service().Activity(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	out := apiActivities{Activity: []apiActivity{}}
	for _, a := range list {
		out.Activity = append(out.Activity, apiActivity{
			Time: stamp(a.Time), Kind: a.Kind, Outcome: a.Outcome, ActionType: a.Action, Method: a.Method, Address: a.Address, Client: a.Client,
		})
	}
	return v.reply(http.StatusOK, out)
}
