// Package apikeys keeps the keys with which servers use the API: what each may do,
// and for whom. A key is a secret of 256 random bits, of which a digest is stored;
// [Ring.KeyOf] finds the live key of a text.
//
// Who makes and revokes keys is the operator, by [Ring.CreateKey] and kin. What a
// key is used for is the caller's to check, with [Key.May] and [Key.Mints].
package apikeys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/typed"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Change is what was done with a key.
type Change string

// The changes.
const (
	Created Change = "created"
	Revoked Change = "revoked"
	Enabled Change = "enabled"
)

// Ring is all keys.
type Ring struct {
	open func(context.Context) (*records.DB, error)
	now  func() time.Time
	tell func(ctx context.Context, tenant, id string, c Change)
}

// NewRing makes a Ring over the database that open gives. Each change is told.
func NewRing(open func(context.Context) (*records.DB, error), now func() time.Time, tell func(ctx context.Context, tenant, id string, c Change)) *Ring {
	return &Ring{open, now, tell}
}

// Scope is something that an API key may do.
type Scope string

// The scopes.
const (
	ScopeEnroll Scope = "enroll" // begin and finish a subject's first enrollment
	ScopeVerify Scope = "verify" // mint grants for the key's action types
	ScopeGrants Scope = "grants" // check grants, and use up those that are good for once
	ScopeRead   Scope = "read"   // see what a subject is enrolled with
	ScopeReset  Scope = "reset"  // take a subject's authenticators away, renew its recovery codes
)

// Scopes are all there are.
func Scopes() []Scope {
	return []Scope{ScopeEnroll, ScopeVerify, ScopeGrants, ScopeRead, ScopeReset}
}

// AnyAction among a key's action types stands for all.
const AnyAction = "*"

// Key is a server's key as the operator sees it.
type Key struct {
	ID, Label, Tenant string
	Scopes            []Scope
	Actions           []string
	CreatedAt         time.Time
	Expires           time.Time // zero: never
	LastUsedAt        time.Time // zero: not yet
	// Suspended tells that it is not taken since an older copy of the database
	// was put back, in which it may have come back; see [Ring.EnableKey].
	Suspended bool
}

// May tells whether the key has the scope.
func (k *Key) May(s Scope) bool { return slices.Contains(k.Scopes, s) }

// Mints tells whether the key may mint grants for the action type.
func (k *Key) Mints(action string) bool {
	return k.May(ScopeVerify) && (slices.Contains(k.Actions, action) || slices.Contains(k.Actions, AnyAction))
}

// Prefix begins every API key, so that secret scanners know it.
const Prefix = "suk_"

const (
	maxKeys       = 1000
	maxKeyActions = 100
	// maxKeyLen is longer than every key of ours.
	maxKeyLen = 128
	// lastUsedGrain is how often at most the last use of a key is written.
	lastUsedGrain = time.Minute
)

// NewKey makes an API key and the hash under which [Ring.CreateKey] stores
// it. The key is a secret of 256 random bits.
func NewKey() (key string, hash [32]byte) {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	key = Prefix + base64.RawURLEncoding.EncodeToString(raw)
	return key, hashOf(key)
}

// hashOf needs no key of its own: an API key is 256 random bits.
func hashOf(key string) [32]byte { return sha256.Sum256([]byte("step-up api key\x00" + key)) }

// KeyID names the key of a hash to people; it is no secret.
func KeyID(hash [32]byte) string { return "key_" + hex.EncodeToString(hash[:6]) }

// CreateKey lets the key of that hash be used. It fails with a [cause.Field], or with
// [cause.ErrLimit] where there are too many.
func (r *Ring) CreateKey(ctx context.Context, hash [32]byte, k Key) (Key, error) {
	label, err := typed.Label(k.Label)
	if err != nil {
		return k, err
	}
	k.ID, k.Label, k.CreatedAt, k.LastUsedAt = KeyID(hash), label, r.now(), time.Time{}
	if err := k.check(k.CreatedAt); err != nil {
		return k, err
	}
	db, err := r.open(ctx)
	if err != nil {
		return k, err
	}
	old, _, err := db.APIKeys.All(ctx, nil, maxKeys)
	if err != nil {
		return k, err
	}
	if len(old) >= maxKeys {
		return k, cause.ErrLimit
	}
	made := k.record()
	made.Generation = db.Generation()
	put, err := db.APIKeys.Put(grants.Holder(hash), nil, made, 0, time.Time{})
	if err != nil {
		return k, err
	}
	if err := db.Apply(ctx, put); errors.Is(err, records.ErrConflict) {
		return k, &cause.Field{Name: "hash", Detail: "is that of another key"}
	} else if err != nil {
		return k, err
	}
	r.tell(ctx, k.Tenant, k.ID, Created)
	return k, nil
}

func (k *Key) check(now time.Time) error {
	if k.Tenant == "" {
		return &cause.Field{Name: "tenant", Detail: "is missing"}
	}
	if len(k.Scopes) == 0 {
		return &cause.Field{Name: "scopes", Detail: "is empty: name at least one of " + scopeNames()}
	}
	for i, sc := range k.Scopes {
		if !slices.Contains(Scopes(), sc) {
			return &cause.Field{Name: "scopes", Detail: "holds one that is none of " + scopeNames()}
		}
		if slices.Contains(k.Scopes[:i], sc) {
			return &cause.Field{Name: "scopes", Detail: "names one twice"}
		}
	}
	if !k.Expires.IsZero() && !k.Expires.After(now) {
		return &cause.Field{Name: "expires_at", Detail: "lies in the past"}
	}
	return k.checkActions()
}

