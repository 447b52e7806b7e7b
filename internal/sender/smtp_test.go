package sender

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// authority is a certificate authority of a test's own, and a certificate of it
// for localhost and 127.0.0.1.
func authority(t *testing.T) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// postOffice is a mail server; it keeps what it takes, and refuses as it is told.
type postOffice struct {
	addr string
	// refuse is asked at each step: "auth", "mail", "rcpt", "data".
	refuse func(step string) error

	mu   sync.Mutex
	took []letter
}

// letter is a mail that was taken.
type letter struct {
	user, from, to string
	encrypted      bool
	header         mail.Header
	body           string
}

type kind struct {
	tls      *tls.Config
	implicit bool
	refuse   func(step string) error
}

func newPostOffice(t *testing.T, k kind) *postOffice {
	t.Helper()
	p := &postOffice{refuse: k.refuse}
	if p.refuse == nil {
		p.refuse = func(string) error { return nil }
	}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &counter{office: p, conn: c}, nil }))
	s.Domain, s.TLSConfig, s.AllowInsecureAuth = "localhost", k.tls, true
	s.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	if k.implicit {
		l = tls.NewListener(l, k.tls)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return p
}

func (p *postOffice) letters() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]letter(nil), p.took...)
}

// counter is one conversation at the post office.
type counter struct {
	office *postOffice
	conn   *smtp.Conn
	letter letter
}

func (c *counter) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *counter) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if err := c.office.refuse("auth"); err != nil {
			return err
		}
		if password != secret {
			return smtp.ErrAuthFailed
		}
		c.letter.user = user
		return nil
	}), nil
}

func (c *counter) Mail(from string, _ *smtp.MailOptions) error {
	c.letter.from = from
	return c.office.refuse("mail")
}

func (c *counter) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.letter.to = to
	return c.office.refuse("rcpt")
}

func (c *counter) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body := m.Body
	if m.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if err := c.office.refuse("data"); err != nil {
		return err
	}
	_, c.letter.encrypted = c.conn.TLSConnectionState()
	c.letter.header, c.letter.body = m.Header, strings.ReplaceAll(string(content), "\r\n", "\n")
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	c.office.took = append(c.office.took, c.letter)
	return nil
}

func (c *counter) Reset()        {}
func (c *counter) Logout() error { return nil }

