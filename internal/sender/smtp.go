package sender

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Encryption is how the way to a mail server is kept from being read.
type Encryption uint8

// The kinds of encryption. None falls back to another.
const (
	// EncryptionAuto is ImplicitTLS on port 465, PlainText on loopback where no
	// RootCAs are given, and StartTLS elsewhere.
	EncryptionAuto Encryption = iota
	// StartTLS begins in the clear and ends where the server does not offer
	// STARTTLS (RFC 3207).
	StartTLS
	// ImplicitTLS is encrypted from the first byte (RFC 8314).
	ImplicitTLS
	// PlainText is not encrypted. No password is ever sent over it, but on
	// loopback.
	PlainText
)

// NumberPlace stands in an address or a subject for the digits of the number,
// without the plus.
const NumberPlace = "{number}"

// EmailPlace stands in SMTPOptions.To, alone, for the mail address to which a text
// is sent.
const EmailPlace = "{email}"

// defaultSubject is that of a mail to a person if the caller names none: a mail
// without one looks like spam.
const defaultSubject = "Your code"

type subjectKey struct{}

// WithSubject returns a context that carries the subject of a mail to a person, in
// the person's language. A sender of mails uses it unless SMTPOptions.Subject is set;
// a sender of texts to numbers ignores it.
func WithSubject(ctx context.Context, subject string) context.Context {
	return context.WithValue(ctx, subjectKey{}, subject)
}

// subjectOf returns the subject that ctx carries, or else the default.
func subjectOf(ctx context.Context) string {
	if subject, ok := ctx.Value(subjectKey{}).(string); ok && subject != "" {
		return subject
	}
	return defaultSubject
}

// submissions is the port that is encrypted from the first byte.
const submissions = 465

// DefaultMailTimeout bounds a conversation with a mail server.
const DefaultMailTimeout = 10 * time.Second

// SMTPOptions say which mail server takes texts, and how.
type SMTPOptions struct {
	// Server is a host and a port, such as mail.example.com:587.
	Server string
	// From is the sender's address, To the recipient's. NumberPlace in To or
	// Subject stands for the number; one of them must have it. A To of EmailPlace
	// sends to mail addresses, and to no number.
	From, To, Subject string
	// Username and Password sign in with AUTH PLAIN (RFC 4616). Both empty:
	// there is no signing in.
	Username, Password string
	Encryption         Encryption
	// RootCAs verify the server's certificate. Nil: those of the system.
	RootCAs *x509.CertPool
	// Timeout bounds the whole conversation. Zero: DefaultMailTimeout.
	Timeout time.Duration
}

// SMTP mails each text, to a gateway between mail and telephones or to wherever
// mail is read. A mail is offered once: a server that refuses for the moment wants
// to be asked again in minutes, when a code is no longer waited for.
type SMTP struct {
	o    SMTPOptions
	host string
	port int
}

// NewSMTP checks the options and makes a sender. The server is not asked yet.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	host, portText, err := net.SplitHostPort(o.Server)
	port, notNumber := strconv.ParseUint(portText, 10, 16)
	if err != nil || notNumber != nil || host == "" || port == 0 || strings.ContainsAny(host, " /@{}") {
		return nil, errors.New("smtp takes a host and a port, such as mail.example.com:587")
	}
	if !isAddress(o.From) {
		return nil, errors.New("smtp must be told whom mails are from: write `from step-up@example.com`, a bare address of plain characters")
	}
	if err := o.checkPlaces(); err != nil {
		return nil, err
	}
	if len(o.Subject) > 100 || strings.ContainsFunc(o.Subject, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errors.New("subject has at most 100 plain characters; codes are in the text, never in the subject")
	}
	if o.Encryption == EncryptionAuto {
		switch {
		case port == submissions:
			o.Encryption = ImplicitTLS
		case isLoopback(host) && o.RootCAs == nil:
			o.Encryption = PlainText
		default:
			o.Encryption = StartTLS
		}
	}
	switch {
	case (o.Username == "") != (o.Password == ""):
		return nil, errors.New("signing in to the mail server takes a user and a password: write `auth NAME {env.SMTP_PASSWORD}`")
	case o.Username != "" && o.Encryption == PlainText && !isLoopback(host):
		return nil, errors.New("smtp: the password would go over the network in the clear: take out allow_plain_text, or auth")
	case strings.ContainsRune(o.Username+o.Password, 0):
		return nil, errors.New("smtp: neither user nor password may have a zero byte in it")
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultMailTimeout
	}
	return &SMTP{o: o, host: host, port: int(port)}, nil
}

// checkPlaces refuses settings by which a mail would not go to the one for whom it
// is.
func (o *SMTPOptions) checkPlaces() error {
	if o.To == EmailPlace {
		if strings.Contains(o.Subject, NumberPlace) {
			return errors.New("subject has {number} in it, but `to {email}` sends to mail addresses: take {number} out")
		}
		return nil
	}
	if !isAddress(strings.ReplaceAll(o.To, NumberPlace, "4915112345678")) {
		return errors.New("smtp must be told where mails go: write `to {number}@sms.example.com`, a bare address in which {number} stands for the digits")
	}
	if !strings.Contains(o.To, NumberPlace) && !strings.Contains(o.Subject, NumberPlace) {
		return errors.New("neither to nor subject has {number} in it, so that all texts would go to one place and nobody could tell for whom they are: write `to {number}@sms.example.com`")
	}
	return nil
}

