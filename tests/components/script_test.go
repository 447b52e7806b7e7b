//go:build components

package components

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
)

// drawer serves views by their path, and remembers the forms that they send.
type drawer struct {
	views map[string]pages.View
	mu    sync.Mutex
	forms []url.Values
	at    []string
}

func (d *drawer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		d.mu.Lock()
		d.forms, d.at = append(d.forms, r.PostForm), append(d.at, r.URL.Path)
		d.mu.Unlock()
		pages.Render(w, http.StatusOK, pages.Message{Page: pages.Page{Now: time.Now()}, Kind: pages.NotFound})
		return
	}
	v, ok := d.views[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		v = pages.Message{Page: pages.Page{Now: time.Now()}, Kind: pages.Expired}
	}
	pages.Render(w, http.StatusOK, v)
}

// sent waits for the one form that was sent since the last call.
func (d *drawer) sent(t *testing.T) url.Values {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		d.mu.Lock()
		forms := d.forms
		d.mu.Unlock()
		if len(forms) > 0 {
			time.Sleep(100 * time.Millisecond) // for a second one
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.forms) != 1 {
				t.Fatalf("%d forms were sent to %q", len(d.forms), d.at)
			}
			form := d.forms[0]
			d.forms, d.at = nil, nil
			return form
		}
	}
	t.Fatal("no form was sent")
	return nil
}

func (d *drawer) nothingSent(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.forms) != 0 {
		t.Fatalf("forms were sent to %q: %v", d.at, d.forms)
	}
}

