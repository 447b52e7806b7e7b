package ceremony

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
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

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

// APIKey is a server's key as the operator sees it.
type APIKey struct {
	ID, Label, Tenant string
	Scopes            []Scope
	Actions           []string
	CreatedAt         time.Time
	Expires           time.Time // zero: never
	LastUsedAt        time.Time // zero: not yet
	// Suspended tells that it is not taken since an older copy of the database
	// was put back, in which it may have come back; see [Service.EnableKey].
	Suspended bool
}

// May tells whether the key has the scope.
func (k *APIKey) May(s Scope) bool { return slices.Contains(k.Scopes, s) }

// Mints tells whether the key may mint grants for the action type.
func (k *APIKey) Mints(action string) bool {
	return k.May(ScopeVerify) && (slices.Contains(k.Actions, action) || slices.Contains(k.Actions, AnyAction))
}

// KeyPrefix begins every API key, so that secret scanners know it.
const KeyPrefix = "suk_"

const (
	maxKeys       = 1000
	maxKeyActions = 100
	// maxKeyLen is longer than every key of ours.
	maxKeyLen = 128
	// lastUsedGrain is how often at most the last use of a key is written.
	lastUsedGrain = time.Minute
)

// NewKey makes an API key and the hash under which [Service.CreateKey] stores
// it. The key is a secret of 256 random bits.
func NewKey() (key string, hash [32]byte) {
	raw := make([]byte, 32)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	key = KeyPrefix + base64.RawURLEncoding.EncodeToString(raw)
	return key, keyHash(key)
}

// keyHash needs no key of its own: an API key is 256 random bits.
func keyHash(key string) [32]byte { return sha256.Sum256([]byte("step-up api key\x00" + key)) }

// KeyID names the key of a hash to people; it is no secret.
func KeyID(hash [32]byte) string { return "key_" + hex.EncodeToString(hash[:6]) }

// CreateKey lets the key of that hash be used. It fails with a [Field], or with
// [ErrLimit] where there are too many.
func (s *Service) CreateKey(ctx context.Context, hash [32]byte, k APIKey) (APIKey, error) {
	label, err := cleanLabel(k.Label)
	if err != nil {
		return k, err
	}
	k.ID, k.Label, k.CreatedAt, k.LastUsedAt = KeyID(hash), label, s.now(), time.Time{}
	if err := k.check(k.CreatedAt); err != nil {
		return k, err
	}
	db, err := s.open(ctx)
	if err != nil {
		return k, err
	}
	old, _, err := db.APIKeys.All(ctx, nil, maxKeys)
	if err != nil {
		return k, err
	}
	if len(old) >= maxKeys {
		return k, ErrLimit
	}
	made := k.record()
	made.Generation = db.Generation()
	put, err := db.APIKeys.Put(grants.Holder(hash), nil, made, 0, never)
	if err != nil {
		return k, err
	}
	if err := db.Apply(ctx, put); errors.Is(err, records.ErrConflict) {
		return k, &Field{Name: "hash", Detail: "is that of another key"}
	} else if err != nil {
		return k, err
	}
	s.report(ctx, Principal{Subject: grants.Subject{Tenant: k.Tenant}}, Event{Kind: "api_key", Outcome: "created", Object: k.ID})
	return k, nil
}

func (k *APIKey) check(now time.Time) error {
	if k.Tenant == "" {
		return &Field{Name: "tenant", Detail: "is missing"}
	}
	if len(k.Scopes) == 0 {
		return &Field{Name: "scopes", Detail: "is empty: name at least one of " + scopeNames()}
	}
	for i, sc := range k.Scopes {
		if !slices.Contains(Scopes(), sc) {
			return &Field{Name: "scopes", Detail: "holds one that is none of " + scopeNames()}
		}
		if slices.Contains(k.Scopes[:i], sc) {
			return &Field{Name: "scopes", Detail: "names one twice"}
		}
	}
	if !k.Expires.IsZero() && !k.Expires.After(now) {
		return &Field{Name: "expires_at", Detail: "lies in the past"}
	}
	return k.checkActions()
}

func (k *APIKey) checkActions() error {
	if len(k.Actions) > maxKeyActions {
		return &Field{Name: "actions", Detail: "holds more than 100 action types"}
	}
	if len(k.Actions) > 0 != k.May(ScopeVerify) {
		return &Field{Name: "actions", Detail: "are named where the key has the scope verify, and only there"}
	}
	for _, a := range k.Actions {
		if _, err := grants.NewAction(a); a != AnyAction && (err != nil || IsReserved(a)) {
			return &Field{Name: "actions", Detail: "holds one that is no action type of the operator's"}
		}
	}
	return nil
}

// IsReserved tells of action types that are the gateway's own: no server mints
// or checks grants for them.
func IsReserved(action string) bool { return strings.HasPrefix(strings.ToLower(action), "step_up.") }

