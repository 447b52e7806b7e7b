//go:build components

package components

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
)

// TestS13WhatIsShownOnceIsNotShownByGoingBack is the person after whom somebody else
// sits down: a browser may keep a whole page for its back button, "no-store" or
// not (HTML, section 7.4.2, session history document visibility), with what was shown once in it.
func TestS13WhatIsShownOnceIsNotShownByGoingBack(t *testing.T) {
	p := pages.Page{Issuer: "Old Bank", Host: "bank.example.com", User: "alice", CSRF: "token", Now: time.Now()}
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	const uri = "otpauth://totp/Old%20Bank:alice?secret=" + secret
	qr, err := pages.NewQR(uri)
	if err != nil {
		t.Fatal(err)
	}
	views := map[string]pages.View{
		"/codes":  pages.RecoveryCodes{Page: p, Codes: []string{"abcde-fghjk", "mnpqr-stuvw"}, ContinueURL: "/done"},
		"/secret": pages.Enroll{Page: p, QR: qr, Secret: secret, OTPAuthURI: uri, Digits: 6, Expires: time.Now().Add(time.Minute), FormURL: "/done", CancelURL: "/done"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := views[r.URL.Path]
		if !ok {
			v = pages.Message{Page: p, Kind: pages.Expired}
		}
		delete(views, r.URL.Path) // it is shown once
		pages.Render(w, http.StatusOK, v)
	}))
	t.Cleanup(server.Close)
	b := browser.Start(t)
	for path, secrets := range map[string][]string{"codes": {"abcde-fghjk"}, "secret": {secret, secret[:4] + "</span>", "otpauth:", `class="qr"><svg`}} {
		t.Run(path, func(t *testing.T) {
			c := newCustomer(t, b, strings.Replace(server.URL, "127.0.0.1", "localhost", 1), browser.Options{})
			c.Go(c.site + "/" + path)
			const whole = "() => document.documentElement.outerHTML"
			if !strings.Contains(c.Ask(whole), secrets[0][:4]) {
				t.Fatal("it is not shown at all")
			}
			c.Go(c.site + "/done")
			c.Back()
			shown := c.Ask(whole)
			for _, secret := range secrets {
				if strings.Contains(shown, secret) {
					t.Errorf("going back shows %q", secret)
				}
			}
		})
	}
}
