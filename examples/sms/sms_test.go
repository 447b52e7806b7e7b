package sms_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/examples/sms"
	"github.com/stepup-gateway/caddy-stepup/internal/sender"
)

const secret = "f2a9c03c8d7b41e5a6c1d9e8b7f60514"

// network is a telephone network that can be down.
type network struct {
	mu   sync.Mutex
	down int // for so many texts
	got  []string
}

func (n *network) deliver(to, text string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down > 0 {
		n.down--
		return errors.New("down")
	}
	n.got = append(n.got, to+" "+text)
	return nil
}

func gateway(t *testing.T, url, secret string, now func() time.Time) *sender.Webhook {
	t.Helper()
	w, err := sender.NewWebhook(sender.WebhookOptions{URL: url, Secret: []byte(secret), Now: now, Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestReceiver(t *testing.T) {
	n := &network{down: 2}
	rec := &sms.Receiver{Secret: []byte(secret), Deliver: n.deliver, Now: time.Now}
	var last *http.Request
	var body string
	lost := 1
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		last, body = r, string(content)
		answer := httptest.NewRecorder()
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(strings.NewReader(body))
		rec.ServeHTTP(answer, again)
		if answer.Code == http.StatusNoContent && lost > 0 {
			lost-- // on its way back
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(answer.Code)
	}))
	defer s.Close()
	ok := gateway(t, s.URL, secret, time.Now)
	// Down twice, then passed on, and its answer lost.
	if err := ok.Send(t.Context(), "+4915112345678", "one"); err == nil {
		t.Error("the gateway believes it, with three answers that said nothing else")
	}
	if err := ok.Send(t.Context(), "+4915112345678", "two"); err != nil {
		t.Error(err)
	}
	lost = 1
	if err := ok.Send(t.Context(), "+4915112345678", "three"); err != nil {
		t.Error(err)
	}
	if want := "+4915112345678 one,+4915112345678 two,+4915112345678 three"; strings.Join(n.got, ",") != want {
		t.Errorf("%q", n.got)
	}

	for name, stranger := range map[string]*sender.Webhook{
		"another secret":     gateway(t, s.URL, strings.Repeat("x", 32), time.Now),
		"of yesterday":       gateway(t, s.URL, secret, func() time.Time { return time.Now().Add(-24 * time.Hour) }),
		"of a day to come":   gateway(t, s.URL, secret, func() time.Time { return time.Now().Add(24 * time.Hour) }),
		"of six minutes ago": gateway(t, s.URL, secret, func() time.Time { return time.Now().Add(-6 * time.Minute) }),
	} {
		if err := stranger.Send(t.Context(), "+4915112345678", "four"); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ok.Send(t.Context(), "+4915112345678", "five"); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*http.Request) string{
		"another number": func(*http.Request) string { return strings.Replace(body, "+49", "+44", 1) },
		"another time": func(r *http.Request) string {
			r.Header.Set("Step-Up-Signature", "t=1"+strings.TrimPrefix(r.Header.Get("Step-Up-Signature"), "t="))
			return body
		},
		"no signature": func(r *http.Request) string { r.Header.Del("Step-Up-Signature"); return body },
		"too long":     func(*http.Request) string { return body + strings.Repeat(" ", 20<<10) },
	} {
		r := httptest.NewRequest("POST", "/sms", nil)
		r.Header = last.Header.Clone()
		r.Body = io.NopCloser(strings.NewReader(change(r)))
		answer := httptest.NewRecorder()
		rec.ServeHTTP(answer, r)
		if answer.Code < 400 || answer.Code >= 500 {
			t.Errorf("%s: %d", name, answer.Code)
		}
	}
	if len(n.got) != 4 {
		t.Errorf("%q", n.got)
	}
}
