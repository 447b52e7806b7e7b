package caddymodule_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
)

const (
	phone     = "+4915112345678"
	phoneText = "481632 is your code for Acme."
)

// withSMS is a global option with a sender.
func withSMS(sender string) string {
	return keyFile + "sms {\ncountry DE\nsender " + sender + "\n}\n"
}

func (b *bed) sender() caddymodule.Sender {
	b.t.Helper()
	s, err := caddymodule.ActiveSender()
	if err != nil || s == nil {
		b.t.Fatalf("%v %v", s, err)
	}
	return s
}

// TestS13Senders loads each sender, sends by it, and finds nothing of it in the log.
func TestS13Senders(t *testing.T) {
	secret := strings.Repeat("s3", 16)
	t.Setenv("TEST_SMS_SECRET", secret)
	b := newBed(t)

	var got atomic.Value
	var code atomic.Int64
	code.Store(http.StatusOK)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		at, sum, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Step-Up-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(at + "." + string(body)))
		if sum == hex.EncodeToString(mac.Sum(nil)) {
			got.Store(string(body))
		}
		w.WriteHeader(int(code.Load()))
		w.Write(body)
	}))
	defer receiver.Close()
	hook := "webhook " + receiver.URL + "/send?key=querykey {\nsecret {env.TEST_SMS_SECRET}\n}"
	b.Load(b.config(withSMS(hook), protectAdmin, ""))
	if err := b.sender().Send(t.Context(), phone, phoneText); err != nil {
		t.Error(err)
	}
	if body, _ := got.Load().(string); !strings.Contains(body, `"to":"`+phone+`","text":"`+phoneText+`"`) {
		t.Errorf("%q", body)
	}
	code.Store(http.StatusForbidden)
	if err := b.sender().Send(t.Context(), phone, phoneText); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("%v", err)
	}

	path := filepath.Join(b.Dir, "sms.jsonl")
	b.Load(b.config(withSMS("file "+path), protectAdmin, ""))
	if err := b.sender().Send(t.Context(), phone, phoneText); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), phoneText) {
		t.Errorf("%s %v", text, err)
	}
	if log := b.Log(); !regexp.MustCompile(`codes are written to a file.*"at": ?"[^"]*Caddyfile:[0-9]+`).MatchString(log) {
		t.Errorf("nobody was warned, or not of what: %s", log)
	}

	b.Load(b.config(keyFile, protectAdmin, ""))
	if s, err := caddymodule.ActiveSender(); s != nil || err != nil {
		t.Errorf("a sender that nobody asked for: %v %v", s, err)
	}
	log := b.Log()
	for _, private := range []string{phone, phone[1:], url.QueryEscape(phone), "481632", secret, "querykey"} {
		if strings.Contains(log, private) {
			t.Errorf("the log has %q in it", private)
		}
	}
}

// TestSenderRefused is what can be seen only when the configuration loads. What ran
// before goes on.
func TestSenderRefused(t *testing.T) {
	t.Setenv("TEST_SMS_SHORT", "short")
	t.Setenv("TEST_SMS_SECRET", strings.Repeat("s", 32))
	t.Setenv("TEST_SMS_URL", "http://sms.example.com/send?key=querykey")
	b := newBed(t)
	open := filepath.Join(b.Dir, "open.jsonl")
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.Load(b.config(withSMS("file "+filepath.Join(b.Dir, "sms.jsonl")), protectAdmin, ""))
	const mailTo = "from a@example.com\nto {number}@sms.example.com\n"
	for name, tt := range map[string]struct{ sender, says string }{
		"no variable":      {"webhook https://sms.example.com {\nsecret {env.TEST_SMS_NONE}\n}", "TEST_SMS_NONE"},
		"no file":          {"webhook https://sms.example.com {\nsecret {file./nowhere/secret}\n}", "/nowhere/secret"},
		"a short secret":   {"webhook https://sms.example.com {\nsecret {env.TEST_SMS_SHORT}\n}", "at least 32 bytes"},
		"plain HTTP":       {"webhook {env.TEST_SMS_URL} {\nsecret {env.TEST_SMS_SECRET}\n}", "plain HTTP"},
		"no URL":           {"webhook {env.TEST_SMS_NONE} {\nsecret {env.TEST_SMS_SECRET}\n}", "TEST_SMS_NONE"},
		"a file of others": {"file " + open, "0600"},
		"no path":          {"file {env.TEST_SMS_NONE}", "TEST_SMS_NONE"},
		"no password":      {"smtp mail.example.com:587 {\n" + mailTo + "auth a {env.TEST_SMS_NONE}\n}", "TEST_SMS_NONE"},
		"no authority":     {"smtp mail.example.com:587 {\n" + mailTo + "ca_file /nowhere.pem\n}", "/nowhere.pem"},
		"to addresses":     {"smtp mail.example.com:587 {\nfrom a@example.com\nto {email}\n}", "sends to mail addresses"},
		"no certificate":   {"smtp mail.example.com:587 {\n" + mailTo + "ca_file " + open + "\n}", "no certificate"},
	} {
		err := b.TryLoad(b.config(withSMS(tt.sender), protectAdmin, ""))
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "querykey") {
			t.Errorf("%s: %v, want %q in it", name, err, tt.says)
		}
	}
	if err := b.sender().Send(t.Context(), phone, phoneText); err != nil {
		t.Errorf("what ran before: %v", err)
	}
}

// guest is a sender that others wrote, and not well.
type guest func(ctx context.Context, to, text string) error

func (g guest) Send(ctx context.Context, to, text string) error { return g(ctx, to, text) }

func TestS13Guests(t *testing.T) {
	inner := errors.New("out of credit, 17 left of 2000")
	for name, tt := range map[string]struct {
		guest guest
		says  string // of the error; "": none
	}{
		"good":  {func(context.Context, string, string) error { return nil }, ""},
		"fails": {func(context.Context, string, string) error { return inner }, inner.Error()},
		"quotes the URL": {func(_ context.Context, to, _ string) error {
			return &url.Error{Op: "Get", URL: "https://sms.example.com/?to=" + url.QueryEscape(to), Err: inner}
		}, "withheld"},
		"quotes the code": {func(_ context.Context, _, text string) error { return fmt.Errorf("for %.6s: %w", text, inner) }, "withheld"},
		"quotes the national number": {func(_ context.Context, to, _ string) error {
			return errors.New("no route to 0" + to[3:])
		}, "withheld"},
		"panics": {func(_ context.Context, to, _ string) error { panic(to) }, "panicked"},
		"has no end": {func(ctx context.Context, _, _ string) error {
			if _, bounded := ctx.Deadline(); !bounded {
				return errors.New("no deadline")
			}
			return nil
		}, ""},
	} {
		err := caddymodule.Guarded(tt.guest).Send(t.Context(), phone, phoneText)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}
