package portal

import (
	"context"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/recovery"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sms"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
)

// text is a message that a phone got.
type text struct{ to, text string }

// newPhoneSite is a site that sends codes to phones.
func newPhoneSite(t *testing.T, change ...func(*ceremony.Settings, *Options, *cameIn)) *site {
	t.Helper()
	return newSiteWith(t, withPhones, change...)
}

func withPhones(s *site, o *ceremony.Options) {
	o.Factors = []ceremony.Factor{
		totpapp.Factor{Issuer: o.Settings.Issuer, Params: o.Settings.TOTP},
		sms.New(s.codes(o.Settings.Issuer), sms.Numbers{Country: "DE", Countries: []string{"DE"}}, nil),
		recovery.Factor{},
	}
}

// codes are codes that the site's network delivers.
func (s *site) codes(issuer string) sentcode.Codes {
	return sentcode.Codes{Issuer: issuer, Send: s.deliver, Bounds: quota.Bounds{
		CodeTTL: 5 * time.Minute, ResendAfter: 30 * time.Second, PerSubject: 3, PerDestination: 10, Total: 100,
	}}
}

// deliver is the network to the phones.
func (s *site) deliver(_ context.Context, to, message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.network == nil {
		s.texts = append(s.texts, text{to, message})
	}
	return s.network
}

// down makes the network fail, or work with nil.
func (s *site) down(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.network = err
}

// lastCode is the code in the message that came last.
func (s *site) lastCode() string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.texts) == 0 {
		s.t.Fatal("no message came")
	}
	return s.texts[len(s.texts)-1].text[:6]
}

func (s *site) sentTexts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.texts)
}

const number = "+49 1512 3456789"

// enrollPhone gives the client's user a phone as first authenticator.
func (c *client) enrollPhone() *person {
	c.t.Helper()
	begun := c.call("POST", "/phones", obj{"phone_number": number, "label": "Mobile"}).want(c.t, 201)
	done := c.call("POST", "/phones/"+begun.str("id")+"/confirm", obj{"code": c.lastCode()}).want(c.t, 200)
	p := &person{}
	p.id, _ = done.json["authenticator"].(map[string]any)["id"].(string)
	for _, code := range done.json["recovery_codes"].([]any) {
		p.codes = append(p.codes, code.(string))
	}
	c.clock.Add(11 * time.Minute)
	return p
}

func other(code string) string {
	if code == "271828" {
		return "314159"
	}
	return "271828"
}
