package jwtauth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/jwtauth"
)

// published is an issuer with one RSA key of the id "one", and a verifier of its
// tokens.
func published(t *testing.T, c *clock) (*issuer, *jwtauth.Verifier) {
	t.Helper()
	i := newIssuer(t)
	i.publish(setOf(t, jwkOf(t, rsaKeys()[0].Public(), map[string]any{"kid": "one", "use": "sig", "alg": "RS256"})))
	return i, verifier(t, jwtauth.Options{Bearer: true, KeySet: i.keySet(t, c), Issuer: issuerName, Audiences: []string{audience}, Now: c.now})
}

// tokenOf is a token of the n-th RSA key, under a key id.
func tokenOf(t *testing.T, c *clock, n int, id string) string {
	t.Helper()
	return sign(t, "RS256", rsaKeys()[n], good(c.now(), map[string]any{"exp": c.now().Add(48 * time.Hour).Unix()}), map[string]any{"kid": id})
}

func expect(t *testing.T, v *jwtauth.Verifier, token string, want error) {
	t.Helper()
	got, err := v.Identify(bearer(token))
	if !errors.Is(err, want) || (want == nil) != (got.User == "alice") {
		t.Errorf("%+v, %v, want %v", got, err, want)
	}
}

// eventually waits for what happens beside the requests.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// TestS01KeySetNeverFetched: without keys nobody can be told from nobody.
func TestS01KeySetNeverFetched(t *testing.T) {
	var c clock
	i, v := published(t, &c)
	token := tokenOf(t, &c, 0, "one")
	i.answer(503)
	for range 20 {
		expect(t, v, token, jwtauth.ErrNoKeys)
	}
	if n := i.fetched(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	i.answer(200)
	c.advance(10 * time.Second)
	expect(t, v, token, nil)
}

// TestS19UnknownKeyFlood: tokens that name made-up keys cause one fetch in ten
// seconds, and tokens of the known key go on being good.
func TestS19UnknownKeyFlood(t *testing.T) {
	var c clock
	i, v := published(t, &c)
	known := tokenOf(t, &c, 0, "one")
	expect(t, v, known, nil)
	flood := tokenOf(t, &c, 1, "made-up")
	for round := range 3 {
		var g sync.WaitGroup
		for n := range 50 {
			g.Go(func() {
				token := flood
				if n%2 == 0 {
					token = tokenOf(t, &c, 1, fmt.Sprint("made-up-", round, n))
				}
				expect(t, v, token, identity.ErrNobody)
				expect(t, v, known, nil)
			})
		}
		g.Wait()
		if n := i.fetched(); n > round+1 {
			t.Errorf("round %d: %d fetches", round, n)
		}
		c.advance(10 * time.Second)
	}
	expect(t, v, tokenOf(t, &c, 1, strings.Repeat("x", 1000)), identity.ErrNobody)
}

// A new key is known as soon as a token names it, and one that was taken away is
// not believed any more.
func TestKeyRotation(t *testing.T) {
	var c clock
	i, v := published(t, &c)
	older, newer := tokenOf(t, &c, 0, "one"), tokenOf(t, &c, 1, "two")
	expect(t, v, older, nil)
	expect(t, v, newer, identity.ErrNobody) // fetched a moment ago
	i.publish(setOf(t, jwkOf(t, rsaKeys()[1].Public(), map[string]any{"kid": "two"})))
	c.advance(10 * time.Second)
	expect(t, v, newer, nil)
	expect(t, v, older, identity.ErrNobody)
	if n := i.fetched(); n != 2 {
		t.Errorf("%d fetches", n)
	}
}

// A key that was taken out of the set is not believed for long, although no token
// names an unknown one.
func TestKeySetRefresh(t *testing.T) {
	var c clock
	i, v := published(t, &c)
	token := tokenOf(t, &c, 0, "one")
	expect(t, v, token, nil)
	i.publish(setOf(t, jwkOf(t, rsaKeys()[1].Public(), map[string]any{"kid": "two"})))
	c.advance(15*time.Minute + 1)
	expect(t, v, token, nil) // the fetch goes on beside
	eventually(t, "the key is forgotten", func() bool {
		_, err := v.Identify(bearer(token))
		return errors.Is(err, identity.ErrNobody)
	})

	// After a long time without requests, the first one waits.
	i.publish(setOf(t, jwkOf(t, rsaKeys()[0].Public(), map[string]any{"kid": "one"})))
	c.advance(10 * time.Second)
	expect(t, v, token, nil)
	i.publish(setOf(t, jwkOf(t, rsaKeys()[1].Public(), map[string]any{"kid": "two"})))
	c.advance(10 * time.Hour)
	expect(t, v, token, identity.ErrNobody)
}

// TestIssuerDown: known keys go on being used during an outage, a day long, and
// nothing else is.
func TestIssuerDown(t *testing.T) {
	var c clock
	i, v := published(t, &c)
	token := tokenOf(t, &c, 0, "one")
	expect(t, v, token, nil)
	for name, outage := range map[string]func(){
		"an error":       func() { i.answer(500) },
		"not a key set":  func() { i.answer(200); i.publish([]byte("<html>")) },
		"no keys":        func() { i.publish([]byte(`{"keys":[]}`)) },
		"no usable keys": func() { i.publish(setOf(t, jwkOf(t, []byte(secret), map[string]any{"kid": "one"}))) },
		"too large":      func() { i.publish([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 300<<10) + `"}`)) },
	} {
		outage()
		before := i.fetched()
		for range 3 {
			c.advance(time.Hour)
			expect(t, v, token, nil)
			expect(t, v, tokenOf(t, &c, 1, "two"), identity.ErrNobody)
		}
		if i.fetched() == before {
			t.Errorf("%s: never asked", name)
		}
	}
	i.Close()
	c.advance(time.Hour)
	expect(t, v, token, nil)
	c.advance(9 * time.Hour)
	expect(t, v, token, jwtauth.ErrNoKeys)
}

