//go:build components

package components

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/stepup-gateway/caddy-stepup/examples/sms"
)

// fault is what is wrong with a carrier.
type fault string

const (
	noFault fault = "nothing is wrong"
	refuses fault = "refuses connections"
	fails   fault = "answers that it failed"
	hangs   fault = "does not answer"
)

// carrier is what a sender hands texts to, with the phones that they reach.
type carrier struct {
	addr  string
	serve func(net.Listener) (stop func())

	mu     sync.Mutex
	fault  fault
	healed chan struct{} // closed when the fault ends
	stop   func()
	texts  map[string][]string // by number
}

func newCarrier() *carrier {
	return &carrier{fault: noFault, healed: make(chan struct{}), texts: make(map[string][]string)}
}

// open begins to serve, at the same address each time.
func (c *carrier) open(t *testing.T) {
	t.Helper()
	if c.addr == "" {
		c.addr = "127.0.0.1:0"
		t.Cleanup(func() {
			c.suffer(t, noFault)
			c.stop()
		})
	}
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.addr = l.Addr().String()
	c.stop = c.serve(l)
}

// suffer ends one fault and begins another.
func (c *carrier) suffer(t *testing.T, f fault) {
	t.Helper()
	c.mu.Lock()
	before := c.fault
	c.fault = f
	close(c.healed)
	c.healed = make(chan struct{})
	c.mu.Unlock()
	if before == refuses {
		c.open(t)
	}
	if f == refuses {
		c.stop()
	}
}

var errCarrier = errors.New("the network is down")

// takes is asked before a text is taken.
func (c *carrier) takes() error {
	c.mu.Lock()
	f, healed := c.fault, c.healed
	c.mu.Unlock()
	switch f {
	case fails:
		return errCarrier
	case hangs:
		<-healed
		return errCarrier
	}
	return nil
}

func (c *carrier) deliver(to, text string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts[to] = append(c.texts[to], text)
	return nil
}

// got is how many texts a phone was sent.
func (c *carrier) got(number string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.texts[number])
}

// code is the code in the last text that a phone was sent.
func (c *carrier) code(t *testing.T, number string) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.texts[number]
	if len(all) == 0 {
		t.Fatal("the phone was sent nothing")
	}
	codes := sixDigits.FindAllString(all[len(all)-1], -1)
	if len(codes) == 0 {
		t.Fatalf("there is no code in %q", all[len(all)-1])
	}
	return codes[0]
}

const carrierSecret = "f2a9c03c8d7b41e5a6c1d9e8b7f60514"

// newReceiver is the receiver of a webhook, and the words of a Caddyfile that make
// a gateway post to it. It checks each text's signature.
func newReceiver(t *testing.T) (*carrier, string) {
	t.Helper()
	t.Setenv("TEST_SMS_SECRET", carrierSecret)
	c := newCarrier()
	receiver := &sms.Receiver{Secret: []byte(carrierSecret), Deliver: c.deliver, Now: time.Now}
	c.serve = func(l net.Listener) func() {
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				err = c.takes()
			}
			if err != nil {
				http.Error(w, err.Error()+string(body), http.StatusInternalServerError)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			receiver.ServeHTTP(w, r)
		})}
		go s.Serve(l)
		return func() { s.Close() }
	}
	c.open(t)
	return c, "webhook http://" + c.addr + "/sms {\nsecret {env.TEST_SMS_SECRET}\ntimeout 2s\ndeadline 3s\n}"
}

// newPostOffice is a mail server that takes what is encrypted by STARTTLS and
// signed in, and the words of a Caddyfile that make a gateway mail to it.
func newPostOffice(t *testing.T) (*carrier, string) {
	t.Helper()
	t.Setenv("TEST_SMS_SECRET", carrierSecret)
	certificate, authority := newAuthority(t)
	c := newCarrier()
	c.serve = func(l net.Listener) func() {
		s := smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) { return &mailing{carrier: c, conn: conn}, nil }))
		s.Domain, s.TLSConfig = "localhost", &tls.Config{Certificates: []tls.Certificate{certificate}}
		s.ErrorLog = log.New(io.Discard, "", 0)
		go s.Serve(l)
		return func() { s.Close() }
	}
	c.open(t)
	return c, "smtp " + c.addr + " {\nfrom step-up@example.com\nto {number}@sms.example.com\nauth gateway {env.TEST_SMS_SECRET}\nca_file " + authority + "\ntimeout 2s\n}"
}

// newAuthority is a certificate for 127.0.0.1, and the file of the authority that
// signed it: itself.
func newAuthority(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

// mailing is one conversation at the post office.
type mailing struct {
	carrier  *carrier
	conn     *smtp.Conn
	signedIn bool
	to       string
}

func (m *mailing) AuthMechanisms() []string { return []string{sasl.Plain} }

func (m *mailing) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if m.signedIn = user == "gateway" && password == carrierSecret; !m.signedIn {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (m *mailing) Mail(string, *smtp.MailOptions) error {
	if _, encrypted := m.conn.TLSConnectionState(); !encrypted || !m.signedIn {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (m *mailing) Rcpt(to string, _ *smtp.RcptOptions) error {
	m.to = to
	if err := m.carrier.takes(); err != nil {
		// As servers do, it quotes the recipient.
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: err.Error() + ": " + to}
	}
	return nil
}

func (m *mailing) Data(r io.Reader) error {
	letter, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body := letter.Body
	if letter.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	digits, _, _ := strings.Cut(m.to, "@")
	return m.carrier.deliver("+"+digits, string(text))
}

func (m *mailing) Reset()        {}
func (m *mailing) Logout() error { return nil }

// backend is a server that calls the API with a key.
type backend struct {
	t        *testing.T
	url, key string
}

// call returns the status, the header and the JSON of the answer, which may have
// none.
func (b *backend) call(method, path string, in any, header ...string) (int, http.Header, map[string]any) {
	b.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequest(method, b.url+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.key)
	req.Header.Set("Content-Type", "application/json")
	for n := 0; n < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var out map[string]any
	_ = json.Unmarshal(content, &out) // an image is none
	return resp.StatusCode, resp.Header, out
}

// must is call for what must be answered with 200 or 201, and gives a field.
func (b *backend) must(method, path string, in any, field string, header ...string) string {
	b.t.Helper()
	status, _, out := b.call(method, path, in, header...)
	value, _ := out[field].(string)
	if status != 200 && status != 201 || field != "" && value == "" {
		b.t.Fatalf("%s %s: %d %v", method, path, status, out)
	}
	return value
}
