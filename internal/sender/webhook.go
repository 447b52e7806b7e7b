package sender

import (
	"bytes"
	"context"
	"crypto/hmac"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/identity/outbound"
)

// Limits and defaults of a webhook.
const (
	DefaultTimeout  = 5 * time.Second
	DefaultDeadline = 10 * time.Second
	DefaultBackoff  = 250 * time.Millisecond
	// MinSecret is the least length of a secret, in bytes: that of the hash, as
	// RFC 2104 section 3 has it.
	MinSecret = sha256.Size

	// maxTries bounds how often one text is offered.
	maxTries = 3
	// maxAnswer bounds, in bytes, what is read of an answer's body, only so
	// that the connection can be used again.
	maxAnswer = 4 << 10
	// maxConns bounds the connections to the receiver.
	maxConns = 32
)

// SignatureField is the header field with the signature of a request.
const SignatureField = "Step-Up-Signature"

// WebhookOptions say where texts are posted, and how.
type WebhookOptions struct {
	// URL is posted to: absolute, without a user or a fragment; https, but for
	// loopback or where AllowPlainHTTP says otherwise.
	URL            string
	AllowPlainHTTP bool
	// Secret signs each request. At least MinSecret bytes.
	Secret []byte
	// Timeout bounds one try, its answer included. Zero: DefaultTimeout.
	Timeout time.Duration
	// Deadline bounds all tries of a text and the waits between them. Zero:
	// DefaultDeadline.
	Deadline time.Duration
	// Backoff is the longest wait before the second try, doubled before the
	// third. Zero: DefaultBackoff.
	Backoff time.Duration
	// Now is the clock of signatures. Nil: time.Now.
	Now func() time.Time
}

// Webhook posts each text, as JSON, to a receiver that passes it on:
//
//	POST /sms HTTP/1.1
//	Content-Type: application/json
//	Idempotency-Key: 4ZQ…
//	Step-Up-Signature: t=1767366245,v1=5257a8…
//
//	{"id":"4ZQ…","to":"+4915112345678","text":"…"}
//
// v1 is the HMAC-SHA256, in hexadecimal, of t, a dot and the body as it was sent;
// a receiver compares it in constant time and refuses a t that is not of the last
// minutes. The receiver answers with 2xx once it has the text.
//
// A text is offered up to three times, under the same id, where the connection
// fails or breaks, no answer comes in time, or the answer is 429 or 5xx; each time
// signed anew. Retry-After is heeded, or the text given up if that is too late. A
// receiver that passed on an id before answers 2xx and does not do it again.
// Redirects are not followed, since the text would follow them.
type Webhook struct {
	o      WebhookOptions
	client *outbound.Client
}

// NewWebhook checks the options and makes a sender. Nothing is asked yet.
func NewWebhook(o WebhookOptions) (*Webhook, error) {
	if err := o.CheckURL(); err != nil {
		return nil, err
	}
	if len(o.Secret) < MinSecret {
		return nil, fmt.Errorf("the secret of the webhook must have at least %d bytes: `openssl rand -hex 32` makes one", MinSecret)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Deadline == 0 {
		o.Deadline = DefaultDeadline
	}
	if o.Backoff == 0 {
		o.Backoff = DefaultBackoff
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Webhook{o: o, client: outbound.New(outbound.Limits{Timeout: o.Timeout, Body: maxAnswer, Conns: maxConns})}, nil
}

// CheckURL holds the URL against what it may be. The refusal
// does not repeat it: there may be a key in it.
func (o WebhookOptions) CheckURL() error {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("webhook takes an absolute URL without a user or a fragment, such as https://sms.example.com/send")
	}
	if u.Scheme == "http" && !o.AllowPlainHTTP && !isLoopback(u.Hostname()) {
		return fmt.Errorf("webhook: codes would go to %s over plain HTTP, where anybody on the way reads them: write https, or say `allow_plain_http` if the way is your own", u.Hostname())
	}
	return nil
}

// Close closes the connections that are not in use.
func (w *Webhook) Close() { w.client.Close() }

// Send posts a text until the receiver has it, or it is to be given up.
func (w *Webhook) Send(ctx context.Context, to, text string) error {
	if err := check(to, text); err != nil {
		return err
	}
	id := cryptorand.Text()
	body, err := json.Marshal(struct {
		ID   string `json:"id"`
		To   string `json:"to"`
		Text string `json:"text"`
	}{id, to, text})
	if err != nil {
		return fmt.Errorf("sending by webhook: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, w.o.Deadline)
	defer cancel()
	end, _ := within.Deadline()
	for try := 1; ; try++ {
		failed := w.try(within, id, body)
		switch {
		case failed == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("sending by webhook: %w", ctx.Err())
		case !failed.again || try == maxTries:
			return gaveUp(try, failed)
		}
		wait := max(failed.after, jittered(w.o.Backoff<<(try-1)))
		if time.Until(end) <= wait {
			return gaveUp(try, failed)
		}
		select {
		case <-time.After(wait):
		case <-within.Done():
			return gaveUp(try, failed)
		}
	}
}

func gaveUp(tries int, f *failure) error {
	return fmt.Errorf("sending by webhook: try %d: %w", tries, f.err)
}

// jittered is a random wait of d at the most and half of it at the least, so that
// texts which failed together do not come back together.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// failure is a try that failed.
type failure struct {
	err   error
	again bool          // whether another try may fare better
	after time.Duration // not before
}

// try offers a text once.
func (w *Webhook) try(ctx context.Context, id string, body []byte) *failure {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.o.URL, bytes.NewReader(body))
	if err != nil {
		return &failure{err: errors.New("the URL cannot be asked")} // err quotes it
	}
	r.GetBody = nil // else net/http offers it more often than we count
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "caddy-stepup")
	r.Header.Set("Idempotency-Key", id)
	r.Header.Set(SignatureField, signature(w.o.Secret, w.o.Now(), body))
	status, header, err := w.client.Tell(r)
	if err != nil {
		var certificate *tls.CertificateVerificationError
		return &failure{err: err, again: !errors.As(err, &certificate)}
	}
	switch {
	case status >= 200 && status <= 299:
		return nil
	case status >= 300 && status <= 399:
		return &failure{err: fmt.Errorf("the receiver answered with %d, and redirects are not followed", status)}
	case status == http.StatusTooManyRequests, status >= 500:
		return &failure{
			err:   fmt.Errorf("the receiver answered with %d", status),
			again: true,
			after: retryAfter(header.Get("Retry-After"), w.o.Now()),
		}
	}
	return &failure{err: fmt.Errorf("the receiver answered with %d", status)}
}

// signature is the value of SignatureField.
func signature(secret []byte, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// retryAfter reads the field of that name, in seconds or as a date (RFC 9110
// section 10.2.3); zero where it says nothing that can be understood.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