func mailer(t *testing.T, addr string, change func(*SMTPOptions)) *SMTP {
	t.Helper()
	o := SMTPOptions{Server: addr, From: "step-up@example.com", To: "{number}@sms.example.com", Timeout: 2 * time.Second}
	if change != nil {
		change(&o)
	}
	s, err := NewSMTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signedIn(o *SMTPOptions) { o.Username, o.Password = "gateway", secret }

func TestSMTP(t *testing.T) {
	roots, certificate := authority(t)
	server := &tls.Config{Certificates: []tls.Certificate{certificate}}
	for _, tt := range []struct {
		name string
		kind kind
		set  func(*SMTPOptions)
		text string
		want letter
		err  string // "": it is taken
	}{
		{"on this machine", kind{}, nil, text, letter{}, ""},
		{"on this machine, where STARTTLS is offered with a certificate of nobody", kind{tls: server}, nil, text, letter{}, ""},
		{"on this machine, signed in", kind{}, signedIn, text, letter{user: "gateway"}, ""},
		{"STARTTLS", kind{tls: server}, func(o *SMTPOptions) { o.RootCAs = roots }, text, letter{encrypted: true}, ""},
		{"STARTTLS, signed in", kind{tls: server}, func(o *SMTPOptions) { o.RootCAs = roots; signedIn(o) }, text, letter{user: "gateway", encrypted: true}, ""},
		{"encrypted from the start", kind{tls: server, implicit: true}, func(o *SMTPOptions) { o.RootCAs, o.Encryption = roots, ImplicitTLS; signedIn(o) }, text, letter{user: "gateway", encrypted: true}, ""},
		{"other letters, dots and lines", kind{}, nil, "Ihr Schlüssel: 481632\n.\n.dots=1", letter{}, ""},
		{"plain dots and lines", kind{}, nil, "481632\n.\n.dots=1", letter{}, ""},
		{"one long line", kind{}, nil, strings.Repeat("a", MaxText), letter{}, ""},

		{"no STARTTLS offered", kind{}, func(o *SMTPOptions) { o.RootCAs = roots; signedIn(o) }, text, letter{}, "STARTTLS"},
		{"a certificate of nobody", kind{tls: server}, func(o *SMTPOptions) { o.Encryption = StartTLS }, text, letter{}, "certificate"},
		{"a certificate of nobody, from the start", kind{tls: server, implicit: true}, func(o *SMTPOptions) { o.Encryption = ImplicitTLS }, text, letter{}, "certificate"},
		{"a wrong password", kind{}, func(o *SMTPOptions) { o.Username, o.Password = "gateway", "other" }, text, letter{}, "535"},
		{"sender refused", kind{refuse: refuseAt("mail")}, nil, text, letter{}, "550"},
		{"recipient refused", kind{refuse: refuseAt("rcpt")}, nil, text, letter{}, "550"},
		{"mail refused", kind{refuse: refuseAt("data")}, nil, text, letter{}, "550"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPostOffice(t, tt.kind)
			err := mailer(t, p.addr, tt.set).Send(t.Context(), number, tt.text)
			got := p.letters()
			if tt.err != "" {
				if noLeak(t, err, "4915112345678@sms.example.com"); err == nil || !strings.Contains(err.Error(), tt.err) || len(got) != 0 {
					t.Errorf("%v, want %q in it; taken: %d", err, tt.err, len(got))
				}
				return
			}
			if err != nil || len(got) != 1 {
				t.Fatalf("%v; taken: %d", err, len(got))
			}
			l := got[0]
			if l.from != "step-up@example.com" || l.to != "4915112345678@sms.example.com" || l.user != tt.want.user || l.encrypted != tt.want.encrypted {
				t.Errorf("%+v", l)
			}
			if strings.TrimSuffix(l.body, "\n") != tt.text {
				t.Errorf("%q, want %q", l.body, tt.text)
			}
			kind, _, err := mime.ParseMediaType(l.header.Get("Content-Type"))
			if err != nil || kind != "text/plain" || l.header.Get("Auto-Submitted") != "auto-generated" || l.header.Get("Date") == "" ||
				!strings.HasSuffix(l.header.Get("Message-ID"), "@example.com>") || l.header.Get("Subject") != "" || l.header.Get("X-Mailer") != "" {
				t.Errorf("%v", l.header)
			}
		})
	}
}

// refuseAt is a server that refuses at one step, and says far too much.
func refuseAt(at string) func(string) error {
	return func(step string) error {
		if step != at {
			return nil
		}
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no: <4915112345678@sms.example.com> " + text + " " + secret}
	}
}

func TestSMTPSubject(t *testing.T) {
	p := newPostOffice(t, kind{})
	s := mailer(t, p.addr, func(o *SMTPOptions) { o.To, o.Subject = "sms@example.com", "SMS {number}" })
	if err := s.Send(t.Context(), number, text); err != nil {
		t.Fatal(err)
	}
	if l := p.letters()[0]; l.to != "sms@example.com" || l.header.Get("Subject") != "SMS 4915112345678" {
		t.Errorf("%+v", l)
	}
}

