package ceremonytest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sms"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
)

// Text is a message that a phone got.
type Text struct{ To, Text string }

// Code is the code in it.
func (t Text) Code() string { return t.Text[:min(6, len(t.Text))] }

// phones is everybody's phone, and the network to it.
type phones struct {
	mu    sync.Mutex
	down  error
	texts []Text
}

func (p *phones) factor(issuer string) sms.Factor {
	return sms.New(p.Codes(issuer), sms.Numbers{Country: "DE", Countries: []string{"DE", "AT"}}, func(host string) bool { return host == "app.test" })
}

// Codes are codes that go to the phones, and to whatever else has an address. The
// caps are small, so that tests reach them.
func (p *phones) Codes(issuer string) sentcode.Codes {
	return sentcode.Codes{Issuer: issuer, Send: p.send, Bounds: quota.Bounds{
		CodeTTL: 5 * time.Minute, ResendAfter: 30 * time.Second,
		PerSubject: 3, PerDestination: 10, Total: 40,
	}}
}

// Also takes a factor besides those that each World has, made of codes that its
// network delivers.
func (w *World) Also(make func(sentcode.Codes) ceremony.Factor) {
	w.t.Helper()
	w.also = append(w.also, make(w.phones.Codes(w.settings.Issuer)))
	w.Configure()
}

// EnrollPhone begins to enroll a phone for p.
func (w *World) EnrollPhone(ctx context.Context, p ceremony.Principal, label, number, site string, leave ceremony.Leave) (ceremony.Enrollment, error) {
	return w.Service.Enroll(ctx, p, ceremony.Setup{Kind: grants.SMS, Label: label, Address: number, Site: site}, leave)
}

func (p *phones) send(_ context.Context, to, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down != nil {
		return p.down
	}
	p.texts = append(p.texts, Text{to, text})
	return nil
}

// Network lets messages through with nil, and fails them with an error.
func (w *World) Network(down error) {
	w.phones.mu.Lock()
	defer w.phones.mu.Unlock()
	w.phones.down = down
}

// Texts are the messages that a number got.
func (w *World) Texts(number string) []Text {
	w.phones.mu.Lock()
	defer w.phones.mu.Unlock()
	var got []Text
	for _, t := range w.phones.texts {
		if t.To == strings.ReplaceAll(number, " ", "") {
			got = append(got, t)
		}
	}
	return got
}

// EnrollNumber enrolls the phone of the number for p, who passes challenges with
// the codes that it gets.
func (w *World) EnrollNumber(p ceremony.Principal, number string, leave ceremony.Leave) *Person {
	w.t.Helper()
	w.Clock.Advance(w.phones.factor("").Bounds.ResendAfter)
	begun, err := w.EnrollPhone(w.t.Context(), setup(p), "phone", number, Site, leave)
	if err != nil {
		w.t.Fatal("enrolling:", err)
	}
	done, err := w.Service.Confirm(w.t.Context(), setup(p), begun.ID, w.lastCode(number), "")
	if err != nil {
		w.t.Fatal("confirming:", err)
	}
	return &Person{Principal: p, Authenticator: done.Authenticator, Number: number, RecoveryCodes: done.RecoveryCodes}
}

// Rest waits until the person can be asked for a proof again: codes are sent to a
// phone three times in ten minutes.
func (w *World) Rest(who *Person) {
	if who.Number != "" {
		w.Clock.Advance(11 * time.Minute)
	}
}

func (w *World) sendCode(who *Person, c ceremony.Challenge) string {
	w.t.Helper()
	if _, err := w.SendCode(w.t.Context(), who.Principal, c.ID, who.Authenticator.ID); err != nil {
		w.t.Fatal("sending a code:", err)
	}
	return w.lastCode(who.Number)
}

func (w *World) lastCode(number string) string {
	w.t.Helper()
	texts := w.Texts(number)
	if len(texts) == 0 {
		w.t.Fatal("no message came")
	}
	return texts[len(texts)-1].Code()
}
