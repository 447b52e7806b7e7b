// Package heldrequest keeps a request until its step-up is passed: [Capture]
// takes all of it that must reach the application later, [Request.Restore] puts
// it in the place of the request by which the browser comes back.
//
// What the person sent (method, target, body, and the headers that describe
// them) is restored as it was, byte for byte. What tells who is asking and from
// where (cookies, credentials, what proxies in front say) is always the live
// request's: a held request must not bring back a session that has ended since.
//
// The package is pure: it stores nothing, and decides nothing about who may
// restore what.
package heldrequest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var (
	// ErrTooLarge tells that the body is over the limit. As much as was read
	// is lost to the request.
	ErrTooLarge = errors.New("the request is too large to be held")
	// ErrMalformed tells that stored bytes are no held request.
	ErrMalformed = errors.New("not a held request")
)

// Request is a request as it is held.
type Request struct {
	Method string `json:"method"`
	// Target is the request target as the gateway saw it, Original as the
	// client sent it, where something in front had rewritten it.
	Target   string      `json:"target"`
	Original string      `json:"original,omitempty"`
	Header   http.Header `json:"header"`
	Body     []byte      `json:"body,omitempty"`
	// Chunked tells that the body came without its length, and goes on so.
	Chunked bool `json:"chunked,omitempty"`
}

// Capture reads a request whole, its body up to limit bytes. The request must not
// be passed on afterwards.
func Capture(r *http.Request, original string, limit int64) (Request, error) {
	held := Request{Method: r.Method, Target: r.RequestURI, Original: original, Header: make(http.Header, len(r.Header)), Chunked: r.ContentLength < 0}
	if r.ContentLength > limit {
		return Request{}, ErrTooLarge
	}
	if r.Body != nil {
		body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
		if err != nil {
			return Request{}, fmt.Errorf("reading the body: %w", err)
		}
		if int64(len(body)) > limit {
			return Request{}, ErrTooLarge
		}
		held.Body = body
	}
	if held.Chunked && len(held.Body) == 0 && len(r.TransferEncoding) == 0 {
		held.Chunked = false
	}
	hop := hopByHop(r.Header)
	for name, values := range r.Header {
		if !live[name] && !hop[name] {
			held.Header[name] = slices.Clone(values)
		}
	}
	return held, nil
}

// live are the headers that are never held: they tell who is asking, or are made
// anew.
var live = map[string]bool{
	"Cookie": true, "Authorization": true, "Content-Length": true, "Expect": true,
	"Sec-Purpose": true, "Early-Data": true,
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

// describes tells of the headers by which a client says what it sends and what
// it would have back. Of these the held ones are restored, also where the live
// request has its own.
func describes(name string) bool {
	switch name {
	case "Accept", "Accept-Language", "Accept-Encoding", "Accept-Charset", "Origin", "Referer", "User-Agent", "Cache-Control", "Pragma", "Priority",
		"Upgrade-Insecure-Requests", "X-Requested-With", "Dnt", "Range", "Prefer":
		return true
	}
	return strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "Sec-") || strings.HasPrefix(name, "If-")
}

// Restore gives the held request in the place of the live one, on the live one's
// connection and context. Of headers that do not describe the request the live
// one's stand; the held ones are added where it has none.
func (h Request) Restore(on *http.Request) (*http.Request, error) {
	u, err := url.ParseRequestURI(h.Target)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	header := make(http.Header, len(on.Header)+len(h.Header))
	for name, values := range on.Header {
		if !describes(name) {
			header[name] = values
		}
	}
	for name, values := range h.Header {
		if _, taken := header[name]; !taken && !live[name] {
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

// Marshal gives the stored form of a held request: JSON, the body in base64. It
// holds whatever the person typed, and is for sealing.
func (h Request) Marshal() ([]byte, error) { return json.Marshal(h) }

// Unmarshal reads what Marshal gave.
func Unmarshal(stored []byte) (Request, error) {
	var h Request
	if err := json.Unmarshal(stored, &h); err != nil || h.Method == "" || h.Target == "" {
		return Request{}, ErrMalformed
	}
	return h, nil
}
