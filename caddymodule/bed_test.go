package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/caddytestbed"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/command"
)

func TestMain(m *testing.M) { os.Exit(caddytestbed.Main(m)) }

// bed is a Caddy with the gateway in front of an application that counts.
type bed struct {
	*caddytestbed.Bed
	app *application
	t   testing.TB
}

// application is the upstream: it answers 200 and remembers what reached it.
type application struct {
	*httptest.Server
	mu  sync.Mutex
	got []*http.Request
}

func (a *application) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*http.Request(nil), a.got...)
}

func newBed(t testing.TB) *bed {
	t.Helper()
	app := new(application)
	app.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app.mu.Lock()
		defer app.mu.Unlock()
		app.got = append(app.got, r)
		io.WriteString(w, "application")
	}))
	t.Cleanup(app.Close)
	return &bed{Bed: caddytestbed.New(t), app: app, t: t}
}

// config is a Caddyfile with the given global options, settings of the site's
// step_up and directives beside it. The user is whoever X-Test-User names: a
// stand-in for an authentication that the client cannot forge.
func (b *bed) config(global, site, beside string) string {
	return `{
	admin localhost:{{admin}}
	metrics
	step_up {
		store badger {
			dir {{dir}}/data
		}
		enrollment first_use
		allow_plain_http
		` + global + `
	}
}

http://localhost:{{port}} {
	vars user {header.X-Test-User}
	step_up {
		identity placeholder {http.vars.user}
		` + site + `
	}
	` + beside + `
	reverse_proxy ` + strings.TrimPrefix(b.app.URL, "http://") + `
}
`
}

const protectAdmin = `protect ADMIN /admin/* {
	grant time_based 10m
}
`

const protectTransfer = `protect TRANSFER /transfer {
	match {
		method POST
	}
	grant one_time 2m
}
`

// keyFile keeps each test's key beside its database, not in the directory that
// the tests share.
const keyFile = "key_file {{dir}}/key\n"

// person is a user with an authenticator app, at a client without cookies other
// than grants.
type person struct {
	b      *bed
	name   string
	secret string
	used   time.Time // of the last code
}

// do sends a request as a person, with a JSON body unless it is nil, and returns
// the response with its body read.
func (p *person) do(method, path string, body any, cookies ...*http.Cookie) (*http.Response, map[string]any) {
	p.b.t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			p.b.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, p.b.URL+path, reader)
	if err != nil {
		p.b.t.Fatal(err)
	}
	if p.name != "" {
		r.Header.Set("X-Test-User", p.name)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return p.b.send(r)
}

func (b *bed) send(r *http.Request) (*http.Response, map[string]any) {
	b.t.Helper()
	resp, err := b.Client.Do(r)
	if err != nil {
		// Just after a reload two servers hold the port, and the kernel may
		// hand a new connection to the one that is about to leave.
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				b.t.Fatal(err)
			}
		}
		resp, err = b.Client.Do(r)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var answer map[string]any
	if json.Unmarshal(text, &answer) != nil {
		answer = map[string]any{"text": string(text)}
	}
	return resp, answer
}

// enroll gives a user an authenticator app.
func (b *bed) enroll(name string) *person {
	b.t.Helper()
	p := &person{b: b, name: name}
	resp, begun := p.do("POST", "/.step-up/api/totp", map[string]string{})
	if resp.StatusCode != http.StatusCreated {
		b.t.Fatalf("enrolling %s: %d %v", name, resp.StatusCode, begun)
	}
	p.secret = begun["secret"].(string)
	resp, done := p.do("POST", "/.step-up/api/totp/"+begun["id"].(string)+"/confirm", map[string]string{"code": p.code()})
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("confirming %s: %d %v", name, resp.StatusCode, done)
	}
	return p
}

// code is a code that was not used yet: the skew takes the one of the step
// before and the one after.
func (p *person) code() string {
	p.b.t.Helper()
	if left := time.Until(time.Now().Truncate(30 * time.Second).Add(30 * time.Second)); p.used.IsZero() && left < 2*time.Second {
		time.Sleep(left) // or the code of the step before is too old when it arrives
	}
	next := time.Now().Truncate(30 * time.Second).Add(-30 * time.Second)
	if !p.used.IsZero() && !next.After(p.used) {
		next = p.used.Add(30 * time.Second)
	}
	p.used = next
	code, err := totp.GenerateCode(p.secret, next)
	if err != nil {
		p.b.t.Fatal(err)
	}
	return code
}

// win steps up for an action type and returns the grant's cookie.
func (p *person) win(action string) *http.Cookie {
	p.b.t.Helper()
	resp, challenge := p.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": action})
	if resp.StatusCode != http.StatusCreated {
		p.b.t.Fatalf("beginning: %d %v", resp.StatusCode, challenge)
	}
	resp, verified := p.do("POST", "/.step-up/api/challenges/"+challenge["challenge_id"].(string)+"/verify",
		map[string]string{"method": "totp", "code": p.code()})
	if resp.StatusCode != http.StatusOK {
		p.b.t.Fatalf("verifying: %d %v", resp.StatusCode, verified)
	}
	for _, c := range resp.Cookies() {
		if strings.HasPrefix(c.Value, "sug_") {
			return c
		}
	}
	p.b.t.Fatalf("no grant among the cookies %v", resp.Cookies())
	return nil
}

// admin calls the admin endpoint.
func (b *bed) admin(method, path string, body any) (int, map[string]any) {
	b.t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, "http://localhost:"+b.AdminPort+path, reader)
	if err != nil {
		b.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, answer := b.send(r)
	return resp.StatusCode, answer
}

// newStepUpCommand returns `step-up` as Caddy sets it up.
func newStepUpCommand() *cobra.Command {
	c := &cobra.Command{Use: "step-up", SilenceUsage: true}
	command.Add(c)
	return c
}