// TestScript does what the pages do more where scripts run.
func TestScript(t *testing.T) {
	p := pages.Page{Issuer: "Old Bank", Host: "bank.example.com", User: "alice", HomeURL: "/home", CSRF: "token", Now: time.Now(), LanguageURL: "/language"}
	challenge := func(selected string, change func(*pages.Challenge)) pages.Challenge {
		c := pages.Challenge{
			Page: p, Action: "Transfer money", OneTime: true, Hold: 2 * time.Minute, AttemptsLeft: -1, FormURL: "/verify", CancelURL: "/cancel", SendURL: "/send",
		}
		if selected == pages.MethodSMS {
			c.Phones = []pages.Phone{{ID: "p1", Suffix: "42"}}
		}
		for _, m := range []string{pages.MethodPasskey, pages.MethodTOTP, pages.MethodSMS} {
			c.Methods = append(c.Methods, pages.Method{Name: m, URL: "/" + m, Selected: m == selected})
		}
		if change != nil {
			change(&c)
		}
		return c
	}
	b64 := base64.RawURLEncoding.EncodeToString
	options := `{"publicKey":{"challenge":"` + b64([]byte("challenge")) + `","rpId":"localhost","userVerification":"required"}}`
	creation := `{"publicKey":{"challenge":"` + b64([]byte("challenge")) + `","rp":{"id":"localhost","name":"Old Bank"},"user":{"id":"` + b64([]byte("alice")) +
		`","name":"alice","displayName":"alice"},"pubKeyCredParams":[{"type":"public-key","alg":-7},{"type":"public-key","alg":-257}],"authenticatorSelection":{"residentKey":"required","userVerification":"required"}}}`
	d := &drawer{views: map[string]pages.View{
		"totp":    challenge(pages.MethodTOTP, nil),
		"eight":   challenge(pages.MethodTOTP, func(c *pages.Challenge) { c.Digits = 8 }),
		"waits":   challenge(pages.MethodTOTP, func(c *pages.Challenge) { c.RetryAfter = 2 * time.Second }),
		"sms":     challenge(pages.MethodSMS, func(c *pages.Challenge) { c.SentTo, c.ResendAfter = c.Phones[0], 2*time.Second }),
		"passkey": challenge(pages.MethodPasskey, func(c *pages.Challenge) { c.PasskeyOptions = options }),
		"create":  pages.EnrollPasskey{Page: p, CreationOptions: creation, Expires: time.Now().Add(time.Minute), FormURL: "/create"},
		"kinds":   pages.EnrollStart{Page: p, Kinds: []string{pages.MethodPasskey, pages.MethodTOTP}, FormURL: "/start"},
		"codes":   pages.RecoveryCodes{Page: p, Codes: []string{"abcde-fghjk", "mnpqr-stuvw"}, ContinueURL: "/go"},
	}}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	at := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/"
	b := browser.Start(t)
	open := func(t *testing.T, path string) *customer {
		t.Helper()
		c := newCustomer(t, b, at, browser.Options{})
		t.Cleanup(c.calm)
		c.Go(at + path)
		return c
	}

	t.Run("a complete code is sent", func(t *testing.T) {
		for path, codes := range map[string][]string{"totp": {"123456", "123 456", " 123-456", "１２３４５６", "١٢٣٤٥٦"}, "eight": {"12345678"}} {
			for _, code := range codes {
				c := open(t, path)
				c.StartsOn("Code from your authenticator app")
				// As pasting does, all at once.
				c.Inject(`const f = document.getElementById('code'); f.value = '` + code + `'; f.dispatchEvent(new InputEvent('input', {bubbles: true}))`)
				form := d.sent(t)
				if got := form.Get("code"); got != map[string]string{"totp": "123456", "eight": "12345678"}[path] || form.Get("method") != "totp" || form.Get("csrf_token") != "token" {
					t.Errorf("%q is sent as %v", code, form)
				}
			}
		}
		c := open(t, "totp")
		c.Type("12345")
		c.Type("x")
		time.Sleep(200 * time.Millisecond)
		d.nothingSent(t)
	})

	t.Run("a form is sent once", func(t *testing.T) {
		c := open(t, "totp")
		c.Type("12345")
		c.Inject(`const f = document.querySelector('form'); f.requestSubmit(); f.requestSubmit()`)
		d.sent(t)
	})

	t.Run("what has to be waited for comes back", func(t *testing.T) {
		c := open(t, "waits")
		c.Sees("Try again in 0:0")
		c.Sees("Code from your authenticator app") // of the page behind the link
		if !strings.HasSuffix(c.URL(), "/totp") {
			t.Errorf("the page is %s", c.URL())
		}
		c = open(t, "sms")
		c.Sees("You can request another code in 0:0")
		c.SeesNot("Send another code")
		c.Sees("Send another code")
		c.SeesNot("You can have another")
		c.Click("Send another code")
		if form := d.sent(t); form.Get("phone") != "p1" {
			t.Errorf("sent %v", form)
		}
	})

	t.Run("a passkey is made and used", func(t *testing.T) {
		c := open(t, "kinds")
		c.Sees("The quickest, and the hardest to steal")
		c.Click("Continue")
		if form := d.sent(t); form.Get("kind") != pages.MethodPasskey {
			t.Errorf("chosen: %v", form)
		}
		c.Device()
		credential := func() (kind, id string) {
			t.Helper()
			var of struct{ ID, Type string }
			if err := json.Unmarshal([]byte(d.sent(t).Get("code")), &of); err != nil {
				t.Fatal(err)
			}
			return of.Type, of.ID
		}
		c.Go(at + "create")
		c.StartsOn("Create a passkey")
		c.Click("Create a passkey")
		kind, made := credential()
		c.Go(at + "passkey")
		c.StartsOn("Use your passkey")
		c.Enter()
		if again, used := credential(); kind != "public-key" || again != kind || made == "" || used != made {
			t.Errorf("made %s %q, used %s %q", kind, made, again, used)
		}
	})

	t.Run("without a passkey it is said so", func(t *testing.T) {
		c := open(t, "passkey")
		c.Device()
		c.Toggle("Use your passkey")
		c.Sees("That didn’t work, or you canceled it.")
		c.StartsOn("Use your passkey")
		d.nothingSent(t)
		old := newCustomer(t, b, at, browser.Options{NoScripts: true})
		old.Go(at + "passkey")
		old.Sees("Passkeys need JavaScript", "Use your authenticator app instead")
		old.SeesNot("Use your passkey")
		old.Go(at + "kinds")
		old.SeesNot("The quickest")
		old.Click("Continue")
		if form := d.sent(t); form.Get("kind") != pages.MethodTOTP {
			t.Errorf("chosen: %v", form)
		}
	})

	t.Run("codes are saved to a file", func(t *testing.T) {
		c := open(t, "codes")
		if file := c.Download("Download"); !strings.HasPrefix(file, "Recovery codes for alice at bank.example.com, generated ") || !strings.HasSuffix(file, "\n\nabcde-fghjk\nmnpqr-stuvw\n") {
			t.Errorf("the file is %q", file)
		}
		c.keeps()
		c.Click("I have saved them, continue")
		if !strings.HasSuffix(c.URL(), "/go") {
			t.Errorf("went on to %s", c.URL())
		}
	})
}