// isAddress tells of a bare address in ASCII without quoting: whatever a number is
// put into stays one address, and needs no extension of a server.
func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"\(){}<>,:;`, r)
	})
}

// ToAddresses reports whether texts are sent to mail addresses in place of numbers.
func (s *SMTP) ToAddresses() bool { return s.o.To == EmailPlace }

// Send mails a text.
func (s *SMTP) Send(ctx context.Context, to, text string) error {
	recipient, subject, err := s.addressed(ctx, to)
	if err == nil {
		err = checkText(text)
	}
	if err != nil {
		return err
	}
	message, err := s.message(recipient, subject, text)
	if err != nil {
		return errors.New("writing mail: an address is not accepted") // err quotes it
	}
	within, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	err = s.deliver(within, message)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("sending by mail: %w", ctx.Err())
	case within.Err() != nil:
		return errors.New("sending by mail: the server did not take it in time")
	}
	return fmt.Errorf("sending by mail: %w", err)
}

// addressed returns the recipient's address and the subject of a mail for a number,
// or for an address.
func (s *SMTP) addressed(ctx context.Context, to string) (recipient, subject string, err error) {
	if s.ToAddresses() {
		if len(to) > maxAddress || !isAddress(to) {
			return "", "", ErrAddress
		}
		return to, cmp.Or(s.o.Subject, subjectOf(ctx)), nil
	}
	if err := checkNumber(to); err != nil {
		return "", "", err
	}
	digits := strings.TrimPrefix(to, "+")
	return strings.ReplaceAll(s.o.To, NumberPlace, digits), strings.ReplaceAll(s.o.Subject, NumberPlace, digits), nil
}

// maxAddress is the longest mail address, in octets (RFC 5321 section 4.5.3.1.3).
const maxAddress = 254

// message writes the mail.
func (s *SMTP) message(recipient, subject, text string) (*gomail.Msg, error) {
	// Quoted-printable leaves a short text of plain letters as it is, for
	// gateways that do not decode. The library's 7bit says one thing in the
	// header and does another.
	m := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP), gomail.WithNoDefaultUserAgent())
	if err := m.From(s.o.From); err != nil {
		return nil, err
	}
	if err := m.To(recipient); err != nil {
		return nil, err
	}
	if subject != "" {
		m.Subject(subject)
	}
	m.SetDate()
	_, domain, _ := strings.Cut(s.o.From, "@")
	m.SetMessageIDWithValue(rand.Text() + "@" + domain) // not the name of this machine
	// No out-of-office answers (RFC 3834 section 5).
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, text)
	return m, nil
}

// deliver has the conversation with the server.
func (s *SMTP) deliver(ctx context.Context, message *gomail.Msg) error {
	closing := func() {}
	defer func() { closing() }()
	client, err := s.client(func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		// The library's own time limits begin anew with some commands, and it
		// leaves connections open that broke half way.
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		closing = func() { stop(); conn.Close() }
		if s.o.Encryption != ImplicitTLS {
			return conn, nil
		}
		encrypted := tls.Client(conn, s.tls())
		return encrypted, encrypted.HandshakeContext(dialing)
	})
	if err != nil {
		return errors.New("the settings are not accepted")
	}
	if err := client.DialWithContext(ctx); err != nil {
		return quiet(err)
	}
	err = client.Send(message)
	if message.IsDelivered() {
		// What the server says after it took the mail does not undo that.
		_ = client.Close()
		return nil
	}
	var failed *gomail.SendError
	if !errors.As(err, &failed) {
		return quiet(err)
	}
	if failed.ErrorCode() == 0 {
		return fmt.Errorf("%s: the server broke off", failed.Reason)
	}
	return fmt.Errorf("%s: the server answered with %d", failed.Reason, failed.ErrorCode())
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

func (s *SMTP) client(dial dialer) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(s.o.Timeout), gomail.WithDialContextFunc(dial),
		gomail.WithTLSConfig(s.tls()), gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithoutNoop(), gomail.WithoutSMTPUTF8(),
	}
	if s.o.Encryption == StartTLS {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.o.Username != "" {
		kind := gomail.SMTPAuthPlain
		if s.o.Encryption == PlainText { // loopback, as NewSMTP has seen to
			kind = gomail.SMTPAuthPlainNoEnc
		}
		options = append(options, gomail.WithSMTPAuth(kind), gomail.WithUsername(s.o.Username), gomail.WithPassword(s.o.Password))
	}
	return gomail.NewClient(s.host, options...)
}

func (s *SMTP) tls() *tls.Config {
	return &tls.Config{ServerName: s.host, RootCAs: s.o.RootCAs, MinVersion: tls.VersionTLS12}
}

// quiet is an error from before the mail without what the server said, and without
// what the library says of settings.
func quiet(err error) error {
	var answer *textproto.Error
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &answer):
		return fmt.Errorf("greeting, encrypting or signing in: the server answered with %d", answer.Code)
	case errors.As(err, &certificate):
		return fmt.Errorf("connecting: %w", certificate)
	case errors.As(err, &network):
		return fmt.Errorf("connecting: %w", network)
	case errors.Is(err, gomail.ErrPlainAuthNotSupported):
		return errors.New("signing in: the server does not take AUTH PLAIN")
	}
	return errors.New("greeting, encrypting or signing in: the server broke off, or does not offer the STARTTLS or AUTH that it must")
}
