package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"time"
)

// Person is a user with a browser's cookies and an authenticator app, who
// speaks the JSON API. The gateway's Caddyfile takes the user from the header
// X-Test-User (see [Header]) and allows a skew of [totp.MaxSkew] steps, so that
// several codes are good at the same time and few tests wait for the next one.
type Person struct {
	App
	Name          string
	RecoveryCodes []string
	Client        *http.Client
	// Host, if not empty, is the host that is asked for, whatever the gateway's
	// address is.
	Host string
	// Before, if not nil, is called before each request.
	Before func(*Person)

	g *Gateway
}

// Header is the header that names the user in test configurations.
const Header = "X-Test-User"

// NewPerson makes a person who is not enrolled yet.
func (g *Gateway) NewPerson(name string) *Person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &Person{Name: name, g: g, Client: &http.Client{
		Jar:     jar,
		Timeout: 30 * time.Second,
		// A reload closes connections that are idle, and a POST that meets
		// that moment is not sent again; so each has its own.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// At makes the person talk to another gateway from now on, and returns them.
func (p *Person) At(g *Gateway) *Person {
	p.g = g
	return p
}

// Copy is the same person with the same browser, at another gateway.
func (p *Person) Copy(g *Gateway) *Person {
	other := *p
	other.Before = nil
	return other.At(g)
}

// Do sends a request as the person; body may be nil.
func (p *Person) Do(method, path string, header map[string]string, body io.Reader) (*http.Response, []byte, error) {
	if p.Before != nil {
		p.Before(p)
	}
	req, err := http.NewRequest(method, p.g.URL+path, body)
	if err != nil {
		return nil, nil, err
	}
	req.Host = p.Host
	req.Header.Set(Header, p.Name)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := p.Client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

// API calls the JSON API under /.step-up/api and decodes its answer into out,
// which may be nil. It gives the status.
func (p *Person) API(method, path string, in, out any) (int, error) {
	var body io.Reader
	header := map[string]string{"Accept": "application/json"}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(b)
	}
	if method == http.MethodPost || method == http.MethodPatch {
		header["Content-Type"] = "application/json"
		if body == nil {
			body = bytes.NewReader([]byte("{}"))
		}
	}
	resp, b, err := p.Do(method, "/.step-up/api"+path, header, body)
	if err != nil {
		return 0, err
	}
	if out != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(b, out); err != nil {
			return resp.StatusCode, fmt.Errorf("%w in %q", err, b)
		}
	}
	if resp.StatusCode >= 300 {
		return resp.StatusCode, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	return resp.StatusCode, nil
}

// Enroll enrolls an authenticator app, with an invite where one is given.
func (p *Person) Enroll(t T, invite string) {
	t.Helper()
	if err := p.TryEnroll(t, invite); err != nil {
		t.Fatal(err)
	}
}

// TryEnrol is Enroll where it may fail.
func (p *Person) TryEnroll(t T, invite string) error {
	in := map[string]string{"label": "test"}
	if invite != "" {
		in["invite"] = invite
	}
	var begun struct{ ID, Secret string }
	_, err := p.API("POST", "/totp", in, &begun)
	if err != nil {
		return err
	}
	if p.App, err = NewApp(begun.Secret); err != nil {
		return err
	}
	var done struct {
		RecoveryCodes []string `json:"recovery_codes"`
	}
	if _, err := p.API("POST", "/totp/"+begun.ID+"/confirm", map[string]string{"code": p.Code(t)}, &done); err != nil {
		return err
	}
	p.RecoveryCodes = done.RecoveryCodes
	return nil
}

// Begin begins a challenge for an action type and gives its id.
func (p *Person) Begin(action string) (string, error) {
	var c struct {
		ID string `json:"challenge_id"`
	}
	_, err := p.API("POST", "/challenges", map[string]string{"action_type": action}, &c)
	return c.ID, err
}

// Verify answers a challenge and gives the status.
func (p *Person) Verify(challenge, method, code string) (int, error) {
	return p.API("POST", "/challenges/"+challenge+"/verify", map[string]string{"method": method, "code": code}, nil)
}

// StepUp wins a grant for an action type; its cookie is in the person's jar.
func (p *Person) StepUp(t T, action string) {
	t.Helper()
	if err := p.TryStepUp(t, action); err != nil {
		t.Fatal(err)
	}
}

// TryStepUp is StepUp where it may fail.
func (p *Person) TryStepUp(t T, action string) error {
	id, err := p.Begin(action)
	if err != nil {
		return err
	}
	_, err = p.Verify(id, "totp", p.Code(t))
	return err
}
