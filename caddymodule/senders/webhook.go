// Package senders has the senders of texts that come with the gateway, Caddy
// modules of the namespace step_up.senders. Importing it registers them. What a
// sender promises is written at caddymodule.Sender.
package senders

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/sender"
)

func init() {
	caddy.RegisterModule(Webhook{})
}

// Webhook posts each text to a receiver of yours, which passes it on to
// whoever delivers it:
//
//	{"id":"4ZQ…","to":"+4915112345678","text":"…"}
//
// The header field Step-Up-Signature is t=UNIX_SECONDS,v1=HEX, where HEX is the
// HMAC-SHA256 of t, a dot and the body as it was sent. Compare it in constant time,
// and refuse a t that is more than some minutes old. Answer with 2xx once the text
// is taken over. A text is offered up to three times where the connection fails, no
// answer comes in time, or it is 429 (Retry-After is heeded) or 5xx. Each time it
// has the same id, also in the field Idempotency-Key: pass it on once. Redirects
// are not followed.
type Webhook struct {
	// URL is posted to: absolute, https unless it is on this machine. {env.*}
	// is replaced. Required.
	URL string `json:"url"`

	// Secret is what requests are signed with, of at least 32 bytes: one
	// placeholder, {env.NAME} or {file./path}. Required.
	Secret string `json:"secret"`

	// Timeout bounds one try. 100ms to 10s. Default: 5s.
	Timeout config.Duration `json:"timeout,omitzero"`

	// Deadline bounds all tries together, for which somebody waits. 100ms to
	// 20s, and no less than Timeout. Default: 10s.
	Deadline config.Duration `json:"deadline,omitzero"`

	// AllowPlainHTTP sends codes over a network in the clear, for one that is
	// your own. Default: false.
	AllowPlainHTTP bool `json:"allow_plain_http,omitempty"`

	webhook *sender.Webhook
}

// CaddyModule returns the module's id.
func (Webhook) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.senders.webhook", New: func() caddy.Module { return new(Webhook) }}
}

// UnmarshalCaddyfile reads the sender. Syntax:
//
//	webhook URL {
//		secret   {env.NAME} | {file./path}
//		timeout  DURATION
//		deadline DURATION
//		allow_plain_http
//	}
//
// Only the secret is required.
func (w *Webhook) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive, lines := d.Token(), block.Lines{}
	if err := block.OneWord(d, &w.URL, "https://sms.example.com/send", "one URL"); err != nil {
		return err
	}
	err := block.Block{
		Lines: lines,
		Name:  "webhook",
		Order: []string{"secret", "timeout", "deadline", "allow_plain_http"},
		Settings: map[string]block.Setting{
			"secret": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &w.Secret, exampleWebhookSecret); err != nil {
					return err
				}
				return block.Checked(d, secret.Check("secret", w.Secret, exampleWebhookSecret))
			},
			"timeout":          func(d *caddyfile.Dispenser) error { return block.Duration(d, &w.Timeout, "5s") },
			"deadline":         func(d *caddyfile.Dispenser) error { return block.Duration(d, &w.Deadline, "10s") },
			"allow_plain_http": func(*caddyfile.Dispenser) error { w.AllowPlainHTTP = true; return nil },
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return lines.At(directive, w.check())
}

const exampleWebhookSecret = "{env.SMS_SECRET}"

// check returns what is wrong with the settings as they are written.
func (w *Webhook) check() error {
	if w.Secret == "" {
		return errors.New("webhook needs a secret, by which the receiver knows that a text is the gateway's: write `secret {env.SMS_SECRET}`")
	}
	if err := secret.Check("secret", w.Secret, exampleWebhookSecret); err != nil {
		return err
	}
	if err := config.Within("timeout", w.Timeout, config.Duration(100*time.Millisecond), config.Duration(10*time.Second)); err != nil {
		return err
	}
	if err := config.Within("deadline", w.Deadline, config.Duration(100*time.Millisecond), config.Duration(20*time.Second)); err != nil {
		return err
	}
	if o := w.options(); o.Deadline < o.Timeout {
		return fmt.Errorf("webhook: the deadline of %s for all tries is less than the timeout of %s for one: make it longer", config.Duration(o.Deadline), config.Duration(o.Timeout))
	}
	if err := block.OnlyPlaceholders("webhook", w.URL, "env."); err != nil || strings.Contains(w.URL, "{") {
		return err // what is not replaced yet is checked once it is
	}
	return w.options().CheckURL()
}

// options are the settings as the sender wants them, without the secret.
func (w *Webhook) options() sender.WebhookOptions {
	o := sender.WebhookOptions{
		URL: w.URL, AllowPlainHTTP: w.AllowPlainHTTP,
		Timeout: time.Duration(w.Timeout), Deadline: time.Duration(w.Deadline),
	}
	if o.Timeout == 0 {
		o.Timeout = sender.DefaultTimeout
	}
	if o.Deadline == 0 {
		o.Deadline = sender.DefaultDeadline
	}
	return o
}

// Provision reads the secret. The receiver is not asked yet.
func (w *Webhook) Provision(caddy.Context) error {
	if err := w.check(); err != nil {
		return err
	}
	o := w.options()
	shared, err := secret.Read("secret", w.Secret)
	if err != nil {
		return err
	}
	o.Secret = []byte(shared)
	if o.URL, err = secret.Resolve(w.URL); err != nil {
		return fmt.Errorf("reading the URL of the webhook: %w", err)
	}
	w.webhook, err = sender.NewWebhook(o)
	return err
}

// Cleanup closes the connections to the receiver.
func (w *Webhook) Cleanup() error {
	if w.webhook != nil {
		w.webhook.Close()
	}
	return nil
}

// Send posts a text.
func (w *Webhook) Send(ctx context.Context, to, text string) error {
	return w.webhook.Send(ctx, to, text)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Webhook)(nil)
	_ caddy.CleanerUpper    = (*Webhook)(nil)
	_ caddyfile.Unmarshaler = (*Webhook)(nil)
)