// TestS01KeysOfASet: which keys of a set are used, and for what.
func TestS01KeysOfASet(t *testing.T) {
	r := rsaKeys()[0]
	one := func(members map[string]any) map[string]any {
		m := map[string]any{"kid": "one"}
		for k, v := range members {
			m[k] = v
		}
		return m
	}
	for _, k := range []struct {
		name      string
		key       any
		members   map[string]any
		algorithm string
		signer    any
		want      error
	}{
		{"plain", r.Public(), nil, "RS256", r, nil},
		{"for signatures", r.Public(), map[string]any{"use": "sig", "key_ops": []string{"verify"}}, "RS256", r, nil},
		{"EC", ecKeys()["ES384"].Public(), nil, "ES384", ecKeys()["ES384"], nil},
		{"Ed25519", edKey().Public(), map[string]any{"alg": "EdDSA"}, "EdDSA", edKey(), nil},
		{"PSS, as it says", r.Public(), map[string]any{"alg": "PS512"}, "PS512", r, nil},
		{"RS256 where it says PSS", r.Public(), map[string]any{"alg": "PS512"}, "RS256", r, identity.ErrNobody},
		{"for encryption", r.Public(), map[string]any{"use": "enc"}, "RS256", r, jwtauth.ErrNoKeys},
		{"to sign only", r.Public(), map[string]any{"key_ops": []string{"sign"}}, "RS256", r, jwtauth.ErrNoKeys},
		{"another kind's algorithm", r.Public(), map[string]any{"alg": "ES256"}, "RS256", r, jwtauth.ErrNoKeys},
		{"a secret's algorithm", r.Public(), map[string]any{"alg": "HS256"}, "RS256", r, jwtauth.ErrNoKeys},
		{"no algorithm", r.Public(), map[string]any{"alg": "none"}, "RS256", r, jwtauth.ErrNoKeys},
		{"private", r, nil, "RS256", r, jwtauth.ErrNoKeys},
		{"a shared secret", []byte(secret), nil, "HS256", []byte(secret), identity.ErrNobody},
		{"another kind", r.Public(), map[string]any{"kty": "XYZ"}, "RS256", r, jwtauth.ErrNoKeys},
		{"broken", r.Public(), map[string]any{"n": "!"}, "RS256", r, jwtauth.ErrNoKeys},
	} {
		t.Run(k.name, func(t *testing.T) {
			var c clock
			i := newIssuer(t)
			i.publish(setOf(t, jwkOf(t, k.key, one(k.members))))
			v := verifier(t, jwtauth.Options{Bearer: true, KeySet: i.keySet(t, &c), Issuer: issuerName, Audiences: []string{audience}, Now: c.now})
			expect(t, v, sign(t, k.algorithm, k.signer, good(c.now(), nil), map[string]any{"kid": "one"}), k.want)
		})
	}

	// A broken key does not take the others along, and a token without an id
	// is held against all.
	var c clock
	i := newIssuer(t)
	i.publish(setOf(t, jwkOf(t, rsaKeys()[1].Public(), map[string]any{"kid": "two", "e": "!"}),
		jwkOf(t, ecKeys()["ES256"].Public(), nil), jwkOf(t, rsaKeys()[1].Public(), nil), jwkOf(t, r.Public(), one(nil))))
	v := verifier(t, jwtauth.Options{Bearer: true, KeySet: i.keySet(t, &c), Issuer: issuerName, Audiences: []string{audience}, Now: c.now})
	expect(t, v, sign(t, "RS256", r, good(c.now(), nil), nil), nil)
	expect(t, v, sign(t, "RS256", r, good(c.now(), nil), map[string]any{"kid": "one"}), nil)
	expect(t, v, sign(t, "RS256", r, good(c.now(), nil), map[string]any{"kid": 1}), identity.ErrNobody)
	expect(t, v, sign(t, "RS256", rsaKeys()[1], good(c.now(), nil), map[string]any{"kid": "one"}), identity.ErrNobody)
	expect(t, v, sign(t, "ES384", ecKeys()["ES384"], good(c.now(), nil), nil), identity.ErrNobody)
}