// TestSMTPToAddresses: the recipient is the address that was asked for and no other,
// and no number is taken for one.
func TestSMTPToAddresses(t *testing.T) {
	roots, certificate := authority(t)
	p := newPostOffice(t, kind{tls: &tls.Config{Certificates: []tls.Certificate{certificate}}})
	s := mailer(t, p.addr, func(o *SMTPOptions) { o.To, o.RootCAs = EmailPlace, roots })
	if err := s.Send(t.Context(), "alice+bank@example.com", text); err != nil || !s.ToAddresses() {
		t.Fatal(err)
	}
	if l := p.letters()[0]; l.to != "alice+bank@example.com" || l.from != "step-up@example.com" || !l.encrypted || l.header.Get("Subject") != "Your code" || strings.TrimSpace(l.body) != text {
		t.Errorf("%+v", l)
	}
	// The subject is in the reader's language, unless the operator chose one.
	in := WithSubject(t.Context(), "確認コード")
	if err := s.Send(in, "alice@example.com", text); err != nil {
		t.Fatal(err)
	}
	s.o.Subject = "Code from Acme"
	if err := s.Send(in, "alice@example.com", text); err != nil {
		t.Fatal(err)
	}
	s.o.Subject = ""
	for n, want := range map[int]string{1: "確認コード", 2: "Code from Acme"} {
		if got, err := new(mime.WordDecoder).DecodeHeader(p.letters()[n].header.Get("Subject")); err != nil || got != want {
			t.Errorf("the subject is %q, want %q: %v", got, want, err)
		}
	}
	for _, to := range []string{
		"", number, "alice", "alice@", "@example.com", "alice@example.com,bob@example.com", "alice@example.com bob@example.com", "Alice <alice@example.com>",
		"alice@example.com\r\nBcc: bob@example.com", "alice@example.com>\r\nRCPT TO:<bob@example.com", "alice@example.com\n", "alicé@example.com",
		`"a b"@example.com`, strings.Repeat("a", 250) + "@example.com", "{email}",
	} {
		if err := s.Send(t.Context(), to, text); !errors.Is(err, ErrAddress) || to != "" && to != "alice" && strings.Contains(err.Error(), to) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if err := s.Send(t.Context(), "alice@example.com", "a\r\nb"); !errors.Is(err, ErrText) {
		t.Error(err)
	}
	if n := len(p.letters()); n != 3 {
		t.Errorf("%d mails", n)
	}
	numbers := mailer(t, p.addr, nil)
	if err := numbers.Send(t.Context(), "alice@example.com", text); !errors.Is(err, ErrNumber) || numbers.ToAddresses() {
		t.Error(err)
	}
	refusing := newPostOffice(t, kind{refuse: refuseAt("rcpt")})
	err := mailer(t, refusing.addr, func(o *SMTPOptions) { o.To = EmailPlace }).Send(t.Context(), "alice@example.com", text)
	if err == nil || strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "481632") {
		t.Errorf("%v", err)
	}
	for _, to := range []string{"{email}@example.com", "{number}", "{email}{number}@example.com", "a@{email}"} {
		if _, err := NewSMTP(SMTPOptions{Server: "mail.example.com:587", From: "a@example.com", To: to, Subject: "{number}"}); err == nil {
			t.Errorf("%s is accepted", to)
		}
	}
	if _, err := NewSMTP(SMTPOptions{Server: "mail.example.com:587", From: "a@example.com", To: EmailPlace, Subject: "for {number}"}); err == nil {
		t.Error("a number in the subject is accepted")
	}
}

// TestSMTPConcurrent sends many at once, each to its own number.
func TestSMTPConcurrent(t *testing.T) {
	p := newPostOffice(t, kind{})
	s := mailer(t, p.addr, nil)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := s.Send(t.Context(), fmt.Sprintf("+49151000000%02d", i), fmt.Sprintf("code %d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, l := range p.letters() {
		var i int
		if _, err := fmt.Sscanf(l.to, "49151000000%02d@", &i); err != nil || strings.TrimSpace(l.body) != fmt.Sprintf("code %d", i) {
			t.Errorf("%+v", l)
		}
	}
	if n := len(p.letters()); n != 20 {
		t.Errorf("%d mails", n)
	}
}

// script is a mail server of a few lines: it answers each line with the next of
// its own, and hangs or hangs up at the end.
func script(t *testing.T, answers []string, hangsUp func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				lines := bufio.NewReader(c)
				data := false
				for i, a := range answers {
					for i > 0 {
						line, err := lines.ReadString('\n')
						if err != nil {
							return
						}
						if !data || line == ".\r\n" {
							break
						}
					}
					data = strings.HasPrefix(a, "354")
					io.WriteString(c, a+"\r\n")
				}
				hangsUp(c)
			}()
		}
	}()
	return l.Addr().String()
}

// TestSMTPBreaksOff has the server leave, or fall silent, after each line. What was
// taken before that stays taken, and the rest is not.
func TestSMTPBreaksOff(t *testing.T) {
	answers := []string{"220 hello", "250 you", "250 sender", "250 recipient", "354 go on", "250 taken", "250 reset"}
	for n := range len(answers) + 1 {
		for name, hangUp := range map[string]func(net.Conn){
			"leaves":      func(net.Conn) {},
			"is silent":   func(c net.Conn) { io.Copy(io.Discard, c) },
			"is nonsense": func(c net.Conn) { io.WriteString(c, "what "+number+" "+text+"?\r\n") },
		} {
			t.Run(fmt.Sprintf("%s after %d", name, n), func(t *testing.T) {
				t.Parallel()
				s := mailer(t, script(t, answers[:n], hangUp), func(o *SMTPOptions) { o.Timeout = 300 * time.Millisecond })
				began := time.Now()
				err := s.Send(t.Context(), number, text)
				if took := time.Since(began); took > time.Second {
					t.Errorf("took %s", took)
				}
				switch taken := n >= 6; {
				case taken && err != nil:
					t.Error(err)
				case !taken:
					noLeak(t, err, "4915112345678@sms.example.com")
				}
			})
		}
	}
}

