package sender

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver is the other side of a webhook: it verifies what comes as its
// documentation says, and answers as it is told.
type receiver struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request, try int)

	mu   sync.Mutex
	got  []posted
	seen []error // what was wrong with requests
}

// posted is what a request said.
type posted struct{ ID, To, Text, Key, Signature string }

func newReceiver(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, try int)) *receiver {
	t.Helper()
	rec := &receiver{answer: answer}
	rec.Server = httptest.NewServer(http.HandlerFunc(rec.serve))
	t.Cleanup(func() {
		rec.CloseClientConnections()
		rec.Close()
		for _, err := range rec.seen {
			t.Error(err)
		}
	})
	return rec
}

func (rec *receiver) serve(w http.ResponseWriter, r *http.Request) {
	p, err := rec.read(r)
	rec.mu.Lock()
	rec.got = append(rec.got, p)
	if err != nil {
		rec.seen = append(rec.seen, err)
	}
	try := len(rec.got)
	rec.mu.Unlock()
	rec.answer(w, r, try)
}

func (rec *receiver) read(r *http.Request) (p posted, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return p, err
	}
	p.Key, p.Signature = r.Header.Get("Idempotency-Key"), r.Header.Get("Step-Up-Signature")
	at, sum, _ := strings.Cut(strings.TrimPrefix(p.Signature, "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, at+"."+string(body))
	signed, err := hex.DecodeString(sum)
	seconds, notNumber := strconv.ParseInt(at, 10, 64)
	switch age := time.Since(time.Unix(seconds, 0)); {
	case err != nil || notNumber != nil || !hmac.Equal(signed, mac.Sum(nil)) || age < -time.Minute || age > time.Minute:
		return p, errors.New("the signature " + p.Signature + " is not good")
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json":
		return p, errors.New("it is no POST of JSON")
	}
	return p, json.Unmarshal(body, &p)
}

func (rec *receiver) requests() []posted {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]posted(nil), rec.got...)
}

func webhook(t *testing.T, url string, o WebhookOptions) *Webhook {
	t.Helper()
	o.URL, o.Secret = url, []byte(secret)
	w, err := NewWebhook(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// quick keeps tests short.
var quick = WebhookOptions{Timeout: 200 * time.Millisecond, Deadline: 2 * time.Second, Backoff: 10 * time.Millisecond}

func status(codes ...int) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, try int) {
		w.WriteHeader(codes[min(try, len(codes))-1])
		io.WriteString(w, number+" "+text+" "+secret) // a receiver that quotes it all
	}
}

