package apikeys_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

func TestS02KeyIsGoodForWhatItSaysUntilItEnds(t *testing.T) {
	w := ceremonytest.New(t)
	text, hash := apikeys.NewKey()
	made, err := w.CreateKey(t.Context(), hash, apikeys.Key{
		Label: "payroll", Tenant: "staff", Scopes: []apikeys.Scope{apikeys.ScopeVerify, apikeys.ScopeRead}, Actions: []string{"PAY"},
		Expires: w.Clock.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(text) != 47 || !strings.HasPrefix(text, "suk_") || strings.Contains(made.ID, text[4:12]) {
		t.Error(len(text), made.ID)
	}
	w.Reopen()
	k, err := w.KeyOf(t.Context(), text)
	if err != nil || k.Tenant != "staff" || !k.May(apikeys.ScopeRead) || k.May(apikeys.ScopeReset) || !k.Mints("PAY") || k.Mints("OTHER") || k.Mints("*") {
		t.Errorf("%+v %v", k, err)
	}
	for _, wrong := range []string{"", "suk_", text[:46], text + "A", strings.ToLower(text), " " + text, text[4:], strings.Repeat("suk_", 1000)} {
		if _, err := w.KeyOf(t.Context(), wrong); err != ceremony.ErrNotFound {
			t.Errorf("%.60q: %v", wrong, err)
		}
	}
	w.Clock.Advance(30 * time.Second)
	if _, err := w.KeyOf(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	keys, err := w.Keys(t.Context())
	if err != nil || len(keys) != 1 || w.Clock.Now().Sub(keys[0].LastUsedAt) != 30*time.Second {
		t.Errorf("%+v %v", keys, err)
	}
	w.Clock.Advance(time.Hour)
	_, err = w.KeyOf(t.Context(), text)
	refused(t, "expired", err, ceremony.ErrNotFound)
}

func TestRevokedKeyEndsAtOnce(t *testing.T) {
	w := ceremonytest.New(t)
	text, hash := apikeys.NewKey()
	made, err := w.CreateKey(t.Context(), hash, apikeys.Key{Tenant: "staff", Scopes: []apikeys.Scope{apikeys.ScopeGrants}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.CreateKey(t.Context(), hash, apikeys.Key{Tenant: "other", Scopes: []apikeys.Scope{apikeys.ScopeReset}})
	refused(t, "the same key for another tenant", err, ceremony.ErrInvalid)
	if _, err := w.KeyOf(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	refused(t, "revoke", w.RevokeKey(t.Context(), made.ID), nil)
	_, err = w.KeyOf(t.Context(), text)
	refused(t, "revoked", err, ceremony.ErrNotFound)
	refused(t, "revoke again", w.RevokeKey(t.Context(), made.ID), ceremony.ErrNotFound)
}

func TestKeysThatAreRefused(t *testing.T) {
	w := ceremonytest.New(t)
	verify := []apikeys.Scope{apikeys.ScopeVerify}
	for name, k := range map[string]apikeys.Key{
		"no tenant":         {Scopes: verify, Actions: []string{"PAY"}},
		"no scope":          {Tenant: "t"},
		"unknown scope":     {Tenant: "t", Scopes: []apikeys.Scope{"admin"}},
		"scope twice":       {Tenant: "t", Scopes: []apikeys.Scope{"read", "read"}},
		"verify, no action": {Tenant: "t", Scopes: verify},
		"action, no verify": {Tenant: "t", Scopes: []apikeys.Scope{"read"}, Actions: []string{"PAY"}},
		"bad action":        {Tenant: "t", Scopes: verify, Actions: []string{"PAY\nME"}},
		"our own action":    {Tenant: "t", Scopes: verify, Actions: []string{"step_up.manage"}},
		"many actions":      {Tenant: "t", Scopes: verify, Actions: strings.Split(strings.Repeat("A,", 101)+"A", ",")},
		"past expiry":       {Tenant: "t", Scopes: verify, Actions: []string{"PAY"}, Expires: w.Clock.Now()},
		"label with breaks": {Tenant: "t", Scopes: verify, Actions: []string{"PAY"}, Label: "a\nb"},
	} {
		_, hash := apikeys.NewKey()
		_, err := w.CreateKey(t.Context(), hash, k)
		refused(t, name, err, ceremony.ErrInvalid)
	}
}

// refused checks the error of what was done, nil where it is to succeed.
func refused(t *testing.T, what string, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Errorf("%s: got %v, want %v", what, err, wanted)
	}
}
