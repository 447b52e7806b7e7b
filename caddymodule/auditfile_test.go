package caddymodule_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/stepup-gateway/caddy-stepup/internal/audit"
)

const withAudit = keyFile + `audit {
	file {{dir}}/logs/audit.jsonl
	head {{dir}}/audit.head
	node gw1
	required
}
`

// verified reads the audit log's file and verifies it, with the head of the health
// route.
func (b *bed) verified(known ...string) audit.Report {
	b.t.Helper()
	f, err := os.Open(filepath.Join(b.Dir, "logs", "audit.jsonl"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	var heads []audit.Head
	for _, text := range known {
		h, err := audit.ParseHead(text)
		if err != nil {
			b.t.Fatal(err)
		}
		heads = append(heads, h)
	}
	report, err := audit.Verify([]io.Reader{f}, heads...)
	if err != nil || report.Fault != nil {
		b.t.Fatalf("%+v: %+v, %v", report, report.Fault, err)
	}
	return report
}

func (b *bed) auditHealth() (status int, health, own map[string]any) {
	b.t.Helper()
	status, health = b.admin("GET", "/step_up/health", nil)
	own, _ = health["audit"].(map[string]any)
	return status, health, own
}

// The chain goes on over reloads, the health route has its head, and Caddy's log and
// syslog have the same lines.
func TestAuditFile(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := newBed(t)
	global := strings.Replace(withAudit, "required", "syslog udp "+c.LocalAddr().String(), 1)
	b.Load(b.config(global, protectAdmin, ""))
	alice := b.enroll("alice")
	alice.win("ADMIN")
	_, _, first := b.auditHealth()
	b.Load(b.config(global, protectTransfer, ""))
	alice.win("TRANSFER")
	status, health, own := b.auditHealth()
	if status != 200 || health["status"] != "ok" || own["head"] == first["head"] {
		t.Errorf("health: %d %v", status, health)
	}
	report := b.verified(first["head"].(string), own["head"].(string))
	lines := b.logged(nil)
	last := lines[len(lines)-1]
	if report.Lines != len(lines)+1 || last["hash"] != report.Last.Hash.String() || last["seq"] != float64(report.Last.Seq) {
		t.Errorf("%+v, and the log ends with %v of %d", report, last, len(lines))
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	for n, buf := 0, make([]byte, 64<<10); n < report.Lines; n++ {
		if _, _, err := c.ReadFrom(buf); err != nil {
			t.Fatalf("message %d of %d: %v", n, report.Lines, err)
		}
	}
	_, text := b.admin("GET", "/metrics", nil)
	for _, want := range []string{"step_up_audit_sequence ", "step_up_audit_failing 0", "step_up_audit_lost_total 0"} {
		if !strings.Contains(text["text"].(string), want) {
			t.Errorf("metrics: no %q", want)
		}
	}
	// Another node for the same file is another chain: not by a reload.
	if err := b.TryLoad(b.config(strings.Replace(global, "gw1", "gw2", 1), protectTransfer, "")); err == nil || !strings.Contains(err.Error(), "in use with another head or node") {
		t.Error(err)
	}
	if resp, _ := alice.do("GET", "/", nil); resp.StatusCode != 200 {
		t.Error("after a reload that was refused:", resp.StatusCode)
	}
}

// S01: where the log is required and cannot be written, nothing protected is served;
// what takes away access works, and all goes on by itself.
func TestS01RequiredAuditFails(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(withAudit, protectAdmin, ""))
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	if resp, _ := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	logs := filepath.Join(b.Dir, "logs")
	if err := os.Rename(logs, logs+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	await := func(want int) {
		t.Helper()
		for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			resp, _ := alice.do("GET", "/admin/", nil, grant)
			if resp.StatusCode == want {
				return
			}
			if time.Since(begun) > 10*time.Second {
				t.Fatalf("answered %d, want %d", resp.StatusCode, want)
			}
		}
	}
	await(503)
	if status, health, _ := b.auditHealth(); status != 503 || !strings.Contains(health["reason"].(string), "audit log") {
		t.Errorf("health: %d %v", status, health)
	}
	if resp, _ := alice.do("GET", "/", nil); resp.StatusCode != 200 {
		t.Errorf("what is not protected: %d", resp.StatusCode)
	}
	b.mustRun("revoke", "alice")
	if err := os.Remove(logs); err != nil {
		t.Fatal(err)
	}
	await(401) // revoked
	report := b.verified()
	if report.First.Seq == 1 {
		t.Errorf("%+v", report)
	}
	old, err := os.ReadFile(filepath.Join(logs+".gone", "audit.jsonl"))
	if err != nil || !strings.Contains(string(old), `"event":"revoke"`) {
		t.Error("the revocation has no line: ", err)
	}
}

// A file that holds something else, or cannot be made, is refused when the
// configuration loads.
func TestAuditFileIsRefused(t *testing.T) {
	b := newBed(t)
	for want, global := range map[string]string{
		"not a regular file": strings.Replace(withAudit, "{{dir}}/logs/audit.jsonl", "/dev/null", 1),
		"same file":          strings.Replace(withAudit, "{{dir}}/audit.head", "{{dir}}/logs/audit.jsonl", 1),
		"something else":     strings.Replace(withAudit, "{{dir}}/logs/audit.jsonl", "{{dir}}/other", 1),
	} {
		if err := os.WriteFile(filepath.Join(b.Dir, "other"), []byte("some log\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.TryLoad(b.config(global, protectAdmin, "")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	b.Load(b.config(withAudit, protectAdmin, "")) // nothing is left behind
	b.verified()
}

// heard are the Caddy events that hears was called with.
var heard struct {
	sync.Mutex
	events []caddy.Event
}

// hears is a handler of events.
type hears struct{}

func (hears) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.step_up_test", New: func() caddy.Module { return new(hears) }}
}

func (hears) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func (hears) Handle(_ context.Context, e caddy.Event) error {
	heard.Lock()
	defer heard.Unlock()
	heard.events = append(heard.events, e)
	return nil
}

// spans records what traced did.
var spans = tracetest.NewSpanRecorder()

// traced puts a span into each request, as Caddy's directive `tracing` does.
type traced struct{}

func (traced) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.step_up_test_traced", New: func() caddy.Module { return new(traced) }}
}

func (traced) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test").Start(r.Context(), r.URL.Path)
	defer span.End()
	return next.ServeHTTP(w, r.WithContext(ctx))
}

func init() {
	caddy.RegisterModule(hears{})
	caddy.RegisterModule(traced{})
	httpcaddyfile.RegisterHandlerDirective("step_up_test_traced", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) { return traced{}, nil })
	httpcaddyfile.RegisterDirectiveOrder("step_up_test_traced", httpcaddyfile.Before, "vars")
}

var _ caddyevents.Handler = hears{}

// Each kind of the audit log is a Caddy event and an event of the request's span,
// without secrets (S13); a pass on a live grant is neither.
func TestS13AuditEventsAndSpans(t *testing.T) {
	b := newBed(t)
	text := b.config(keyFile, protectAdmin, "step_up_test_traced")
	text = strings.Replace(text, "\tmetrics\n", "\tmetrics\n\tevents {\n\t\ton step_up.verify step_up_test\n\t}\n", 1)
	b.Load(text)
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	heard.Lock()
	events := heard.events
	heard.Unlock()
	if len(events) == 0 {
		t.Fatal("no event was emitted")
	}
	e := events[len(events)-1]
	if e.Name() != "step_up.verify" || e.Data["outcome"] != "passed" || e.Data["user"] != "alice" || e.Data["actor"] != "person" || e.Data["method"] != "totp" {
		t.Errorf("%s: %v", e.Name(), e.Data)
	}
	count := func() (n int) {
		for _, s := range spans.Ended() {
			for _, e := range s.Events() {
				if strings.HasPrefix(e.Name, "step_up.") {
					n++
				}
				for _, a := range e.Attributes {
					if v := a.Value.AsString(); strings.Contains(v, "alice") || strings.Contains(v, grant.Value) {
						t.Errorf("the span has %v", a)
					}
				}
			}
		}
		return n
	}
	before := count()
	if before < 3 {
		t.Errorf("%d events of spans", before)
	}
	if resp, _ := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode)
	}
	if after := count(); after != before {
		t.Errorf("a pass on a live grant made %d events", after-before)
	}
	heard.Lock()
	defer heard.Unlock()
	if len(heard.events) != len(events) {
		t.Error("a pass on a live grant made an event")
	}
}