func TestWebhook(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request, int)
		tries  int
		sent   bool
		says   string // in the error
	}{
		{"taken", status(200), 1, true, ""},
		{"taken, 204", status(204), 1, true, ""},
		{"taken, with a long answer", func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, strings.Repeat("a", 1<<20))
		}, 1, true, ""},
		{"taken, and the answer breaks", func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(200)
		}, 1, true, ""},
		{"broken once", status(500, 200), 2, true, ""},
		{"broken twice", status(502, 503, 202), 3, true, ""},
		{"broken", status(500), 3, false, "try 3: the receiver answered with 500"},
		{"too many once", status(429, 200), 2, true, ""},
		{"refused", status(400), 1, false, "answered with 400"},
		{"not let in", status(401), 1, false, "answered with 401"},
		{"sent elsewhere", func(w http.ResponseWriter, r *http.Request, _ int) {
			http.Redirect(w, r, "/elsewhere?to="+number, http.StatusTemporaryRedirect)
		}, 1, false, "redirects are not followed"},
		{"cut off once", func(w http.ResponseWriter, _ *http.Request, try int) {
			if try == 1 {
				panic(http.ErrAbortHandler)
			}
		}, 2, true, ""},
		{"no HTTP", func(w http.ResponseWriter, _ *http.Request, _ int) {
			c, _, _ := http.NewResponseController(w).Hijack()
			io.WriteString(c, "220 "+number+" "+text+"\r\n")
			c.Close()
		}, 3, false, "try 3"},
		{"hanging once", func(_ http.ResponseWriter, r *http.Request, try int) {
			if try == 1 {
				<-r.Context().Done()
			}
		}, 2, true, ""},
		{"hanging", func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() }, 3, false, "did not come in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := newReceiver(t, tt.answer)
			err := webhook(t, rec.URL+"/send?key="+secret, quick).Send(t.Context(), number, text)
			if tt.sent && err != nil {
				t.Error(err)
			}
			if !tt.sent {
				noLeak(t, err, "/send", "elsewhere")
				if !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v, want %q in it", err, tt.says)
				}
			}
			got := rec.requests()
			if len(got) != tt.tries {
				t.Fatalf("%d tries, want %d", len(got), tt.tries)
			}
			for _, p := range got {
				if p.To != number || p.Text != text || p.ID == "" || p.ID != p.Key || p.ID != got[0].ID {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

// TestWebhookIDs tells two texts apart, though they say the same.
func TestWebhookIDs(t *testing.T) {
	rec := newReceiver(t, status(200))
	w := webhook(t, rec.URL, quick)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := w.Send(t.Context(), number, text); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	ids := make(map[string]bool)
	for _, p := range rec.requests() {
		ids[p.ID] = true
	}
	if len(ids) != 20 {
		t.Errorf("%d ids of 20 texts", len(ids))
	}
}

// TestWebhookRetryAfter waits as long as it is told, and gives up at once where
// that is beyond the deadline.
func TestWebhookRetryAfter(t *testing.T) {
	answer := func(seconds string) func(w http.ResponseWriter, r *http.Request, try int) {
		return func(w http.ResponseWriter, _ *http.Request, try int) {
			if try == 1 {
				w.Header().Set("Retry-After", seconds)
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}
	}
	rec := newReceiver(t, answer("1"))
	began := time.Now()
	if err := webhook(t, rec.URL, quick).Send(t.Context(), number, text); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("asked again after %s", took)
	}
	rec = newReceiver(t, answer("60"))
	began = time.Now()
	noLeak(t, webhook(t, rec.URL, quick).Send(t.Context(), number, text))
	if took := time.Since(began); took > time.Second {
		t.Errorf("gave up after %s only", took)
	}
	if n := len(rec.requests()); n != 1 {
		t.Errorf("%d tries", n)
	}
}

func TestRetryAfter(t *testing.T) {
	now := fixed()
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "99999999999999": 0,
		"Fri, 02 Jan 2026 15:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 15:03:35 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// TestWebhookDown is a receiver that is not there, and one that comes back.
func TestWebhookDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	o := quick
	o.Backoff = 200 * time.Millisecond
	w := webhook(t, "http://"+addr+"/send?key="+secret, o)
	noLeak(t, w.Send(t.Context(), number, text), "/send")

	rec := &receiver{answer: status(200)}
	time.AfterFunc(50*time.Millisecond, func() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.Server = httptest.NewUnstartedServer(http.HandlerFunc(rec.serve))
		rec.Listener.Close()
		rec.Listener = l
		rec.Start()
	})
	if err := w.Send(t.Context(), number, text); err != nil {
		t.Error(err)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.Server != nil {
		rec.Close()
	}
}

// TestWebhookEnds stops with the caller, and with its own deadline.
func TestWebhookEnds(t *testing.T) {
	rec := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	o := quick
	o.Timeout = 10 * time.Second
	err := webhook(t, rec.URL, o).Send(ctx, number, text)
	if noLeak(t, err); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	o.Deadline = 100 * time.Millisecond
	noLeak(t, webhook(t, rec.URL, o).Send(t.Context(), number, text))
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %s", took)
	}
}

// TestWebhookCertificate does not offer a text twice to somebody else, nor once.
func TestWebhookCertificate(t *testing.T) {
	var asked bool
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	err := webhook(t, s.URL, quick).Send(t.Context(), number, text)
	if noLeak(t, err); err == nil || !strings.Contains(err.Error(), "try 1:") || asked {
		t.Errorf("%v, asked: %v", err, asked)
	}
}

func TestWebhookOptions(t *testing.T) {
	for _, tt := range []struct {
		url, secret string
		plain, ok   bool
	}{
		{"https://sms.example.com/send?key=a", secret, false, true},
		{"http://localhost:9000/", secret, false, true},
		{"http://127.0.0.1:9000/", secret, false, true},
		{"http://[::1]/", secret, false, true},
		{"http://sms.example.com/", secret, true, true},
		{"http://sms.example.com/", secret, false, false},
		{"http://10.0.0.1/", secret, false, false},
		{"http://localhost.example.com/", secret, false, false},
		{"https://alice:pw@sms.example.com/", secret, false, false},
		{"https://sms.example.com/#a", secret, false, false},
		{"ftp://sms.example.com/", secret, true, false},
		{"/send", secret, true, false},
		{"https://", secret, false, false},
		{"", secret, false, false},
		{"https://sms.example.com/", secret[:31], false, false},
		{"https://sms.example.com/", "", false, false},
	} {
		_, err := NewWebhook(WebhookOptions{URL: tt.url, Secret: []byte(tt.secret), AllowPlainHTTP: tt.plain})
		if (err == nil) != tt.ok {
			t.Errorf("%q with %d bytes of secret: %v", tt.url, len(tt.secret), err)
		}
		if err != nil {
			noLeak(t, err, "alice:pw", "key=a")
		}
	}
}

// TestJitter keeps waits within a half and the whole.
func TestJitter(t *testing.T) {
	for range 1000 {
		if d := jittered(time.Second); d < time.Second/2 || d > time.Second {
			t.Fatal(d)
		}
	}
}
