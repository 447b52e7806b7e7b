package ceremony_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// narrow is a database on a disk that is nearly full, once it is.
type narrow struct {
	store.Store
	full atomic.Bool
}

func (n *narrow) Apply(ctx context.Context, ops ...store.Op) error {
	if n.full.Load() && !store.IsTaking(ctx) {
		return store.ErrNoSpace
	}
	return n.Store.Apply(ctx, ops...)
}

// TestS27TakingGoesOn: where the disk is nearly full, what takes access away
// works, what gives it is refused, and a note of a read does not fail the read.
func TestS27TakingGoesOn(t *testing.T) {
	w := ceremonytest.New(t)
	alice, bob, carol := w.Enroll("alice"), w.Enroll("bob"), w.Enroll("carol")
	for _, p := range []*ceremonytest.Person{alice, bob, carol} {
		w.Win(p, view)
	}
	text, hash := apikeys.NewKey()
	key, err := w.CreateKey(t.Context(), hash, apikeys.Key{Tenant: ceremonytest.Tenant, Scopes: []apikeys.Scope{apikeys.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	disk := new(narrow)
	w.Under(func(s store.Store) store.Store { disk.Store = s; return disk })
	disk.full.Store(true)
	if _, err := w.KeyOf(t.Context(), text); err != nil {
		t.Errorf("a key is read: %v", err)
	}
	if err := w.RevokeKey(t.Context(), key.ID); err != nil {
		t.Errorf("revoking a key: %v", err)
	}
	if n, err := w.Revoke(t.Context(), alice.Subject, ""); err != nil || n == 0 {
		t.Errorf("revoking grants: %d, %v", n, err)
	}
	if err := w.Reset(t.Context(), bob.Subject); err != nil {
		t.Errorf("reset: %v", err)
	}
	if err := w.Invite(t.Context(), bob.Subject, hash, w.Clock.Now().Add(time.Hour)); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("invite: %v", err)
	}
}
