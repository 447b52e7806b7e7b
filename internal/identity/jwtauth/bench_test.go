package jwtauth_test

import (
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/identity/jwtauth"
)

// BenchmarkIdentify is the cost of a request whose token was seen before.
func BenchmarkIdentify(b *testing.B) {
	var c clock
	for _, k := range []struct {
		algorithm, text string
		private         any
	}{
		{"HS256", secret, []byte(secret)},
		{"RS256", pemOf(b, rsaKeys()[0].Public()), rsaKeys()[0]},
		{"ES256", pemOf(b, ecKeys()["ES256"].Public()), ecKeys()["ES256"]},
	} {
		b.Run(k.algorithm, func(b *testing.B) {
			v := verifier(b, jwtauth.Options{Bearer: true, Keys: []jwtauth.Key{parseKey(b, k.text)}, Issuer: issuerName, Audiences: []string{audience}, Now: c.now})
			r := bearer(sign(b, k.algorithm, k.private, good(c.now(), nil), nil))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Identify(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
