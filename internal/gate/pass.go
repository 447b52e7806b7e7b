package gate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
)

// announce makes a request the application's: without the gateway's cookies, and
// with what the application may know.
func announce(h http.Header, who *ceremony.Principal, rl *rule, g *grants.Grant) {
	cookies.Strip(h)
	// One array for all; each field has no room to grow into the next.
	v := &[5]string{who.Name, rl.Demand.Action.String(), g.Methods.String(), g.Methods.AMR(), strconv.FormatInt(g.AuthTime/int64(time.Second), 10)}
	h["Step-Up-User"] = v[0:1:1]
	h["Step-Up-Action"] = v[1:2:2]
	h["Step-Up-Method"] = v[2:3:3]
	h["Step-Up-Amr"] = v[3:4:4]
	h["Step-Up-Auth-Time"] = v[4:5:5]
}

// spend lets the one request through for which a one-time grant is good.
func (v *visit) spend(who ceremony.Principal, pass ceremony.Pass, next func(http.ResponseWriter, *http.Request) error) error {
	switch {
	case speculates(v.r.Header):
		v.refuse(speculative)
		return nil
	case early(v.r):
		v.tooEarly()
		return nil
	}
	v.complete(&who)
	receipt, err := v.g.o.Ceremony.Spend(v.r.Context(), &who, &pass)
	if errors.Is(err, ceremony.ErrNoGrant) {
		v.challenge(who)
		return nil
	}
	if err != nil {
		v.fail("spending a grant", err)
		return nil
	}
	_, err = v.passOnce(&who, &pass, receipt, next)
	return err
}

// passOnce passes a request on that may be passed on once. What lets it through
// is spent, durably, before anything is sent to the application; it is given back
// only where it is certain that nothing was.
func (v *visit) passOnce(who *ceremony.Principal, pass *ceremony.Pass, receipt ceremony.Receipt, next func(http.ResponseWriter, *http.Request) error) (givenBack bool, err error) {
	v.count(Spent)
	announce(v.r.Header, who, v.rule, &pass.Grant)
	v.handOver()

	var connected atomic.Bool
	r := v.r.WithContext(httptrace.WithClientTrace(v.r.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
		// Transports other than HTTP's, such as FastCGI's, dial by net.Dialer.
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				connected.Store(true)
			}
		},
	}))
	v.w.Header().Set("Cache-Control", "no-store")
	err = next(&uncached{ResponseWriter: v.w}, r)
	if err != nil && v.g.o.Undialed(err) && !connected.Load() {
		// The client may be gone already; its grant is to come back all the same.
		back := v.g.o.Ceremony.GiveBack(context.WithoutCancel(r.Context()), who, receipt)
		switch {
		case back == nil:
			// The error ends here: the server's error handler may have another
			// application that takes the request, and then the grant would be
			// good for a request once more (S03).
			v.g.o.Failed(r, "reaching the application", err)
			v.refuse(unreached)
			return true, nil
		case !errors.Is(back, ceremony.ErrNoGrant):
			v.g.o.Failed(r, "giving a grant back", back)
		}
	}
	return false, err
}

// uncached says of every response that it must not be stored: it answers the one
// request that was allowed.
type uncached struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (u *uncached) WriteHeader(status int) {
	if !u.begun && (status >= 200 || status == http.StatusSwitchingProtocols) {
		u.begun = true
		uncacheable(u.Header())
		u.Header()["Cache-Control"] = []string{"no-store"}
	}
	u.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (u *uncached) Write(b []byte) (int, error) {
	u.begin()
	return u.ResponseWriter.Write(b)
}

// ReadFrom implements io.ReaderFrom, so that the server's own is still used.
func (u *uncached) ReadFrom(from io.Reader) (int64, error) {
	u.begin()
	return io.Copy(u.ResponseWriter, from)
}

// FlushError is what http.ResponseController looks for: a flush may be what
// sends the header.
func (u *uncached) FlushError() error {
	u.begin()
	return http.NewResponseController(u.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController find the rest.
func (u *uncached) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *uncached) begin() {
	if !u.begun {
		u.WriteHeader(http.StatusOK)
	}
}

// Interface guards.
var (
	_ http.ResponseWriter = (*uncached)(nil)
	_ io.ReaderFrom       = (*uncached)(nil)
)
