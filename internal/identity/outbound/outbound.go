// Package outbound sends one request to another server over HTTP, for the identity
// sources and senders that have to.
//
// It promises that a question takes no longer, and its answer no more memory, than
// was set; that no redirect is followed and no proxy from the environment is
// used; that nothing is sent that the caller did not put into the request, but for
// what HTTP/1.1 demands; and that its errors quote nothing of the answer. It does
// not retry and does not cache.
package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

var (
	// ErrTooLarge reports that the answer has more bytes than are accepted.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrTimeout reports that the whole answer did not come in time.
	ErrTimeout = errors.New("the answer did not come in time")
	// ErrEncoded reports that the answer has a Content-Encoding, though none was
	// asked for.
	ErrEncoded = errors.New("the answer has a content encoding that was not asked for")
	// ErrBroken reports that what came back is not HTTP, or ended early.
	ErrBroken = errors.New("the answer is broken")
)

// Limits are the bounds of a client's questions.
type Limits struct {
	Timeout time.Duration // from the first byte sent to the last byte received
	Body    int64         // bytes of an answer's body
	Conns   int           // connections at the same time; further questions wait
}

// maxHeader bounds the header of an answer, in bytes.
const maxHeader = 64 << 10

// Client asks questions within its limits. It is safe for concurrent use.
type Client struct {
	limits    Limits
	transport *http.Transport
}

// New makes a client.
func New(limits Limits) *Client {
	return &Client{limits: limits, transport: &http.Transport{
		Proxy:                  nil, // a proxy from the environment would read people's cookies
		DialContext:            (&net.Dialer{Timeout: limits.Timeout}).DialContext,
		TLSHandshakeTimeout:    limits.Timeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxConnsPerHost:        limits.Conns,
		MaxIdleConnsPerHost:    limits.Conns,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}}
}

// Close closes the connections that are not in use. Questions that are under way
// are answered.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Ask sends a request and reads the whole answer.
func (c *Client) Ask(r *http.Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(r.Context(), c.limits.Timeout)
	defer cancel()
	resp, err := c.send(r.WithContext(ctx))
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return Answer{}, ErrEncoded
	}
	if resp.ContentLength > c.limits.Body {
		return Answer{}, ErrTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.limits.Body+1))
	if err != nil {
		return Answer{}, quiet(err)
	}
	if int64(len(body)) > c.limits.Body {
		return Answer{}, ErrTooLarge
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Tell sends a request to which the status is the whole answer: of its body no more
// is read than Limits.Body, nothing is kept, and whether it is whole does not count.
func (c *Client) Tell(r *http.Request) (status int, header http.Header, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), c.limits.Timeout)
	defer cancel()
	resp, err := c.send(r.WithContext(ctx))
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	// So that the connection can be used again. An error does not undo that
	// the other side has answered.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, c.limits.Body))
	return resp.StatusCode, resp.Header, nil
}

func (c *Client) send(r *http.Request) (*http.Response, error) {
	// Not http.Client: it follows redirects, and its errors quote the URL.
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, quiet(err)
	}
	return resp, nil
}

// quiet is err without bytes of the answer in it, which may be a secret of
// somebody's session.
func quiet(err error) error {
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ErrTimeout
	case errors.As(err, &network):
		return fmt.Errorf("connecting: %w", network)
	case errors.As(err, &certificate):
		return fmt.Errorf("connecting: %w", certificate)
	}
	return ErrBroken
}
