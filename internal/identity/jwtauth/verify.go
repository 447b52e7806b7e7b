package jwtauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// Identify tells who sent the request. Errors are identity.ErrNobody, with the
// cause in its text; identity.ErrAmbiguous; and ErrNoKeys and other failures to
// tell. Nothing of the token is in any of them.
func (v *Verifier) Identify(r *http.Request) (Claims, error) {
	token, err := v.token(r)
	if err != nil {
		return Claims{}, err
	}
	// The generation is taken first: keys that change while the token is being
	// verified make what is remembered of it void.
	keys, fresh := v.generation()
	digest := sha256.Sum256([]byte(token))
	if fresh {
		if claims, ok := v.remembered.get(digest, keys, v.o.Now()); ok {
			return claims, nil
		}
	}
	claims, expires, err := v.verify(r.Context(), token)
	if err == nil && fresh {
		v.remembered.put(digest, verified{claims: claims, until: expires, keys: keys})
	}
	return claims, err
}

// generation tells apart the keys of before and after a change. It is not fresh
// where the key set wants to be looked at again.
func (v *Verifier) generation() (keys uint64, fresh bool) {
	if v.o.KeySet == nil {
		return 0, true
	}
	return v.o.KeySet.current()
}

// verify checks a token against the keys and its claims against the options, and
// tells until when it is good.
func (v *Verifier) verify(ctx context.Context, token string) (c Claims, expires time.Time, err error) {
	said := jwt.MapClaims{}
	parsed, err := v.parser.ParseWithClaims(token, said, func(t *jwt.Token) (any, error) {
		return v.keysFor(ctx, t)
	})
	if err != nil {
		return Claims{}, expires, refused(err)
	}
	expiry, err := said.GetExpirationTime()
	if err != nil || expiry == nil || !parsed.Valid {
		return Claims{}, expires, nobody("it was not verified")
	}
	c, err = v.read(token)
	return c, expiry.Add(v.o.Leeway), err
}

// keysFor returns the keys that may have made a token's signature. Each fits the
// token's algorithm, so that an RSA key is never taken for a shared secret.
func (v *Verifier) keysFor(ctx context.Context, t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errCritical // RFC 7515 section 4.1.11: we know no extension
	}
	keys := v.o.Keys
	if v.o.KeySet != nil {
		id, named := t.Header["kid"].(string)
		if _, there := t.Header["kid"]; there && !named {
			return nil, errNoKey
		}
		var err error
		if keys, err = v.o.KeySet.find(ctx, id, named); err != nil {
			return nil, err
		}
	}
	var fitting jwt.VerificationKeySet
	for _, k := range keys {
		if slices.Contains(k.accepts(v.o.Algorithms), t.Method.Alg()) && len(fitting.Keys) < maxTries {
			fitting.Keys = append(fitting.Keys, k.public)
		}
	}
	if len(fitting.Keys) == 0 {
		return nil, errNoKey
	}
	return fitting, nil
}

var (
	errCritical = errors.New("it has critical extensions")
	errNoKey    = errors.New("there is no key for it")
)

// nobody is ErrNobody with the reason, for the operator who looks for it.
func nobody(cause string) error {
	return fmt.Errorf("%w: the token is refused: %s", identity.ErrNobody, cause)
}

// refused tells why a token was not verified, without quoting it: the library's
// own texts may.
func refused(err error) error {
	var unavailable *unavailableError
	if errors.As(err, &unavailable) {
		return unavailable
	}
	for _, c := range []struct {
		is    error
		cause string
	}{
		{errCritical, errCritical.Error()},
		{errNoKey, errNoKey.Error()},
		{jwt.ErrTokenMalformed, "it is malformed"},
		{jwt.ErrTokenExpired, "it has expired"},
		{jwt.ErrTokenNotValidYet, "it is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "it was issued in the future"},
		{jwt.ErrTokenInvalidIssuer, "it has another issuer"},
		{jwt.ErrTokenInvalidAudience, "it is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "exp, iss or aud is missing"},
		{jwt.ErrTokenSignatureInvalid, "its signature or its algorithm is not accepted"},
		{jwt.ErrTokenUnverifiable, "its algorithm is not known"},
	} {
		if errors.Is(err, c.is) {
			return nobody(c.cause)
		}
	}
	return nobody("it is not valid")
}

// read takes the claims out of a token that was verified.
func (v *Verifier) read(token string) (c Claims, err error) {
	payload, err := base64.RawURLEncoding.Strict().DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return Claims{}, nobody("it is malformed")
	}
	for _, p := range []struct {
		into     *string
		from     identity.Pointer
		asked    bool
		required bool
		name     string
	}{
		{&c.User, v.user, true, true, "user"},
		{&c.Tenant, v.tenant, v.o.Tenant != "", true, "tenant"},
		{&c.Session, v.session, true, v.o.Session != "", "session"},
	} {
		if !p.asked {
			continue
		}
		value, found, err := p.from.Find(payload)
		if err != nil {
			return Claims{}, nobody("its claims can be read in two ways")
		}
		if found {
			if *p.into, err = identity.Name(value); err != nil {
				return Claims{}, nobody("the claim of the " + p.name + " is neither a text nor a number")
			}
		}
		if *p.into == "" && p.required {
			return Claims{}, nobody("the claim of the " + p.name + " is missing")
		}
	}
	c.Email = v.readEmail(payload)
	return c, nil
}

// readEmail returns the mail address that the issuer vouches for. Whatever is wrong
// with it, the token is good and has none: the address names nobody.
func (v *Verifier) readEmail(payload []byte) string {
	value, found, err := v.email.Find(payload)
	if err != nil || !found || value[0] != '"' {
		return ""
	}
	verified, said, err := identity.Member(emailVerified).Find(payload)
	// Some issuers write the truth as a text.
	if err != nil || said && string(verified) != "true" && string(verified) != `"true"` {
		return ""
	}
	email, err := identity.Name(value)
	if err != nil {
		return ""
	}
	return email
}
