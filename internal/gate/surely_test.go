package gate_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// watched is a body that knows how much of it was read.
type watched struct {
	io.Reader
	n int
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.n += n
	return n, err
}

func (b *watched) Close() error { return nil }

// Where a rule demands a proof whatever the body says, a stranger is refused before
// the body is read; who is signed in is asked for once; and where the body alone
// decides, nobody needs to be signed in for what no rule asks for.
func TestS26NobodyIsRefusedBeforeTheBody(t *testing.T) {
	asked := 0
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{
			{Demand: pay, Match: below("/app"), Fields: []readings.Field{form("op", "pay")}, Line: "a"},
			{Demand: stop, Match: below("/app"), Unsafe: true, Except: []string{"/app/open"}, Line: "b"},
			{Demand: pay, Match: below("/form"), Fields: []readings.Field{form("op", "pay")}, Line: "c"},
		}
		known := o.Identify
		o.Identify = func(r *http.Request, sent gate.Sent) (ceremony.Principal, error) {
			asked++
			return known(r, sent)
		}
	})
	for _, tt := range []struct {
		method, target, user, body string
		status                     int
		read                       bool
		asked                      int
	}{
		{"POST", "/app/x", nobodyWho, "op=pay", 401, false, 1},
		{"POST", "/app/x", nobodyWho, "op=list", 401, false, 1},
		{"POST", "/app/x", nobodyWho, "_method=GET", 401, false, 1},
		{"POST", "/app/x", "alice", "op=pay", 401, true, 1},
		{"POST", "/app/x", "alice", "op=list", 401, true, 1},
		{"POST", "/app/x", "alice", "op=" + strings.Repeat("x", 300<<10), 401, true, 1}, // looked at twice
		{"GET", "/app/x", nobodyWho, "op=list", 200, true, 0},
		{"GET", "/app/x", nobodyWho, "op=pay", 401, true, 1},
		{"POST", "/app/open", nobodyWho, "op=list", 200, true, 0},
		{"POST", "/app/open", nobodyWho, "op=pay", 401, true, 1},
		{"POST", "/form", nobodyWho, "op=list", 200, true, 0},
		{"POST", "/form", nobodyWho, "op=pay", 401, true, 1},
	} {
		body := &watched{Reader: strings.NewReader(tt.body)}
		r := httptest.NewRequest(tt.method, "https://app.test"+tt.target, body)
		r.RequestURI, r.ContentLength = tt.target, int64(len(tt.body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if tt.user != nobodyWho {
			r.Header.Set("X-User", tt.user)
		}
		asked = 0
		rec := httptest.NewRecorder()
		if err := s.Gate.ServeHTTP(rec, r, func(w http.ResponseWriter, r *http.Request) error {
			got, err := io.ReadAll(r.Body)
			if string(got) != tt.body {
				t.Errorf("%s %s: the application gets another body", tt.method, tt.target)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if rec.Code != tt.status || body.n > 0 != tt.read || asked != tt.asked {
			t.Errorf("%s %s by %q, %.20s: %d, read %v, asked %d times; want %d, %v, %d",
				tt.method, tt.target, tt.user, tt.body, rec.Code, body.n > 0, asked, tt.status, tt.read, tt.asked)
		}
	}
}
