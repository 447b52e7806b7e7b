package gate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/inbound"
	"github.com/stepup-gateway/caddy-stepup/internal/inflight"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

// FrontOptions make a Front. Ceremony and Server are required.
type FrontOptions struct {
	Ceremony *ceremony.Service
	Server   inbound.Server
	// Leads reports whether a gate of the name may be behind the front for a
	// request. Nil: always.
	Leads func(r *http.Request, gate string) bool
	// Restored returns the request that stands for a held one, in the server's
	// own terms. Nil returns it as it is.
	Restored func(r *http.Request, original string) *http.Request
	// Failed is told what went wrong where a request was refused for a reason
	// that the operator must look into. Nil drops it.
	Failed func(r *http.Request, doing string, err error)
}

// Front stands before all handlers that a request passes on its way to a gate,
// so that they see a held request as it was sent, and not the GET by which the
// browser comes back for it: what refuses, rewrites or routes by method judges
// the form again, as it stands today.
//
// Nobody has said yet who is asking. So the front needs the handle and the
// browser's cookie, and it claims the ticket, durably, before anything sees the
// request. The gate identifies the person, runs its rules and redeems the claim.
// A request that does not get as far gives the claim back. Anything that is not
// a resume goes by untouched.
type Front struct{ o FrontOptions }

// NewFront makes a Front.
func NewFront(o FrontOptions) *Front {
	if o.Leads == nil {
		o.Leads = func(*http.Request, string) bool { return true }
	}
	if o.Restored == nil {
		o.Restored = func(r *http.Request, _ string) *http.Request { return r }
	}
	if o.Failed == nil {
		o.Failed = func(*http.Request, string, error) {}
	}
	return &Front{o: o}
}

// claim is a claimed ticket on its way to the gate, in the request's context.
type claim struct {
	ticket ceremony.Ticket
	// reached reports that the gate was, and settled that it redeemed the ticket, or
	// tried to.
	reached, settled bool
	// room is the memory that is reserved for the request, until the answer
	// begins.
	room *inflight.Taken
}

// claimKey finds a claim, and sentKey what the client sent, in a context.
type (
	claimKey struct{}
	sentKey  struct{}
)

// claims is how many requests are on their way from a front to their gate. Most
// often there is none, and then no request is searched for its claim.
var claims atomic.Int64

func claimOf(r *http.Request) *claim {
	if claims.Load() == 0 {
		return nil
	}
	c, _ := r.Context().Value(claimKey{}).(*claim)
	if c == nil || c.reached {
		return nil
	}
	return c
}

// ServeHTTP passes a request on to next, a resume as the request that was held.
// It returns what next returned.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter, *http.Request) error) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if navigates(r.Header) { // it may be held
			sent := heldrequest.Sent{Method: r.Method, Target: r.RequestURI, Header: r.Header.Clone()}
			r = r.WithContext(context.WithValue(r.Context(), sentKey{}, sent))
		}
		return next(w, r)
	}
	handle, ok := handleIn(r, r.RequestURI)
	if !ok || r.Method != http.MethodGet || !ownNavigation(r.Header) || speculates(r.Header) || early(r) {
		return next(w, r)
	}
	restored, c, err := f.take(r, handle)
	busy := (*ceremony.Busy)(nil)
	switch {
	case errors.Is(err, ceremony.ErrRolledBack):
		f.refuse(w, r, rolledBack)
		return nil
	case errors.As(err, &busy):
		answersVary(w.Header())
		renderBusy(w, frontPage(r), busy)
		return nil
	case err != nil:
		f.o.Failed(r, "restoring a held request", err)
		f.refuse(w, r, unavailable)
		return nil
	case c == nil:
		return next(w, r)
	}
	watched := &watchedAnswer{ResponseWriter: w, body: &watchedBody{ReadCloser: restored.Body}, claim: c}
	watched.giveBack = func() {
		if err := f.o.Ceremony.Unclaim(context.WithoutCancel(r.Context()), c.ticket); err != nil {
			f.o.Failed(r, "giving a held request back", err)
		}
	}
	restored.Body = watched.body
	claims.Add(1)
	defer claims.Add(-1)
	defer watched.settle() // also where no answer was written
	defer c.room.Release()
	return next(watched, restored)
}

