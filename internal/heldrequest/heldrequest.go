// Package heldrequest keeps a request until its step-up is passed: [Capture]
// packs all of it that must reach the application later, and [Unpack] and
// [Request.Restore] put it in the place of the request by which the browser comes
// back.
//
// What the person sent (method, target, body, and the headers by which a browser
// describes them) is restored as it was, byte for byte. Every other header is
// the live request's: who is asking, from where, and whatever a proxy or a
// handler in front says of them. A held request must not bring back a session
// that has ended, or a group that somebody was taken out of.
//
// The package is pure: it stores nothing, and decides nothing about who may
// restore what.
package heldrequest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var (
	// ErrTooLarge reports that the body is over the limit. As much as was read
	// is lost to the request.
	ErrTooLarge = errors.New("the request is too large to be held")
	// ErrIncomplete reports that the client did not send the whole body, or not in
	// time.
	ErrIncomplete = errors.New("the request's body is incomplete")
	// ErrMalformed reports that stored bytes are no held request.
	ErrMalformed = errors.New("not a held request")
)

// Request is a request as it is held.
type Request struct {
	Method string `json:"method"`
	// Target is the request target as the client sent it.
	Target string      `json:"target"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body,omitempty"`
	// Chunked reports that the body came without its length, and goes on so.
	Chunked bool `json:"chunked,omitempty"`
}

// Sent is what a client sent, as it was before any handler changed it.
type Sent struct {
	Method, Target string
	Header         http.Header
}

// always are the hop-by-hop headers of RFC 9110 section 7.6.1 and those that
// belong to one connection by custom.
var always = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
}

func hopByHop(h http.Header) map[string]bool {
	hop := make(map[string]bool, len(always))
	for _, name := range always {
		hop[name] = true
	}
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			hop[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	return hop
}

// describes reports whether a header is one by which a client says what it sends
// and what it wants back. These are the headers that a browser adds to a form,
// with those that change what a request means. They are held and restored; of
// all others the live request's stand. The list names what is restored, since a
// list of what is not would miss the next proxy's header.
func describes(name string) bool {
	switch name {
	case "Content-Length", "Sec-Purpose":
		return false // made anew, or of one request only
	case "Accept", "Accept-Language", "Accept-Encoding", "Accept-Charset", "Origin", "Referer", "User-Agent", "Cache-Control", "Pragma", "Priority",
		"Upgrade-Insecure-Requests", "X-Requested-With", "Dnt", "Range", "Prefer",
		"Destination", "Overwrite", "Depth", "Soapaction",
		"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Method", "Http-Method", "Http-Method-Override":
		return true
	}
	return strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "Sec-") || strings.HasPrefix(name, "If-")
}

// Restore returns the held request in the place of the live one, on the live
// one's connection and context.
func (h Request) Restore(on *http.Request) (*http.Request, error) {
	u, err := url.ParseRequestURI(h.Target)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	header := make(http.Header, len(on.Header)+len(h.Header))
	for name, values := range on.Header {
		if !describes(name) && name != "Content-Length" && name != "Sec-Purpose" {
			header[name] = values
		}
	}
	for name, values := range h.Header {
		if describes(name) {
			header[name] = slices.Clone(values)
		}
	}
	r := on.WithContext(on.Context())
	r.Method, r.URL, r.RequestURI, r.Header = h.Method, u, h.Target, header
	r.Trailer, r.Form, r.PostForm, r.MultipartForm = nil, nil, nil, nil
	r.TransferEncoding = nil
	r.ContentLength = int64(len(h.Body))
	r.Body = http.NoBody
	if len(h.Body) > 0 || h.Chunked {
		r.Body = io.NopCloser(bytes.NewReader(h.Body))
	}
	switch {
	case h.Chunked:
		r.ContentLength = -1
		r.TransferEncoding = []string{"chunked"}
	case len(h.Body) > 0 || h.Method == http.MethodPost || h.Method == http.MethodPut || h.Method == http.MethodPatch:
		header["Content-Length"] = []string{fmt.Sprint(len(h.Body))}
	}
	return r, nil
}