// TestSMTPEnds stops with the caller, who can tell by the error.
func TestSMTPEnds(t *testing.T) {
	addr := script(t, []string{"220 hello"}, func(c net.Conn) { io.Copy(io.Discard, c) })
	s := mailer(t, addr, func(o *SMTPOptions) { o.Timeout = 10 * time.Second })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	err := s.Send(ctx, number, text)
	if noLeak(t, err); !errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	noLeak(t, mailer(t, l.Addr().String(), nil).Send(t.Context(), number, text))
}

func TestSMTPOptions(t *testing.T) {
	good := SMTPOptions{Server: "mail.example.com:587", From: "step-up@example.com", To: "{number}@sms.example.com"}
	for _, tt := range []struct {
		name string
		set  func(*SMTPOptions)
		want Encryption // 0: refused
	}{
		{"as it should be", func(*SMTPOptions) {}, StartTLS},
		{"port 465", func(o *SMTPOptions) { o.Server = "mail.example.com:465" }, ImplicitTLS},
		{"loopback", func(o *SMTPOptions) { o.Server = "localhost:25" }, PlainText},
		{"loopback with an authority", func(o *SMTPOptions) { o.Server, o.RootCAs = "[::1]:25", x509.NewCertPool() }, StartTLS},
		{"plain text", func(o *SMTPOptions) { o.Encryption = PlainText }, PlainText},
		{"with a plus", func(o *SMTPOptions) { o.To = "+{number}@sms.example.com" }, StartTLS},
		{"a password in plain text", func(o *SMTPOptions) { o.Encryption = PlainText; signedIn(o) }, 0},
		{"a user without a password", func(o *SMTPOptions) { o.Username = "gateway" }, 0},
		{"a password without a user", func(o *SMTPOptions) { o.Password = secret }, 0},
		{"a zero byte", func(o *SMTPOptions) { o.Username, o.Password = "gateway", secret+"\x00" }, 0},
		{"no port", func(o *SMTPOptions) { o.Server = "mail.example.com" }, 0},
		{"port 0", func(o *SMTPOptions) { o.Server = "mail.example.com:0" }, 0},
		{"a port too far", func(o *SMTPOptions) { o.Server = "mail.example.com:65536" }, 0},
		{"no host", func(o *SMTPOptions) { o.Server = ":25" }, 0},
		{"no server", func(o *SMTPOptions) { o.Server = "" }, 0},
		{"a URL", func(o *SMTPOptions) { o.Server = "smtp://mail.example.com:25" }, 0},
		{"no sender", func(o *SMTPOptions) { o.From = "" }, 0},
		{"a sender with a name", func(o *SMTPOptions) { o.From = "Gateway <step-up@example.com>" }, 0},
		{"no recipient", func(o *SMTPOptions) { o.To = "" }, 0},
		{"two recipients", func(o *SMTPOptions) { o.To = "{number}@a.example,{number}@b.example" }, 0},
		{"a quoted recipient", func(o *SMTPOptions) { o.To = `"{number}"@sms.example.com` }, 0},
		{"a line in the recipient", func(o *SMTPOptions) { o.To = "{number}@sms.example.com\r\nBcc: a@b.example" }, 0},
		{"all to one", func(o *SMTPOptions) { o.To = "sms@example.com" }, 0},
		{"a line in the subject", func(o *SMTPOptions) { o.Subject = "a\r\nBcc: a@b.example" }, 0},
	} {
		o := good
		tt.set(&o)
		s, err := NewSMTP(o)
		switch {
		case err != nil && tt.want != 0:
			t.Errorf("%s: %v", tt.name, err)
		case err == nil && (tt.want == 0 || s.o.Encryption != tt.want):
			t.Errorf("%s: accepted, with encryption %d", tt.name, s.o.Encryption)
		case err != nil:
			noLeak(t, err)
		}
	}
}
