package senders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/trust"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
	"github.com/stepup-gateway/caddy-stepup/internal/sender"
)

func init() {
	caddy.RegisterModule(SMTP{})
}

// SMTP mails each text: to a gateway between mail and telephones, or under email to
// the person's own address.
//
// The way to the server is encrypted: from the first byte on port 465, by STARTTLS
// on others, on this machine not at all. A server that does not offer STARTTLS is
// sent nothing. A mail is offered once.
type SMTP struct {
	// Server is a host and a port, such as mail.example.com:587. Required.
	Server string `json:"server"`

	// From is the sender's address. Required.
	From string `json:"from"`

	// To is the recipient's address, in which {number} stands for the digits
	// of the number with its country code and without the plus, as in
	// {number}@sms.example.com. It may leave {number} to Subject. Under email it
	// is {email}, which stands for the address to which the code goes. Required.
	To string `json:"to"`

	// Subject of the mails, in plain ASCII; {number} as in To. Some gateways
	// send it along. Default: none; with a To of {email}, "Your code" in the language of the person.
	Subject string `json:"subject,omitempty"`

	// Username signs in with AUTH PLAIN. Default: no signing in.
	Username string `json:"username,omitempty"`

	// Password goes with Username: one placeholder, {env.NAME} or
	// {file./path}.
	Password string `json:"password,omitempty"`

	// TLS is starttls or implicit, where the port does not tell. Default:
	// implicit on port 465, starttls on others; on this machine neither,
	// unless CAFile is set.
	TLS string `json:"tls,omitempty"`

	// CAFile is a file of certificates in PEM, one of which must have signed
	// the server's. Default: the system's.
	CAFile string `json:"ca_file,omitempty"`

	// AllowPlainText sends codes over a network in the clear, for one that is
	// your own; a password is not sent then. Default: false.
	AllowPlainText bool `json:"allow_plain_text,omitempty"`

	// Timeout bounds the whole conversation. 1s to 20s. Default: 10s.
	Timeout config.Duration `json:"timeout,omitzero"`

	mail *sender.SMTP
}

// The kinds of TLS.
const (
	tlsStart    = "starttls"
	tlsImplicit = "implicit"
)

const exampleMailPassword = "{env.SMTP_PASSWORD}"

// CaddyModule returns the module's id.
func (SMTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.senders.smtp", New: func() caddy.Module { return new(SMTP) }}
}

// UnmarshalCaddyfile reads the sender. Syntax:
//
//	smtp HOST:PORT {
//		from    ADDRESS
//		to      ADDRESS | {email}
//		subject TEXT
//		auth    NAME {env.NAME} | {file./path}
//		tls     starttls | implicit
//		ca_file PATH
//		timeout DURATION
//		allow_plain_text
//	}
//
// from and to are required. Under sms {number} is required in one of to and subject,
// under email to is {email}.
func (s *SMTP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive, lines := d.Token(), block.Lines{}
	if err := block.OneWord(d, &s.Server, "mail.example.com:587", "a host with a port"); err != nil {
		return err
	}
	err := block.Block{
		Lines: lines,
		Name:  "smtp",
		Order: []string{"from", "to", "subject", "auth", "tls", "ca_file", "timeout", "allow_plain_text"},
		Settings: map[string]block.Setting{
			"from":    block.Text(&s.From, "step-up@example.com"),
			"to":      block.Text(&s.To, "{number}@sms.example.com"),
			"subject": block.Text(&s.Subject, `"Your code"`),
			"auth": func(d *caddyfile.Dispenser) error {
				if !d.Args(&s.Username, &s.Password) {
					return d.Err("auth takes a name and where its password is, such as `auth step-up " + exampleMailPassword + "`")
				}
				return block.Checked(d, secret.Check("the password of auth", s.Password, exampleMailPassword))
			},
			"tls":              block.Text(&s.TLS, tlsImplicit),
			"ca_file":          block.Text(&s.CAFile, "/etc/ssl/mail-ca.pem"),
			"timeout":          func(d *caddyfile.Dispenser) error { return block.Duration(d, &s.Timeout, "10s") },
			"allow_plain_text": func(*caddyfile.Dispenser) error { s.AllowPlainText = true; return nil },
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return lines.At(directive, s.check())
}

// check returns what is wrong with the settings as they are written.
func (s *SMTP) check() error {
	if s.Password != "" {
		if err := secret.Check("the password of smtp", s.Password, exampleMailPassword); err != nil {
			return err
		}
	}
	if s.AllowPlainText && (s.TLS != "" || s.CAFile != "") {
		return errors.New("smtp: allow_plain_text excludes tls and ca_file: keep what you mean")
	}
	if err := config.Within("timeout", s.Timeout, config.Duration(time.Second), config.Duration(20*time.Second)); err != nil {
		return err
	}
	o, err := s.options()
	if err != nil {
		return err
	}
	o.Password = s.Password // its length and content do not count yet
	_, err = sender.NewSMTP(o)
	return err
}

// options are the settings as the sender wants them, without the password and the
// certificates.
func (s *SMTP) options() (sender.SMTPOptions, error) {
	o := sender.SMTPOptions{
		Server: s.Server, From: s.From, To: s.To, Subject: s.Subject, Username: s.Username,
		Timeout: time.Duration(s.Timeout),
	}
	switch s.TLS {
	case "":
	case tlsStart:
		o.Encryption = sender.StartTLS
	case tlsImplicit:
		o.Encryption = sender.ImplicitTLS
	default:
		return o, fmt.Errorf("tls %q is not known: %s", s.TLS, nearest.OneOf(s.TLS, []string{tlsStart, tlsImplicit}))
	}
	if s.AllowPlainText {
		o.Encryption = sender.PlainText
	}
	return o, nil
}

// Provision reads the password and the certificates. The server is not asked yet.
func (s *SMTP) Provision(caddy.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	o, err := s.options()
	if err != nil {
		return err
	}
	if s.Password != "" {
		if o.Password, err = secret.Read("the password of smtp", s.Password); err != nil {
			return err
		}
	}
	if s.CAFile != "" {
		if o.RootCAs, err = trust.Read(s.CAFile); err != nil {
			return fmt.Errorf("reading ca_file %s: %w", s.CAFile, err)
		}
	}
	s.mail, err = sender.NewSMTP(o)
	return err
}

// ToAddresses reports whether to is {email}.
func (s *SMTP) ToAddresses() bool { return s.To == sender.EmailPlace }

// Send mails a text.
func (s *SMTP) Send(ctx context.Context, to, text string) error {
	return s.mail.Send(ctx, to, text)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SMTP)(nil)
	_ caddyfile.Unmarshaler = (*SMTP)(nil)
)
