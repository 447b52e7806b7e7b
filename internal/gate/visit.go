package gate

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/inflight"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// visit is one request on its way.
type visit struct {
	g      *Gate
	w      http.ResponseWriter
	r      *http.Request
	rule   *rule // what the request needs; nil before that is known
	secure bool
	// next is the application; channel reports whether the request may open one,
	// and inside is the body that it came with. See pass.
	next    func(http.ResponseWriter, *http.Request) error
	channel bool
	inside  io.ReadCloser
	// request is the digest of the request where its rule shows some of it to the
	// person, and shown what that is; zero and none elsewhere. See bind.
	request [32]byte
	shown   []ceremony.Shown
	bound   *bound
	// who is asking, once that is known.
	who   ceremony.Principal
	known bool
	// also, untold and hinted are what was found besides rule; see lookFurther.
	also   []*rule
	untold bool
	hinted hints
	// apart reports that the request needs several proofs, so that it is not held:
	// a grant that is won for a held request passes nothing else, also not what
	// the second challenge would hold.
	apart bool
	// early reports that the request came as early data.
	early bool
	// bare reports that no header has a name that may be a credential's.
	bare bool
	// observed are the observing rules that would have decided the request.
	observed []*rule
	// original is the target as the client sent it, where it was rewritten.
	original string
	// room is the memory that is reserved for the body; nil: none. See reserve.
	room *inflight.Taken
}

// release gives the memory back that is reserved for the body.
func (v *visit) release() { v.room.Release() }

// protected is the way of a request that needs a grant.
func (v *visit) protected() error {
	g, r := v.g, v.r
	g.o.Decided(v.rule.number - 1)
	if refusal := v.trusted(); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	refusal, busy := v.know()
	if v.room != nil {
		defer v.release()
	}
	if busy != nil {
		v.unroomy(busy)
		return nil
	}
	if len(v.observed) > 0 {
		v.tellObserved(v.presence(refusal))
	}
	if refusal != nil {
		v.refuse(refusal)
		return nil
	}
	who := v.who
	if v.room == nil && v.readsWhole() {
		if err := v.reserve(&who); err != nil {
			v.unroomy(err)
			return nil
		}
		defer v.release()
	}
	if v.untold {
		if rl, err := v.lookFurther(); err != nil {
			v.refuseUndecided(err)
			return nil
		} else if rl == nil {
			cookies.Strip(r.Header)
			v.handOver()
			return v.pass(v.w, r)
		} else {
			v.rule = rl
		}
	}
	if len(v.also) > 0 {
		return v.several(who, nil)
	}
	if refusal := v.bind(); refusal != nil {
		v.refuse(refusal)
		return nil
	}
	sent := cookies.Find(r.Header, v.rule.cookie.On(v.secure))
	pass, err := g.o.Ceremony.Check(r.Context(), &who, &v.rule.Demand, v.request, sent.Value)
	switch {
	case err == nil && v.rule.Demand.Use == grants.TimeBased && v.early && v.mayChange():
		v.tooEarly()
		return nil
	case err == nil && v.rule.Demand.Use == grants.TimeBased:
		v.rule.passed()
		sent.Strip(r.Header)
		v.handOver()
		return v.whileGranted(&who, &pass.Grant)
	case err == nil:
		return v.spend(who, pass)
	}
	v.ungranted(who, sent.Value != "", err)
	return nil
}

// trusted refuses what is out of the question whoever asks.
func (v *visit) trusted() *refusal {
	if v.known {
		return nil
	}
	if v.g.o.Ceremony.RolledBack(v.r.Context()) != nil {
		return rolledBack
	}
	v.secure = v.g.o.Server.Secure(v.r)
	return v.untrusted()
}

// know finds out who is asking, once for a request. Nobody is refused; busy is why
// there was no memory for a look at the body.
func (v *visit) know() (refused *refusal, busy error) {
	if v.known {
		return nil, nil
	}
	var err error
	if v.who, err = v.identify(); errors.Is(err, ceremony.ErrBusy) {
		return nil, err
	}
	refused = v.identified(&v.who, err)
	v.known = refused == nil
	return refused, nil
}

// knownFirst finds out who is asking before the body is looked at. It is false where
// the request was answered.
func (v *visit) knownFirst() bool {
	refused, busy := v.trusted(), error(nil)
	if refused == nil {
		refused, busy = v.know()
	}
	switch {
	case busy != nil:
		v.g.o.Decided(v.rule.number - 1)
		v.unroomy(busy)
	case refused != nil:
		v.g.o.Decided(v.rule.number - 1)
		v.refuse(refused)
	default:
		v.rule = nil
		return true
	}
	return false
}

// portal serves one of the gateway's own pages.
func (v *visit) portal() error {
	v.secure = v.g.o.Server.Secure(v.r)
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
	case errors.Is(err, identity.ErrAmbiguous):
		return twoCredentials
	case errors.Is(err, identity.ErrInvalid):
		return invalidIdentity
	case errors.Is(err, identity.ErrNobody) || err == nil && who.User == "":
		return nobody
	case err != nil:
		v.g.o.Failed(v.r, "identifying", err)
		return identityFailed
	case who.Tenant != "" && who.Tenant != v.g.o.Tenant:
		v.g.o.Failed(v.r, "identifying", errTenant)
		return identityFailed
	}
	// The name goes into a header, so it is checked against its limits whoever
	// gave it (S19).
	if who.Name == "" {
		who.Name = who.User
	}
	for _, id := range [...]string{who.User, who.Name} {
		if _, err := identity.Exact(id); err != nil {
			v.g.o.Failed(v.r, "identifying", err)
			return identityFailed
		}
	}
	who.Tenant = v.g.o.Tenant
	return nil
}

// errTenant reports that an identity source answered for another tenant.
var errTenant = errors.New("the user belongs to another tenant")

// complete fills in from where the request came, which the hot path need not
// know.
func (v *visit) complete(who *ceremony.Principal) {
	who.Address = v.g.o.Server.Client(v.r)
	who.Browser, _ = cookies.BrowserID(v.r, v.secure)
}

// ungranted is where a request goes that has no good grant: to a challenge,
// which is the same whatever was wrong with the grant it came with (S02).
func (v *visit) ungranted(who ceremony.Principal, offered bool, err error) {
	if !errors.Is(err, ceremony.ErrNoGrant) {
		v.fail("checking a grant", err)
		return
	}
	v.complete(&who)
	if offered {
		e := ceremony.Event{
			Time: v.g.o.Now(), Kind: ceremony.EventGrant, Outcome: ceremony.Refused, Cause: grants.CauseOf(err),
			Subject: who.Subject, Action: v.rule.Demand.Action.String(),
		}
		e.By(v.r.Context(), &who)
		v.g.o.Audit(v.r.Context(), e)
	}
	v.challenge(who)
}

// page is what all of the gate's pages have in common.
func (v *visit) page() pages.Page {
	chosen, _ := cookies.Get(v.r.Header, cookies.Language.On(v.g.o.Server.Secure(v.r)))
	return pages.Page{
		Lang:   pages.Choose(chosen, strings.Join(v.r.Header["Accept-Language"], ",")),
		Issuer: v.g.o.Issuer, Brand: v.g.o.Brand, Host: v.r.Host, Now: v.g.o.Now(),
	}
}