func scopeNames() string {
	var names []string
	for _, s := range Scopes() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func (k *Key) record() records.APIKey {
	r := records.APIKey{ID: k.ID, Label: k.Label, Tenant: k.Tenant, Actions: k.Actions, CreatedAt: k.CreatedAt, Expires: k.Expires, LastUsedAt: k.LastUsedAt}
	for _, s := range k.Scopes {
		r.Scopes = append(r.Scopes, string(s))
	}
	return r
}

func keyOf(db *records.DB, r *records.APIKey) Key {
	k := Key{Suspended: !db.TakesKey(r), ID: r.ID, Label: r.Label, Tenant: r.Tenant, Actions: r.Actions, CreatedAt: r.CreatedAt, Expires: r.Expires, LastUsedAt: r.LastUsedAt}
	for _, s := range r.Scopes {
		k.Scopes = append(k.Scopes, Scope(s))
	}
	return k
}

// Keys lists the API keys, the oldest first.
func (r *Ring) Keys(ctx context.Context) ([]Key, error) {
	db, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, _, err := db.APIKeys.All(ctx, nil, 2*maxKeys)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, keyOf(db, &row.Value))
	}
	slices.SortFunc(keys, func(a, b Key) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return keys, nil
}

// RevokeKey ends the key of that id at once. [cause.ErrNotFound] where there is none.
func (r *Ring) RevokeKey(ctx context.Context, id string) error {
	ctx = store.Taking(ctx)
	db, err := r.open(ctx)
	if err != nil {
		return err
	}
	row, err := keyNamed(ctx, db, id)
	if err != nil {
		return err
	}
	if err := db.Apply(ctx, db.APIKeys.Drop(row)); err != nil {
		return err
	}
	r.tell(ctx, row.Value.Tenant, id, Revoked)
	return nil
}

// ErrKeySuspended tells that an API key is not taken until it is enabled.
var ErrKeySuspended = cause.New(cause.KeySuspended, "the API key is suspended until an operator enables it")

// EnableKey takes a key again that was suspended since an older copy of the
// database was put back. [cause.ErrNotFound] where there is none.
func (r *Ring) EnableKey(ctx context.Context, id string) error {
	db, err := r.open(ctx)
	if err != nil {
		return err
	}
	var tenant string
	err = records.Again(func() error {
		row, err := keyNamed(ctx, db, id)
		if err != nil {
			return err
		}
		enabled := row.Value
		enabled.Generation, tenant = db.Generation(), enabled.Tenant
		put, err := db.APIKeys.Update(row, enabled, time.Time{})
		if err != nil {
			return err
		}
		return db.Apply(ctx, put)
	})
	if err != nil {
		return err
	}
	r.tell(ctx, tenant, id, Enabled)
	return nil
}

func keyNamed(ctx context.Context, db *records.DB, id string) (records.Row[records.APIKey], error) {
	rows, _, err := db.APIKeys.All(ctx, nil, 2*maxKeys)
	if err != nil {
		return records.Row[records.APIKey]{}, err
	}
	i := slices.IndexFunc(rows, func(row records.Row[records.APIKey]) bool { return row.Value.ID == id })
	if i < 0 {
		return records.Row[records.APIKey]{}, cause.ErrNotFound
	}
	return rows[i], nil
}

// KeyOf gives the live API key of a text. [cause.ErrNotFound] for every text that is
// none, [ErrKeySuspended] for a key that is suspended.
//
// A key is found by its SHA-256, so that how long it takes tells of digests only,
// and compared once more in constant time.
func (r *Ring) KeyOf(ctx context.Context, text string) (Key, error) {
	if !strings.HasPrefix(text, Prefix) || len(text) > maxKeyLen {
		return Key{}, cause.ErrNotFound
	}
	db, err := r.open(ctx)
	if err != nil {
		return Key{}, err
	}
	hash := hashOf(text)
	row, err := db.APIKeys.Get(ctx, grants.Holder(hash), nil)
	if errors.Is(err, records.ErrNotFound) {
		return Key{}, cause.ErrNotFound
	}
	if err != nil {
		return Key{}, err
	}
	found, now := db.APIKeys.Holder(row), r.now()
	if subtle.ConstantTimeCompare(found[:], hash[:]) != 1 || !row.Value.Expires.IsZero() && !now.Before(row.Value.Expires) {
		return Key{}, cause.ErrNotFound
	}
	if !db.TakesKey(&row.Value) {
		return Key{}, ErrKeySuspended
	}
	if now.Sub(row.Value.LastUsedAt) >= lastUsedGrain {
		used := row.Value
		used.LastUsedAt = now
		put, err := db.APIKeys.Update(row, used, time.Time{})
		if err != nil {
			return Key{}, err
		}
		// Where another use was first, or a revocation, theirs stands. Where it
		// cannot be written, the key is as good as it was read: what it is used
		// for will tell.
		if err := db.Apply(ctx, put); errors.Is(err, records.ErrConflict) {
			if _, err := db.APIKeys.Get(ctx, grants.Holder(hash), nil); errors.Is(err, records.ErrNotFound) {
				return Key{}, cause.ErrNotFound
			} else if err != nil {
				return Key{}, err
			}
		}
	}
	return keyOf(db, &row.Value), nil
}
