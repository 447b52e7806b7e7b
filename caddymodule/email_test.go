package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/golang-jwt/jwt/v5"
)

// postOffice is a mail server that keeps what it takes.
type postOffice struct {
	addr string

	mu    sync.Mutex
	mails map[string][]string // by recipient
}

func newPostOffice(t *testing.T) *postOffice {
	p := &postOffice{mails: make(map[string][]string)}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &counter{office: p}, nil }))
	s.Domain, s.ErrorLog = "localhost", log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return p
}

// got are the mails of a recipient; of all with the empty one.
func (p *postOffice) got(to string) (texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for who, mails := range p.mails {
		if to == "" || to == who {
			texts = append(texts, mails...)
		}
	}
	return texts
}

// counter is one conversation at the post office.
type counter struct {
	office *postOffice
	to     []string
}

func (c *counter) Mail(string, *smtp.MailOptions) error      { return nil }
func (c *counter) Rcpt(to string, _ *smtp.RcptOptions) error { c.to = append(c.to, to); return nil }
func (c *counter) Reset()                                    { c.to = nil }
func (c *counter) Logout() error                             { return nil }
func (c *counter) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return err
	}
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	for _, to := range c.to {
		if m.Header.Get("To") != "<"+to+">" || m.Header.Get("Bcc")+m.Header.Get("Cc") != "" {
			to = "not " + to
		}
		c.office.mails[to] = append(c.office.mails[to], string(body))
	}
	return nil
}

var mailedCode = regexp.MustCompile(`\b[0-9]{6}\b`)

// code is the one in the last mail to the recipient.
func (p *postOffice) code(t *testing.T, to string) string {
	t.Helper()
	texts := p.got(to)
	if len(texts) == 0 {
		t.Fatalf("no mail to %s", to)
	}
	return mailedCode.FindString(texts[len(texts)-1])
}

// mailing is a site that sends codes by mail, over the identity source.
func (b *bed) mailing(p *postOffice, servers, before, identity, rules string) string {
	return `{
	admin localhost:{{admin}}
	servers {
		` + servers + `
	}
	step_up {
		store badger {
			dir {{dir}}/data
		}
		` + keyFile + `
		enrollment first_use
		allow_plain_http
		email {
			sender smtp ` + p.addr + ` {
				from step-up@bank.example
				to   {email}
			}
			limits {
				per_subject 20
				per_destination 40
			}
		}
	}
}

http://localhost:{{port}} {
	` + before + `
	step_up {
		tenant staff
		identity ` + identity + `
		` + rules + `
	}
	reverse_proxy ` + strings.TrimPrefix(b.app.URL, "http://") + `
}
`
}

