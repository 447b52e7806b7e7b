package jwtauth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// token finds the request's one token. A second one, wherever the application
// might look for it, is ErrAmbiguous unless it is the same in the other place: the
// application must not see another user than the gateway (S21).
func (v *Verifier) token(r *http.Request) (string, error) {
	bearer, hasBearer, err := identity.Bearer(r.Header)
	if err != nil {
		return "", err
	}
	var cookie string
	var hasCookie bool
	if v.o.Cookie != "" {
		if cookie, hasCookie, err = identity.OneCookie(r.Header, v.o.Cookie); err != nil {
			return "", err
		}
		hasCookie = hasCookie && cookie != ""
	}
	if hasCookie && hasBearer && cookie != bearer {
		return "", identity.ErrAmbiguous
	}
	token := cookie
	if !hasCookie && v.o.Bearer {
		token = bearer
	}
	if token == "" {
		return "", identity.ErrNobody
	}
	if inQuery(r.URL) {
		return "", identity.ErrAmbiguous
	}
	if len(token) > maxToken {
		return "", fmt.Errorf("%w: the token has more than %d bytes", identity.ErrNobody, maxToken)
	}
	return token, nil
}

// inQuery tells of a token in the URL, the third place where servers look for one
// (RFC 6750 section 2.3).
func inQuery(u *url.URL) bool {
	for pair := range strings.FieldsFuncSeq(u.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if identity.FoldCookieName(name) == "access_token" {
			return true
		}
	}
	return false
}
