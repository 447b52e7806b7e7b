// Package honest holds requests that real clients sent to real applications, and
// what the gateway makes of them. They are the counterweight to the tests that
// attack it: what was let through must go on being let through.
//
// tests/honest/record records them, without a gateway in between; the corpus is
// testdata/requests.jsonl.gz, one request a line. Nothing in it is a secret:
// values of cookies and credentials are never written, and what looks like a
// token is replaced by letters and digits of the same length.
package honest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"
)

// Request is one request as its client sent it.
type Request struct {
	App    string `json:"app"` // what it was sent to
	Method string `json:"method"`
	Target string `json:"target"` // raw, as in the request line
	// Header has every field but those that only concern one connection. Values of
	// cookies and of Authorization are replaced.
	Header http.Header `json:"header,omitempty"`
	// Text or Binary is the body, whichever it is. Of a long one it is the
	// beginning, and Size is how long the body was.
	Text    string `json:"text,omitempty"`
	Binary  []byte `json:"binary,omitempty"`
	Size    int64  `json:"size,omitempty"`
	Chunked bool   `json:"chunked,omitempty"`
	// Status is what the application answered; 0 if it did not.
	Status int `json:"status,omitempty"`
}

// Body is the body. A long one is its recorded beginning, over and over.
func (r *Request) Body() []byte {
	body := r.Binary
	if r.Text != "" {
		body = []byte(r.Text)
	}
	if r.Size <= int64(len(body)) || len(body) == 0 {
		return body
	}
	return bytes.Repeat(body, int(r.Size)/len(body)+1)[:r.Size]
}

// SetBody stores a body, of which at most limit bytes are kept.
func (r *Request) SetBody(body []byte, limit int) {
	r.Text, r.Binary, r.Size = "", nil, 0
	if len(body) > limit {
		r.Size = int64(len(body))
		body = body[:limit]
	}
	if utf8.Valid(body) {
		r.Text = string(body)
	} else {
		r.Binary = body
	}
}

// Wire is the request as it goes over a connection, to a host of that name.
func (r *Request) Wire(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.Target, host)
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	body := r.Body()
	switch {
	case r.Chunked:
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n")
		if len(body) > 0 {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", len(body), body)
		}
		b.WriteString("0\r\n\r\n")
	case len(body) > 0 || r.Header["Content-Type"] != nil || strings.Contains("POST PUT PATCH", r.Method):
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// Load reads a corpus.
func Load(path string) ([]Request, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	var all []Request
	for d := json.NewDecoder(z); ; {
		var r Request
		if err := d.Decode(&r); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading %s: request %d: %w", path, len(all), err)
		}
		all = append(all, r)
	}
}

// Save writes a corpus.
func Save(path string, all []Request) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	e := json.NewEncoder(z)
	e.SetEscapeHTML(false)
	for i := range all {
		if err := e.Encode(&all[i]); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
