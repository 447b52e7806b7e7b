package backendapi

import (
	"encoding/base32"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// people is an identity source: it knows users by tokens of their own, as
// Bearer token-of-NAME, and takes a trusted proxy's word for them in X-User.
type people struct {
	// tenant is whose users they are.
	tenant string
	// down is why it can tell nothing.
	down error

	mu sync.Mutex
	// sent are the credentials that it was handed.
	sent []string
}

func (p *people) identify(r *http.Request) (grants.Subject, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, r.Header["Authorization"]...)
	if p.down != nil {
		return grants.Subject{}, p.down
	}
	var named []string
	for _, value := range r.Header["Authorization"] {
		if name, ok := strings.CutPrefix(value, "Bearer token-of-"); ok {
			named = append(named, name)
		}
	}
	if name := r.Header.Get("X-User"); name != "" {
		named = append(named, name)
	}
	switch len(named) {
	case 0:
		return grants.Subject{}, ErrNobody
	case 1:
		return grants.Subject{Tenant: p.tenant, User: named[0]}, nil
	}
	return grants.Subject{}, ErrAmbiguous
}

// withPeople makes an API take its users' own tokens.
func withPeople() (*people, func(*Options)) {
	p := &people{tenant: ceremonytest.Tenant}
	return p, func(o *Options) { o.Identify = p.identify }
}

// as is a header with the credential, and with more fields, each a name and a
// value.
func as(credential string, more ...string) http.Header {
	h := http.Header{}
	if credential != "" {
		h.Set("Authorization", credential)
	}
	for i := 0; i+1 < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// app is an authenticator app that was told the secret.
func (w *world) app(secret string) totp.Key {
	w.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil || len(raw) != totp.SecretLen {
		w.Fatalf("a secret of %d bytes: %v", len(raw), err)
	}
	return totp.Key{Secret: raw, Params: totp.Default()}
}

// wantActive tells whether the subject must be enrolled: to the account, and to a
// server that asks, or that sends a code.
func (w *world) wantActive(user string, app totp.Key, active bool) {
	w.Helper()
	account, err := w.Account(w.Context(), w.Stranger(user))
	if err != nil {
		w.Fatal(err)
	}
	if account.Enrolled != active {
		w.Fatalf("enrolled: %v", account.Enrolled)
	}
	methods := w.get(userPath+user+"/mfa", w.fullKey())
	proof := w.post(verifyTOTPPath, w.fullKey(), totpBody("PAY", user, w.NextCode(app)))
	if active {
		w.want(methods, http.StatusOK)
		w.want(proof, http.StatusOK)
		return
	}
	w.want(methods, http.StatusNotFound)
	w.want(proof, http.StatusBadRequest)
}

var errDown = errors.New("the identity source does not answer")

// other is a tenant that is not the tests' own.
const other = "other"

// tenantUUID is the alias of the tests' tenant.
var tenantUUID = ceremony.TenantUUID(ceremonytest.Tenant).String()