// refuse answers a resume where the store does not: the handle is still good, so
// the browser must not be sent away from it.
func (f *Front) refuse(w http.ResponseWriter, r *http.Request, why *refusal) {
	answersVary(w.Header())
	if !navigates(r.Header) {
		problem.Write(w, why.problem())
		return
	}
	if why.code == problem.Unavailable {
		problem.SoonAgain(w.Header())
	}
	pages.Render(w, why.code.Status(), pages.Message{Page: frontPage(r), Kind: why.page})
}

// frontPage is what the pages have in common that are shown before a gate is
// reached.
func frontPage(r *http.Request) pages.Page {
	return pages.Page{Lang: pages.Choose("", strings.Join(r.Header["Accept-Language"], ",")), Host: r.Host, Now: time.Now()}
}

// take claims the ticket that a browser comes back for, and restores its request.
// It returns no claim where there is nothing for this browser at this address.
func (f *Front) take(r *http.Request, handle string) (restored *http.Request, c *claim, err error) {
	secure := f.o.Server.Secure(r)
	browser, _ := cookies.BrowserID(r, secure)
	if browser == [32]byte{} {
		return nil, nil, nil
	}
	ticket, err := f.o.Ceremony.Ticket(r.Context(), browser, handle)
	if err != nil {
		return nil, nil, unlessGone(err)
	}
	if ticket.Site != f.o.Server.Origin(r) || ticket.URL != withoutHandle(r.RequestURI) {
		return nil, nil, nil
	}
	// Before anything is claimed, every request with the handle gets here.
	room, err := f.o.Ceremony.TicketRoom(r.Context(), ticket)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if c == nil {
			room.Release()
		}
	}()
	held, err := f.o.Ceremony.HeldRequest(r.Context(), ticket)
	if err != nil {
		return nil, nil, unlessGone(err)
	}
	restored, err = held.Restore(r)
	if err != nil {
		return nil, nil, err
	}
	sent := heldrequest.Sent{Method: held.Method, Target: held.Target, Header: restored.Header.Clone()}
	restored = f.o.Restored(restored, held.Target)
	if !f.o.Leads(restored, ticket.Gate) {
		return nil, nil, nil
	}
	if ticket, err = f.o.Ceremony.Claim(r.Context(), ticket); err != nil {
		return nil, nil, unlessGone(err)
	}
	c = &claim{ticket: ticket, room: room}
	ctx := context.WithValue(context.WithValue(restored.Context(), claimKey{}, c), sentKey{}, sent)
	return restored.WithContext(ctx), c, nil
}

// unlessGone drops the errors by which a ticket is not there to be claimed.
func unlessGone(err error) error {
	if errors.Is(err, ceremony.ErrNotFound) || errors.Is(err, ceremony.ErrExpired) || errors.Is(err, ceremony.ErrNoGrant) {
		return nil
	}
	return err
}

// watchedBody knows whether anybody read the body.
type watchedBody struct {
	io.ReadCloser
	read atomic.Bool
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
}

// watchedAnswer gives a claim back where nothing came of it: before the answer is
// sent, so that the browser may come back at once.
type watchedAnswer struct {
	http.ResponseWriter
	body     *watchedBody
	claim    *claim
	giveBack func()
	begun    bool // the answer
	success  bool
}

// settle is called when the answer begins, with its status, and when it is over. A
// gate that did not redeem the ticket passed nothing on. Where none was reached,
// some handler in front refused; but a body that was read, or a success, may be an
// application's doing.
func (a *watchedAnswer) settle() {
	if a.giveBack == nil || a.claim.settled || !a.claim.reached && (a.success || a.body.read.Load()) {
		return
	}
	a.giveBack()
	a.giveBack = nil
}

func (a *watchedAnswer) begin(status int) {
	if !a.begun && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.begun, a.success = true, status < 300
		a.claim.room.Release()
		a.settle()
	}
}

// WriteHeader implements http.ResponseWriter.
func (a *watchedAnswer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *watchedAnswer) Write(b []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(b)
}

// ReadFrom implements io.ReaderFrom, so that the server's own is still used.
func (a *watchedAnswer) ReadFrom(from io.Reader) (int64, error) {
	a.begin(http.StatusOK)
	return io.Copy(a.ResponseWriter, from)
}

// FlushError is what http.ResponseController looks for: a flush may be what
// sends the header.
func (a *watchedAnswer) FlushError() error {
	a.begin(http.StatusOK)
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController find the rest.
func (a *watchedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Interface guards.
var (
	_ http.ResponseWriter = (*watchedAnswer)(nil)
	_ io.ReaderFrom       = (*watchedAnswer)(nil)
)
