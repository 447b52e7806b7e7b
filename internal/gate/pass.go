package gate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
)

// spend lets the one request through for which a one-time grant is good.
func (v *visit) spend(who ceremony.Principal, pass ceremony.Pass) error {
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
	_, err = v.passOnce(&who, &pass, receipt)
	return err
}

// passOnce passes a request on that may be passed on once. What lets it through
// is spent, durably, before anything is sent to the application; it is given back
// only where it is certain that nothing was.
func (v *visit) passOnce(who *ceremony.Principal, pass *ceremony.Pass, receipt ceremony.Receipt) (givenBack bool, err error) {
	v.count(Spent)
	cookies.Strip(v.r.Header)
	v.announce(who, &pass.Grant, nil)
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
	err = v.pass(&uncached{ResponseWriter: v.w}, r)
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
