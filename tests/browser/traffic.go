package browser

import (
	"time"

	"github.com/chromedp/cdproto/network"
)

// Request is one that a window has sent. What a page loads of itself is one too;
// each step of a redirect is one of its own.
type Request struct {
	Method, URL string
	Document    bool // a page, and not something that a page loads
	Redirect    bool // it came of the redirect that answered the one before
	Status      int
	Bytes       int // of the answer, with its head; 0 for one that redirects
}

// Watch begins to keep what the window sends; see Requests.
func (w *Window) Watch() {
	w.t.Helper()
	w.mu.Lock()
	w.requests, w.weighed = nil, map[network.RequestID]*Request{}
	w.mu.Unlock()
	w.run("watching the network", tell(network.Enable, network.EnableParams{}))
}

// Requests are those that were sent since Watch, in their order.
func (w *Window) Requests() []Request {
	w.t.Helper()
	time.Sleep(200 * time.Millisecond) // until the last one is told
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Request
	for _, r := range w.requests {
		all = append(all, *r)
	}
	return all
}

// Loaded is when the page was complete.
func (w *Window) Loaded() time.Time {
	w.t.Helper()
	at := must[float64](w, "() => { const t = performance.getEntriesByType('navigation')[0]; return performance.timeOrigin + t.loadEventEnd }")
	return time.UnixMicro(int64(at * 1000))
}

// weigh notes what the browser tells of the network.
func (w *Window) weigh(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.weighed == nil {
		return
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		r := &Request{Method: e.Request.Method, URL: e.Request.URL, Document: e.Type == network.ResourceTypeDocument, Redirect: e.RedirectResponse != nil}
		if before := w.weighed[e.RequestID]; r.Redirect && before != nil {
			before.Status = int(e.RedirectResponse.Status)
		}
		w.requests = append(w.requests, r)
		w.weighed[e.RequestID] = r
	case *network.EventResponseReceived:
		if r := w.weighed[e.RequestID]; r != nil {
			r.Status = int(e.Response.Status)
		}
	case *network.EventLoadingFinished:
		if r := w.weighed[e.RequestID]; r != nil {
			r.Bytes = int(e.EncodedDataLength)
		}
	}
}