func scopeNames() string {
	var names []string
	for _, s := range Scopes() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func (k *APIKey) record() records.APIKey {
	r := records.APIKey{ID: k.ID, Label: k.Label, Tenant: k.Tenant, Actions: k.Actions, CreatedAt: k.CreatedAt, Expires: k.Expires, LastUsedAt: k.LastUsedAt}
	for _, s := range k.Scopes {
		r.Scopes = append(r.Scopes, string(s))
	}
	return r
}

func keyOf(db *records.DB, r *records.APIKey) APIKey {
	k := APIKey{Suspended: !db.TakesKey(r), ID: r.ID, Label: r.Label, Tenant: r.Tenant, Actions: r.Actions, CreatedAt: r.CreatedAt, Expires: r.Expires, LastUsedAt: r.LastUsedAt}
	for _, s := range r.Scopes {
		k.Scopes = append(k.Scopes, Scope(s))
	}
	return k
}

// Keys lists the API keys, the oldest first.
func (s *Service) Keys(ctx context.Context) ([]APIKey, error) {
	db, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, _, err := db.APIKeys.All(ctx, nil, 2*maxKeys)
	if err != nil {
		return nil, err
	}
	keys := make([]APIKey, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, keyOf(db, &row.Value))
	}
	slices.SortFunc(keys, func(a, b APIKey) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return keys, nil
}

// RevokeKey ends the key of that id at once. [ErrNotFound] where there is none.
func (s *Service) RevokeKey(ctx context.Context, id string) error {
	ctx = store.Taking(ctx)
	db, err := s.open(ctx)
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
	s.report(ctx, Principal{Subject: grants.Subject{Tenant: row.Value.Tenant}}, Event{Kind: "api_key", Outcome: "revoked", Object: id})
	return nil
}

// ErrKeySuspended tells that an API key is not taken until it is enabled.
var ErrKeySuspended = errors.New("the API key is suspended until an operator enables it")

// EnableKey takes a key again that was suspended since an older copy of the
// database was put back. [ErrNotFound] where there is none.
func (s *Service) EnableKey(ctx context.Context, id string) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	var tenant string
	err = again(func() error {
		row, err := keyNamed(ctx, db, id)
		if err != nil {
			return err
		}
		enabled := row.Value
		enabled.Generation, tenant = db.Generation(), enabled.Tenant
		put, err := db.APIKeys.Update(row, enabled, never)
		if err != nil {
			return err
		}
		return db.Apply(ctx, put)
	})
	if err != nil {
		return err
	}
	s.report(ctx, Principal{Subject: grants.Subject{Tenant: tenant}}, Event{Kind: "api_key", Outcome: "enabled", Object: id})
	return nil
}

func keyNamed(ctx context.Context, db *records.DB, id string) (records.Row[records.APIKey], error) {
	rows, _, err := db.APIKeys.All(ctx, nil, 2*maxKeys)
	if err != nil {
		return records.Row[records.APIKey]{}, err
	}
	i := slices.IndexFunc(rows, func(row records.Row[records.APIKey]) bool { return row.Value.ID == id })
	if i < 0 {
		return records.Row[records.APIKey]{}, ErrNotFound
	}
	return rows[i], nil
}

// KeyOf gives the live API key of a text. [ErrNotFound] for every text that is
// none, [ErrKeySuspended] for a key that is suspended.
//
// A key is found by its SHA-256, so that how long it takes tells of digests only,
// and compared once more in constant time.
func (s *Service) KeyOf(ctx context.Context, text string) (APIKey, error) {
	if !strings.HasPrefix(text, KeyPrefix) || len(text) > maxKeyLen {
		return APIKey{}, ErrNotFound
	}
	db, err := s.open(ctx)
	if err != nil {
		return APIKey{}, err
	}
	hash := keyHash(text)
	row, err := db.APIKeys.Get(ctx, grants.Holder(hash), nil)
	if errors.Is(err, records.ErrNotFound) {
		return APIKey{}, ErrNotFound
	}
	if err != nil {
		return APIKey{}, err
	}
	found, now := db.APIKeys.Holder(row), s.now()
	if subtle.ConstantTimeCompare(found[:], hash[:]) != 1 || !row.Value.Expires.IsZero() && !now.Before(row.Value.Expires) {
		return APIKey{}, ErrNotFound
	}
	if !db.TakesKey(&row.Value) {
		return APIKey{}, ErrKeySuspended
	}
	if now.Sub(row.Value.LastUsedAt) >= lastUsedGrain {
		used := row.Value
		used.LastUsedAt = now
		put, err := db.APIKeys.Update(row, used, never)
		if err != nil {
			return APIKey{}, err
		}
		// Where another use was first, or a revocation, theirs stands. Where it
		// cannot be written, the key is as good as it was read: what it is used
		// for will tell.
		if err := db.Apply(ctx, put); errors.Is(err, records.ErrConflict) {
			if _, err := db.APIKeys.Get(ctx, grants.Holder(hash), nil); errors.Is(err, records.ErrNotFound) {
				return APIKey{}, ErrNotFound
			} else if err != nil {
				return APIKey{}, err
			}
		}
	}
	return keyOf(db, &row.Value), nil
}
