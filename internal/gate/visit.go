package gate

import (
	"errors"
	"net/http"
	"unicode"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// maxUser is the longest user id, in bytes.
const maxUser = 256

// visit is one request on its way.
type visit struct {
	g      *Gate
	w      http.ResponseWriter
	r      *http.Request
	rule   *rule // what the request needs; nil before that is known
	secure bool
}

// portal serves one of the gateway's own pages.
func (v *visit) portal() error {
	v.secure = v.g.o.Secure(v.r)
	if refusal := v.untrusted(); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	v.g.o.Portal.ServeHTTP(v.w, v.r)
	return nil
}

// untrusted refuses what is out of the question whoever asks.
func (v *visit) untrusted() *refusal {
	if !v.secure && !v.g.o.AllowPlainHTTP {
		return httpsRequired
	}
	if len(v.r.Header["Authorization"]) > 1 {
		return twoCredentials
	}
	return nil
}

// identified completes who is asking, or refuses nobody and failures (S01).
func (v *visit) identified(who *ceremony.Principal, err error) *refusal {
	switch {
	case errors.Is(err, ErrAmbiguousIdentity):
		return twoCredentials
	case errors.Is(err, ErrNobody) || err == nil && who.User == "":
		return nobody
	case err != nil:
		v.g.o.Failed(v.r, "identifying", err)
		return identityFailed
	case !wellFormed(who.User) || who.Tenant != "" && who.Tenant != v.g.o.Tenant:
		v.g.o.Failed(v.r, "identifying", errBadUser)
		return identityFailed
	}
	who.Tenant = v.g.o.Tenant
	return nil
}

var errBadUser = errors.New("user id is longer than 256 bytes, not UTF-8, has control characters, or belongs to another tenant")

// wellFormed holds a user id against its limits; it goes into a header (S19).
func wellFormed(user string) bool {
	if len(user) > maxUser {
		return false
	}
	for i := 0; i < len(user); i++ {
		if c := user[i]; c < ' ' || c == 0x7f {
			return false
		} else if c >= utf8.RuneSelf {
			return wellFormedRunes(user[i:])
		}
	}
	return true
}

func wellFormedRunes(user string) bool {
	for _, c := range user {
		if c == utf8.RuneError || unicode.IsControl(c) {
			return false
		}
	}
	return true
}

// complete fills in from where the request came, which the hot path need not
// know.
func (v *visit) complete(who *ceremony.Principal) {
	who.Address = v.g.o.ClientAddress(v.r)
	who.Browser, _ = cookies.BrowserID(v.r, v.secure)
}

// ungranted is where a request goes that has no good grant: to a challenge,
// which is the same whatever was wrong with the grant it came with (S02).
func (v *visit) ungranted(who ceremony.Principal, offered bool, err error) {
	if !errors.Is(err, ceremony.ErrNoGrant) {
		v.g.o.Failed(v.r, "checking a grant", err)
		v.refuse(unavailable)
		return
	}
	v.complete(&who)
	if offered {
		v.g.o.Audit(v.r.Context(), ceremony.Event{
			Time: v.g.o.Now(), Kind: "grant", Outcome: "refused", Cause: grants.CauseOf(err),
			Subject: who.Subject, Action: v.rule.Demand.Action.String(), Address: who.Address,
		})
	}
	v.challenge(who)
}

// page is what all of the gate's pages have in common.
func (v *visit) page() pages.Page {
	return pages.Page{Issuer: v.g.o.Issuer, Host: v.r.Host, Now: v.g.o.Now()}
}
