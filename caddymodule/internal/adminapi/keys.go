package adminapi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// KeyRequest registers an API key that the command made; the gateway is told its
// hash only.
type KeyRequest struct {
	Tenant    string          `json:"tenant"`
	Label     string          `json:"label,omitempty"`
	Scopes    []apikeys.Scope `json:"scopes"`
	Actions   []string        `json:"actions,omitempty"`    // "*" alone: any
	ExpiresAt time.Time       `json:"expires_at,omitempty"` // left out: never
	Hash      string          `json:"hash"`                 // of the key, 64 hexadecimal digits
}

// Key is an API key as the operator sees it.
type Key struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	// TenantUUID is what clients send that name the tenant by a UUID.
	TenantUUID string          `json:"tenant_uuid"`
	Label      string          `json:"label,omitempty"`
	Scopes     []apikeys.Scope `json:"scopes"`
	Actions    []string        `json:"actions,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	ExpiresAt  *time.Time      `json:"expires_at,omitempty"`   // left out: never
	LastUsedAt *time.Time      `json:"last_used_at,omitempty"` // to the minute; left out: not yet
	Expired    bool            `json:"expired,omitempty"`
	Suspended  bool            `json:"suspended,omitempty"` // since an older copy was accepted, until it is enabled
}

// KeyAnswer is a key that was registered; Warning is a sentence, or empty.
type KeyAnswer struct {
	Key
	Warning string `json:"warning,omitempty"`
}

// KeysAnswer lists the API keys, the oldest first.
type KeysAnswer struct {
	Keys []Key `json:"keys"`
}

// KeyName names an API key.
type KeyName struct {
	ID string `json:"id"`
}

func keyOf(k apikeys.Key, now time.Time) Key {
	out := Key{
		ID: k.ID, Tenant: k.Tenant, TenantUUID: ceremony.TenantUUID(k.Tenant).String(), Label: k.Label,
		Scopes: k.Scopes, Actions: k.Actions, CreatedAt: k.CreatedAt, Suspended: k.Suspended,
	}
	if !k.Expires.IsZero() {
		out.ExpiresAt, out.Expired = &k.Expires, !now.Before(k.Expires)
	}
	if !k.LastUsedAt.IsZero() {
		out.LastUsedAt = &k.LastUsedAt
	}
	return out
}

func createKey(ctx context.Context, g Gateway, in KeyRequest) (KeyAnswer, error) {
	hash, err := hashOf(in.Hash)
	if err != nil {
		return KeyAnswer{}, err
	}
	if err := config.CheckTenant(in.Tenant); err != nil {
		return KeyAnswer{}, refused("%w", err)
	}
	made, err := g.Service().CreateKey(ctx, hash, apikeys.Key{
		Tenant: in.Tenant, Label: in.Label, Scopes: in.Scopes, Actions: in.Actions, Expires: in.ExpiresAt,
	})
	if errors.Is(err, ceremony.ErrLimit) {
		err = fmt.Errorf("there are too many API keys: revoke those that nobody uses: %w", err)
	}
	if err != nil {
		return KeyAnswer{}, err
	}
	out := KeyAnswer{Key: keyOf(made, time.Now())}
	if sites := g.SiteTenants(); !slices.Contains(sites, in.Tenant) {
		out.Warning = fmt.Sprintf("no site has the tenant %q, so what is won with this key opens no route", in.Tenant)
		if len(sites) > 0 {
			out.Warning += "; there is " + strings.Join(sites, ", ")
		}
		return out, nil
	}
	asked := g.Actions()
	for _, action := range in.Actions {
		if action != apikeys.AnyAction && !slices.Contains(asked, action) {
			out.Warning = fmt.Sprintf("no rule asks for %q, so what is won for it with this key opens no route: %s", action, nearest.OneOf(action, asked))
		}
	}
	return out, nil
}

// hashOf reads the hash of a secret that a command made.
func hashOf(text string) (hash [32]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(hash) {
		return hash, refused("hash must be 64 hexadecimal digits")
	}
	return [32]byte(raw), nil
}

func listKeys(ctx context.Context, g Gateway, _ struct{}) (KeysAnswer, error) {
	keys, err := g.Service().Keys(ctx)
	if err != nil {
		return KeysAnswer{}, err
	}
	out, now := KeysAnswer{Keys: make([]Key, 0, len(keys))}, time.Now()
	for _, k := range keys {
		out.Keys = append(out.Keys, keyOf(k, now))
	}
	return out, nil
}

func revokeKey(ctx context.Context, g Gateway, in KeyName) (KeyName, error) {
	return in, noSuchKey(g.Service().RevokeKey(ctx, in.ID))
}

func enableKey(ctx context.Context, g Gateway, in KeyName) (KeyName, error) {
	return in, noSuchKey(g.Service().EnableKey(ctx, in.ID))
}

func noSuchKey(err error) error {
	if errors.Is(err, ceremony.ErrNotFound) {
		err = caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("there is no such API key: `caddy step-up keys list` tells their ids")}
	}
	return err
}
