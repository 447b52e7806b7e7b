package gate

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/inflight"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// What is read whole of a request, to look into it, to show it or to hold it, takes
// memory that the client chooses. It is reserved before a byte is read, by the
// length that the client declared or else by what is read at most, and given back
// once the request is stored, refused, or read by the application.

// whole is how much of a body is read of somebody who is known.
func (g *Gate) whole() int64 { return max(maxBody, g.o.MaxHeld) }

// readsWhole reports whether the way of the request reads its body before it is
// passed on or held.
func (v *visit) readsWhole() bool {
	if n := v.r.ContentLength; n == 0 || n > v.g.whole() {
		return false
	}
	return v.untold || v.rule != nil && len(v.rule.Show) > 0
}

// reserve reserves memory for the request, once. It waits while others have it,
// and fails with a ceremony.Busy after a time.
func (v *visit) reserve(who *ceremony.Principal) error {
	if v.room != nil {
		return nil
	}
	size := v.r.ContentLength
	if size < 0 {
		size = v.g.whole()
	}
	var err error
	v.room, err = v.g.o.Ceremony.Room(v.r.Context(), *who, size)
	return err
}

// peek makes a peek into the request's body of as much as is read of somebody who
// is known.
func (v *visit) peek(limit int) readings.Peek {
	p := readings.NewPeek(v.r, limit)
	p.Timed(&deadline.Reading{W: v.w, R: v.r, Size: int64(limit)})
	p.Reserved()
	return p
}

// handOver leaves the body to the application: the memory is given back once it has
// read it.
func (v *visit) handOver() {
	if v.room == nil || v.r.Body == nil {
		return
	}
	v.r.Body = &handed{ReadCloser: v.r.Body, room: v.room}
}

// ReadWhole reserves memory for a body of which up to limit bytes are about to be
// read to identify its request, reads it by read, and leaves the reservation to the
// gate. It fails with the error of read, or with a ceremony.Busy, which
// Options.Identify passes on. The body of a held request is in memory already.
func ReadWhole(r *http.Request, s *ceremony.Service, who ceremony.Principal, limit int64, read func() error) error {
	if r.Context().Value(claimKey{}) != nil {
		return read()
	}
	size := r.ContentLength
	if size < 0 || size > limit {
		size = limit
	}
	room, err := s.Room(r.Context(), who, size)
	if err != nil {
		return err
	}
	if err := read(); err != nil {
		room.Release()
		return err
	}
	r.Body = &handed{ReadCloser: r.Body, room: room}
	return nil
}

// identify identifies who sends the request. Its body may be read for that, which
// has a deadline, and memory of its own; see ReadWhole.
func (v *visit) identify() (ceremony.Principal, error) {
	if v.r.ContentLength == 0 {
		return v.g.o.Identify(v.r, Sent{Original: v.original, Bare: v.bare})
	}
	reading := deadline.Reading{W: v.w, R: v.r, Size: v.g.whole()}
	reading.Begin()
	who, err := v.g.o.Identify(v.r, Sent{Original: v.original, Bare: v.bare})
	reading.End()
	if h, ok := v.r.Body.(*handed); ok {
		v.r.Body, v.room = h.ReadCloser, h.room
	}
	return who, err
}

// keep takes back what handOver left to the application, where the request is held
// after all.
func (v *visit) keep() {
	if h, ok := v.r.Body.(*handed); ok {
		v.r.Body = h.ReadCloser
	}
}

// handed is a body for which memory is reserved until it was read.
type handed struct {
	io.ReadCloser
	room *inflight.Taken
	over atomic.Bool
}

// Read implements io.Reader.
func (h *handed) Read(p []byte) (int, error) {
	if h.over.Load() {
		return 0, io.EOF
	}
	n, err := h.ReadCloser.Read(p)
	if err != nil {
		h.over.Store(err == io.EOF)
		h.room.Release()
	}
	return n, err
}

// Close implements io.Closer.
func (h *handed) Close() error {
	defer h.room.Release()
	return h.ReadCloser.Close()
}

// drain reads the rest of a form that is refused, and drops it: a browser shows an
// answer only once it has sent all, and an error where the connection ends before.
// Who asks first whether to send it is not asked to.
func (v *visit) drain() {
	if strings.EqualFold(v.r.Header.Get("Expect"), "100-continue") {
		return
	}
	size := int64(maxDrained)
	if n := v.r.ContentLength; n >= 0 {
		size = min(size, n)
	}
	deadline.Within(v.w, v.r, deadline.Whole(size))
	io.CopyN(io.Discard, v.r.Body, maxDrained)
}

// unroomy refuses a request that could not be read whole: there was no memory for
// it, its person had too many held, or no store to ask.
func (v *visit) unroomy(err error) {
	var busy *ceremony.Busy
	if !errors.As(err, &busy) {
		if v.r.Context().Err() != nil {
			v.refuse(unavailable) // the client went away
			return
		}
		v.fail("reserving memory for a request", err)
		return
	}
	v.count(Refused)
	answersVary(v.w.Header())
	if !navigates(v.r.Header) {
		deadline.Begin(v.w, v.r)
		problem.Write(v.w, problem.Problem{Code: problem.Unavailable, RetryAfter: busy.For,
			Detail: "Too many requests that have to be read whole are on their way. Send this one again later."})
		return
	}
	v.drain()
	renderBusy(v.w, v.page(), busy)
}

// renderBusy tells a person to come back later: nothing is lost, the form is in the
// browser's history.
func renderBusy(w http.ResponseWriter, page pages.Page, busy *ceremony.Busy) {
	kind, status := pages.Busy, http.StatusServiceUnavailable
	if busy.Yours {
		kind, status = pages.TooManyForms, http.StatusTooManyRequests
	}
	w.Header().Set("Retry-After", strconv.FormatInt(problem.Seconds(busy.For), 10))
	pages.Render(w, status, pages.Message{Page: page, Kind: kind, RetryAfter: busy.For})
}
