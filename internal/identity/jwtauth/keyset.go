package jwtauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/stepup-gateway/caddy-stepup/internal/identity/outbound"
)

// How a key set is fetched.
const (
	// fetchEvery bounds the rate: tokens that name unknown keys are free to make.
	fetchEvery = 10 * time.Second
	// refreshAfter is the age at which a set is fetched anew, beside the
	// requests, so that a key taken out of it is not believed for long.
	refreshAfter = 15 * time.Minute
	// keepFor is the age up to which a set is used while its issuer cannot be
	// reached.
	keepFor = 24 * time.Hour

	fetchTimeout = 5 * time.Second
	maxKeySet    = 256 << 10 // bytes
	maxKeys      = 100
	maxKeyID     = 512 // bytes
)

// ErrNoKeys reports that the issuer's keys could not be fetched yet, or not for so
// long that those known are not used any more.
var ErrNoKeys = errors.New("the issuer's keys are not available")

// unavailableError marks failures that are not the token's fault.
type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return "verifying the token: " + e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

// KeySet is an issuer's set of keys (RFC 7517 section 5), fetched from a URL when
// it is first needed. Keys that are known go on being used while the issuer cannot
// be reached. It is safe for concurrent use.
type KeySet struct {
	url    string
	client *outbound.Client
	now    func() time.Time
	failed func(error)

	mu      sync.Mutex
	keys    []Key
	changes uint64        // how often keys were set
	fetched time.Time     // when keys were asked for
	tried   time.Time     // when the last fetch began
	flight  chan struct{} // of the fetch under way, closed at its end; nil: none
}

// KeySetOptions say where a key set is.
type KeySetOptions struct {
	URL string
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Failed is told of each fetch that failed. Nil: nobody is.
	Failed func(error)
}

// NewKeySet makes a key set without fetching it.
func NewKeySet(o KeySetOptions) (*KeySet, error) {
	if err := CheckKeySetURL(o.URL); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	return &KeySet{
		url: o.URL, now: o.Now, failed: o.Failed,
		client: outbound.New(outbound.Limits{Timeout: fetchTimeout, Body: maxKeySet, Conns: 1}),
	}, nil
}

// CheckKeySetURL checks the URL of a key set against what it may be. Anyone who can
// change the keys on their way is everybody, so plain HTTP is for the same machine
// or a private network only.
func CheckKeySetURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("jwks takes an absolute URL, such as https://id.example.com/.well-known/jwks.json")
	}
	if u.Scheme == "http" && !isNear(u.Hostname()) {
		return fmt.Errorf("jwks: the keys of %s would come over plain HTTP, where anybody on the way can put in their own: write https", u.Hostname())
	}
	return nil
}

// isNear tells of addresses and names that lead no further than a private network.
func isNear(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()
	}
	return !strings.Contains(host, ".") && net.ParseIP(host) == nil
}

// Close closes idle connections.
func (s *KeySet) Close() { s.client.Close() }

// find returns the keys of that id, or all where the token names none. An id that is
// not known may be of a new key: the set is fetched and waited for, as often as
// the rate allows.
func (s *KeySet) find(ctx context.Context, id string, named bool) ([]Key, error) {
	keys, age := s.held()
	var fetch <-chan struct{}
	switch {
	case keys == nil:
		fetch = s.fetch()
	case named && len(id) > maxKeyID:
		return nil, errNoKey
	case len(ofID(keys, id, named)) == 0:
		fetch = s.fetch()
	case age > refreshAfter:
		beside := age < 2*refreshAfter || s.failing()
		if fetch = s.fetch(); beside {
			fetch = nil // it goes on without this request waiting for it
		}
	}
	if fetch != nil {
		select {
		case <-fetch:
		case <-ctx.Done():
			return nil, &unavailableError{ctx.Err()}
		}
		keys, _ = s.held()
	}
	if keys == nil {
		return nil, &unavailableError{ErrNoKeys}
	}
	return ofID(keys, id, named), nil
}

