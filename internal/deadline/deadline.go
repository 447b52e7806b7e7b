// Package deadline bounds how long a request's body may be on its way to who reads
// it here: the bodies of the gateway's own pages and API, those that are looked
// into or held before anything is passed on, and those of requests that are
// refused, of which the server reads on before it answers. Without it, who sends
// one that does not end keeps the connection (S19, S26). It is never for a body
// that the application reads.
package deadline

import (
	"net/http"
	"time"
)

const (
	// Body is how long a small body may be on its way.
	Body = 10 * time.Second

	// A large one may be on its way for wholeBase and as long as it takes at
	// minRate, and never longer than wholeMost.
	wholeBase = 30 * time.Second
	minRate   = 32 << 10 // bytes a second
	wholeMost = 5 * time.Minute
)

// Whole is how long a body of size bytes may be on its way.
func Whole(size int64) time.Duration {
	return min(wholeBase+time.Duration(max(size, 0)/minRate)*time.Second, wholeMost)
}

// Begin begins the time of a small body.
func Begin(w http.ResponseWriter, r *http.Request) { Within(w, r, Body) }

// Within begins a time of d, or what the server allows for the whole request where
// that is less. Connections that know no deadlines have none.
func Within(w http.ResponseWriter, r *http.Request, d time.Duration) {
	if r.ContentLength == 0 {
		return
	}
	if all := ofServer(r); all > 0 {
		d = min(d, all)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d))
}

// End ends the time once the body, or as much of it as is read here, was read:
// from here on it would end the request itself. What the server allows for the
// whole request begins anew, since nobody knows when it began.
func End(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	var until time.Time
	if all := ofServer(r); all > 0 {
		until = time.Now().Add(all)
	}
	_ = http.NewResponseController(w).SetReadDeadline(until)
}

// ofServer is how long the server lets a request be on its way; 0 is for ever.
func ofServer(r *http.Request) time.Duration {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		return server.ReadTimeout
	}
	return 0
}

// Reading is the time of one body that is looked into, with what it needs to begin
// and end: see readings.Peek.
type Reading struct {
	W    http.ResponseWriter
	R    *http.Request
	Size int64 // how much of the body is read, at most
}

// Begin begins the time.
func (b *Reading) Begin() {
	size := b.Size
	if n := b.R.ContentLength; n >= 0 {
		size = min(size, n)
	}
	Within(b.W, b.R, Whole(size))
}

// End ends it.
func (b *Reading) End() { End(b.W, b.R) }