// whoamiMail answers with the user and the address that the cookie names.
func whoamiMail(t *testing.T) string {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := r.Cookie("user")
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer := map[string]string{"user": user.Value}
		if address, err := r.Cookie("address"); err == nil {
			answer["email"], _ = url.QueryUnescape(address.Value)
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(app.Close)
	return app.URL
}

// TestEmailFromEachSource goes the whole way with the address of each source: it is
// confirmed once, passes what accepts it, and is not used while the source gives
// another or none.
func TestEmailFromEachSource(t *testing.T) {
	const secret, alice, mallory = "0123456789abcdef0123456789abcdef", "alice@bank.example", "mallory@evil.example"
	t.Setenv("TEST_JWT_KEY", secret)
	proxies := "trusted_proxies static 127.0.0.1/32 ::1/128"
	claims := func(t *testing.T, changes jwt.MapClaims) []string {
		return []string{"Authorization", "Bearer " + token(t, jwt.SigningMethodHS256, []byte(secret), changes)}
	}
	for _, source := range []struct {
		name, servers, before, identity string
		named                           func(t *testing.T, address string) []string
		none                            []string // further ways in which there is no address
	}{
		{"placeholder", "", "vars {\n\tuser {header.X-Test-User}\n\temail {header.X-Test-Email}\n}", "placeholder {http.vars.user} {\n\temail {http.vars.email}\n}",
			func(_ *testing.T, a string) []string { return []string{"X-Test-User", "alice", "X-Test-Email", a} },
			[]string{alice + ", " + mallory, "Alice <" + alice + ">", strings.Repeat("a", 250) + "@x.example"}},
		{"header", proxies, "", "header Remote-User {\n\temail Remote-Email\n}",
			func(_ *testing.T, a string) []string {
				fields := []string{"Remote-User", "alice"}
				for _, one := range strings.Split(a, "|") {
					fields = append(fields, "Remote-Email", one)
				}
				return fields
			},
			[]string{alice + "|" + mallory, alice + "|" + alice, alice + "," + mallory}},
		{"jwt", "", "", "jwt {\n\tbearer\n\tkey {env.TEST_JWT_KEY}\n\tissuer https://id.example.com/\n\taudience intranet\n}",
			func(t *testing.T, a string) []string { return claims(t, jwt.MapClaims{"email": a}) },
			[]string{alice + "\r\nBcc: " + mallory, alice + "\n" + mallory, alice + ">\r\nRCPT TO:<" + mallory}},
		{"whoami", "", "", "whoami %s {\n\tjson /user\n\temail /email\n\tcache 100ms\n}",
			func(_ *testing.T, a string) []string {
				return []string{"Cookie", "user=alice; address=" + url.QueryEscape(a)}
			},
			[]string{alice + "\r\nBcc: " + mallory, "alice", alice + " " + mallory}},
	} {
		t.Run(source.name, func(t *testing.T) {
			b, p := newBed(t), newPostOffice(t)
			identity := source.identity
			if strings.Contains(identity, "%s") {
				identity = fmt.Sprintf(identity, whoamiMail(t))
			}
			b.Load(b.mailing(p, source.servers, source.before, identity, protectAdmin))
			who := &person{b: b}
			as := func(address string) { b.bear(source.named(t, address)...) }

			for _, address := range append(source.none, "") {
				as(address)
				if resp, got := who.do("POST", "/.step-up/api/emails", map[string]string{}); resp.StatusCode != 403 || !strings.Contains(fmt.Sprint(got["detail"]), "gives no e-mail address") {
					t.Errorf("%q: %d %v", address, resp.StatusCode, got)
				}
			}
			if mails := p.got(""); len(mails) != 0 {
				t.Fatalf("%d mails where there is no address", len(mails))
			}

			as(alice)
			for _, own := range []string{"email", "address", "phone_number"} {
				if resp, got := who.do("POST", "/.step-up/api/emails", map[string]string{own: mallory}); resp.StatusCode != 422 {
					t.Errorf("an address of one's own choice: %d %v", resp.StatusCode, got)
				}
			}
			resp, begun := who.do("POST", "/.step-up/api/emails", map[string]string{})
			if resp.StatusCode != 201 || begun["email"] != "a…@bank.example" {
				t.Fatalf("enrolling: %d %v", resp.StatusCode, begun)
			}
			id := begun["id"].(string)
			if resp, got := who.do("POST", "/.step-up/api/emails/"+id+"/send", map[string]string{}); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("again at once: %d %v", resp.StatusCode, got)
			}
			resp, done := who.do("POST", "/.step-up/api/emails/"+id+"/confirm", map[string]string{"code": p.code(t, alice)})
			if resp.StatusCode != 200 {
				t.Fatalf("confirming: %d %v", resp.StatusCode, done)
			}
			if resp, got := who.do("POST", "/.step-up/api/emails/"+id+"/confirm", map[string]string{"code": p.code(t, alice)}); resp.StatusCode == 200 {
				t.Errorf("confirmed twice: %v", got)
			}

			// Another address, or none: nothing is sent, and the reason is told.
			for _, address := range append(source.none, "", mallory) {
				as(address)
				_, challenge := who.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": "ADMIN"})
				path := "/.step-up/api/challenges/" + fmt.Sprint(challenge["challenge_id"])
				if fmt.Sprint(challenge["methods"]) != "[recovery_code]" {
					t.Errorf("%q: %v", address, challenge)
				}
				resp, got := who.do("POST", path+"/send", map[string]string{})
				if resp.StatusCode != 403 || !strings.Contains(fmt.Sprint(got["detail"]), "no longer gives the e-mail address") {
					t.Errorf("%q: %d %v", address, resp.StatusCode, got)
				}
				resp, got = who.do("POST", path+"/verify", map[string]string{"method": "email", "code": p.code(t, alice)})
				if resp.StatusCode != 403 {
					t.Errorf("%q: %d %v", address, resp.StatusCode, got)
				}
				_, me := who.do("GET", "/.step-up/api/me", nil)
				if mine := me["authenticators"].([]any)[0].(map[string]any); mine["usable"] != false || mine["email"] != "a…@bank.example" {
					t.Errorf("%q: %v", address, mine)
				}
			}
			if n := len(p.got("")); n != 1 || len(p.got(alice)) != 1 {
				t.Errorf("%d mails, one was due", n)
			}
			log := b.Log()
			for _, private := range append([]string{alice, mallory, p.code(t, alice), "alice%40bank"}, source.none...) {
				if private != "alice" && strings.Contains(log, private) {
					t.Errorf("the log has %q in it (S13)", private)
				}
			}
		})
	}
}

