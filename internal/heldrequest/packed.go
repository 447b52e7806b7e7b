package heldrequest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
)

const (
	// Front and Back are how many bytes are free before and behind a packed
	// request, for who seals it where it lies.
	Front = 64
	Back  = 64

	// maxHead bounds, in bytes, what is kept of a request besides its body: the
	// headers too are the client's to fill.
	maxHead = 64 << 10

	// HeadSize is what a head of the usual size takes besides a body.
	HeadSize = 4 << 10
)

// Packed is a request as it is stored, in one buffer with the body as it came:
//
//	flags[1] | length of the head[4] | head | body
//
// The lowest bit of the flags says that the body came without its length. The head
// is JSON. It holds whatever the person typed, and is for sealing.
type Packed struct{ buf []byte }

const (
	flagChunked = 1
	prefixSize  = 1 + 4
)

// head is what is kept of a request besides its body.
type head struct {
	Method string      `json:"method"`
	Target string      `json:"target"`
	Header http.Header `json:"header"`
}

// Capture reads a request whole, its body up to limit bytes, into one buffer that
// is made for it. All else is taken from what the client sent. The request must
// not be passed on afterwards. It fails with [ErrTooLarge] and [ErrIncomplete].
func Capture(r *http.Request, sent Sent, limit int64) (*Packed, error) {
	if r.ContentLength > limit {
		return nil, ErrTooLarge
	}
	h := head{Method: sent.Method, Target: sent.Target, Header: make(http.Header, len(sent.Header))}
	hop := hopByHop(sent.Header)
	for name, values := range sent.Header {
		if describes(name) && !hop[name] {
			h.Header[name] = values
		}
	}
	top, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("packing a request: %w", err)
	}
	if len(top) > maxHead {
		return nil, ErrTooLarge
	}
	body := int64(16 << 10)
	if r.ContentLength >= 0 {
		body = r.ContentLength + 1 // the byte more that tells the end
	}
	before := Front + prefixSize + len(top)
	buf := make([]byte, Front+1, int64(before+Back)+min(body, limit+1))
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(top)))
	buf = append(buf, top...)
	if r.Body != nil {
		if buf, err = readBody(r.Body, buf, before, limit); err != nil {
			return nil, err
		}
	}
	if r.ContentLength < 0 && (len(buf) > before || len(r.TransferEncoding) > 0) {
		buf[Front] = flagChunked
	}
	return &Packed{buf: buf}, nil
}

// readBody appends a body of at most limit bytes to buf, which has before bytes in
// it, and leaves Back bytes free behind it.
func readBody(body io.Reader, buf []byte, before int, limit int64) ([]byte, error) {
	most := before + int(limit) + 1
	for {
		if len(buf) >= cap(buf)-Back {
			buf = slices.Grow(buf, min(len(buf), most-len(buf))+Back)
		}
		n, err := body.Read(buf[len(buf):min(cap(buf)-Back, most)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) == most:
			return nil, ErrTooLarge
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrIncomplete, err)
		}
	}
}

// Buffer is the packed request with [Front] bytes before it, and room for [Back]
// bytes behind it in its capacity. Who seals it there leaves nothing to unpack.
func (p *Packed) Buffer() []byte { return p.buf }

// Size is how many bytes the packed request has.
func (p *Packed) Size() int { return len(p.buf) - Front }

// Bytes is the packed request.
func (p *Packed) Bytes() []byte { return p.buf[Front:] }

// Unpack reads the bytes of a packed request. The request's body is a part of
// them.
func Unpack(stored []byte) (Request, error) {
	if len(stored) < prefixSize || stored[0]&^flagChunked != 0 {
		return Request{}, ErrMalformed
	}
	size := int64(binary.BigEndian.Uint32(stored[1:]))
	if size > int64(len(stored)-prefixSize) {
		return Request{}, ErrMalformed
	}
	top, body := stored[prefixSize:prefixSize+size], stored[prefixSize+size:]
	var h head
	if err := json.Unmarshal(top, &h); err != nil || h.Method == "" || h.Target == "" {
		return Request{}, ErrMalformed
	}
	return Request{Method: h.Method, Target: h.Target, Header: h.Header, Body: body, Chunked: stored[0] == flagChunked}, nil
}

// Unmarshal reads the form that the versions before packed requests stored: JSON
// of a [Request], the body in base64.
func Unmarshal(stored []byte) (Request, error) {
	var h Request
	if err := json.Unmarshal(stored, &h); err != nil || h.Method == "" || h.Target == "" {
		return Request{}, ErrMalformed
	}
	return h, nil
}