func ofID(keys []Key, id string, named bool) []Key {
	if !named {
		return keys
	}
	var found []Key
	for _, k := range keys {
		if k.id == id {
			found = append(found, k)
		}
	}
	return found
}

// held returns the keys, or nil where there are none or they are too old, and their
// age.
func (s *KeySet) held() ([]Key, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.now().Sub(s.fetched)
	if s.keys == nil || age > keepFor {
		return nil, 0
	}
	return s.keys, age
}

// current tells the keys of before and after a fetch apart. It is not fresh where
// they are to be fetched, or are too old.
func (s *KeySet) current() (changes uint64, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes, s.keys != nil && s.now().Sub(s.fetched) <= refreshAfter
}

// failing reports whether the last fetch has failed.
func (s *KeySet) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flight == nil && s.tried.After(s.fetched)
}

// fetch begins to fetch the set, unless that is under way or was begun a moment
// ago, and gives what is closed when it ends, or nil.
func (s *KeySet) fetch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	now := s.now()
	if since := now.Sub(s.tried); !s.tried.IsZero() && since >= 0 && since < fetchEvery {
		return nil
	}
	flight := make(chan struct{})
	s.flight, s.tried = flight, now
	go s.run(flight, now)
	return flight
}

// run fetches the set once. A set without a key that can be used is no answer:
// those known are kept.
func (s *KeySet) run(flight chan struct{}, began time.Time) {
	var keys []Key
	err := errors.New("fetching the issuer's keys: panic")
	defer func() {
		if recover() != nil {
			keys = nil // err says it; the parser read what a stranger wrote
		}
		s.mu.Lock()
		if keys != nil {
			s.keys, s.fetched = keys, began
			s.changes++
		}
		s.flight = nil
		s.mu.Unlock()
		close(flight)
		if err != nil {
			s.failed(err)
		}
	}()
	keys, err = s.get()
}

func (s *KeySet) get() ([]Key, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url, nil)
	if err != nil {
		return nil, errors.New("fetching the issuer's keys: the URL is broken")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	r.Header.Set("User-Agent", "step-up")
	answer, err := s.client.Ask(r)
	if err != nil {
		return nil, fmt.Errorf("fetching the issuer's keys: %w", err)
	}
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("fetching the issuer's keys: status %d", answer.Status)
	}
	keys := parseKeySet(answer.Body)
	if len(keys) == 0 {
		return nil, errors.New("fetching the issuer's keys: the answer has no key that can verify signatures")
	}
	return keys, nil
}

// parseKeySet returns the keys of a set that can be used; the others are passed over
// (RFC 7517 section 5). It reads key by key, so that one that is broken does not
// take the others along.
func parseKeySet(document []byte) []Key {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(document, &set) != nil || len(set.Keys) > maxKeys {
		return nil
	}
	var keys []Key
	for _, raw := range set.Keys {
		if k, ok := parseJWK(raw); ok {
			keys = append(keys, k)
		}
	}
	return keys
}

// parseJWK reads one key that is public and meant for signatures.
func parseJWK(raw []byte) (Key, bool) {
	parsed, err := jwk.ParseKey(raw)
	if err != nil || parsed.Validate() != nil {
		return Key{}, false
	}
	// A shared secret or a private key that stands where everybody can read it
	// proves nothing.
	if asymmetric, ok := parsed.(jwk.AsymmetricKey); !ok || asymmetric.IsPrivate() {
		return Key{}, false
	}
	if use, said := parsed.KeyUsage(); said && use != "sig" {
		return Key{}, false
	}
	if ops, said := parsed.KeyOps(); said && !slices.Contains(ops, jwk.KeyOpVerify) {
		return Key{}, false
	}
	var public any
	if err := jwk.Export(parsed, &public); err != nil {
		return Key{}, false
	}
	k, err := keyOf(public)
	if err != nil {
		return Key{}, false
	}
	if algorithm, said := parsed.Algorithm(); said {
		if !slices.Contains(k.fits, algorithm.String()) {
			return Key{}, false
		}
		k.fits = []string{algorithm.String()}
	}
	k.id, _ = parsed.KeyID()
	return k, true
}