// TestEmailOpensWhatTakesIt: a code opens one action once, and none whose rule leaves
// mail out.
func TestEmailOpensWhatTakesIt(t *testing.T) {
	b, p := newBed(t), newPostOffice(t)
	b.Load(b.mailing(p, "", "vars {\n\tuser {header.X-Test-User}\n\temail {header.X-Test-Email}\n}", "placeholder {http.vars.user} {\n\temail {http.vars.email}\n}",
		protectAdmin+"protect TRANSFER /transfer {\n\tgrant one_time 2m\n\tmethods totp recovery_code\n}\n"))
	who := &person{b: b}
	const alice = "alice@bank.example"
	b.bear("X-Test-User", "alice", "X-Test-Email", alice)
	_, begun := who.do("POST", "/.step-up/api/emails", map[string]string{})
	if resp, done := who.do("POST", "/.step-up/api/emails/"+begun["id"].(string)+"/confirm", map[string]string{"code": p.code(t, alice)}); resp.StatusCode != 200 {
		t.Fatalf("confirming: %d %v", resp.StatusCode, done)
	}
	_, strict := who.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": "TRANSFER"})
	path := "/.step-up/api/challenges/" + strict["challenge_id"].(string)
	if resp, got := who.do("POST", path+"/send", map[string]string{}); resp.StatusCode != 422 {
		t.Errorf("sending for what does not take it: %d %v", resp.StatusCode, got)
	}
	if resp, got := who.do("POST", path+"/verify", map[string]string{"method": "email", "code": p.code(t, alice)}); resp.StatusCode != 422 {
		t.Errorf("answering what does not take it: %d %v", resp.StatusCode, got)
	}
	_, challenge := who.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": "ADMIN"})
	path = "/.step-up/api/challenges/" + challenge["challenge_id"].(string)
	if resp, got := who.do("POST", path+"/verify", map[string]string{"method": "email", "code": p.code(t, alice)}); resp.StatusCode != 422 {
		t.Errorf("the code of the enrollment again: %d %v", resp.StatusCode, got)
	}
}

// TestEmailRefused is what can be seen only when the configuration loads.
func TestEmailRefused(t *testing.T) {
	b, p := newBed(t), newPostOffice(t)
	good := b.mailing(p, "", "vars user {header.X-Test-User}", "placeholder {http.vars.user}", protectAdmin)
	b.Load(good)
	if !strings.Contains(b.Log(), "provides no addresses") {
		t.Error("nobody is told that the identity source provides no addresses")
	}
	for name, tt := range map[string]struct{ old, new, says string }{
		"a sender for numbers":      {"to   {email}", "to {number}@sms.example.com", "sends to phone numbers"},
		"a file":                    {"sender smtp " + p.addr + " {\n\t\t\t\tfrom step-up@bank.example\n\t\t\t\tto   {email}\n\t\t\t}", "sender file {{dir}}/mails", "sends to phone numbers"},
		"an address of no computer": {"from step-up@bank.example", "from bank", "bare address"},
		"a limit":                   {"per_subject 20", "per_subject 21", "per_subject"},
	} {
		if !strings.Contains(good, tt.old) {
			t.Fatalf("%s: %q is not there", name, tt.old)
		}
		if err := b.TryLoad(strings.Replace(good, tt.old, tt.new, 1)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.says)
		}
	}
}
