package gate_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// proven asks for /admin with a grant, of an application that is next.
func proven(t *testing.T, next func(http.ResponseWriter, *http.Request), edits ...func(*gate.Options)) (*http.Response, string, error) {
	t.Helper()
	s := newSite(t, edits...)
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Gate.ServeHTTP(w, r, func(w http.ResponseWriter, r *http.Request) error { next(w, r); return nil })
	}))
	r, err := http.NewRequest("GET", front+"/admin", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-User", "alice")
	r.Header.Set("Cookie", grantCookie(admin, s.token("alice", admin)))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// What a grant opened is for one person: no cache in front keeps it for others.
func TestS28GrantedResponsesArePrivate(t *testing.T) {
	for said, want := range map[string]string{
		"":                               "private",
		"public":                         "private",
		"public, max-age=60":             "private, max-age=60",
		"max-age=60, S-MaxAge=600":       "private, max-age=60",
		"no-store":                       "no-store",
		"no-cache":                       "private, no-cache",
		`private="a, public", max-age=1`: "private, max-age=1",
	} {
		for vary, wantVary := range map[string]string{"": "Cookie", "Accept": "Accept, Cookie", "cookie": "cookie", "*": "*"} {
			for _, status := range []int{200, 304, 0} {
				res, _, err := proven(t, func(w http.ResponseWriter, r *http.Request) {
					for name, value := range map[string]string{"Cache-Control": said, "Vary": vary, "Surrogate-Control": "max-age=9", "Cloudflare-CDN-Cache-Control": "max-age=9", "CDN-Cache-Control": "public", "X-Accel-Expires": "600"} {
						if value != "" {
							w.Header().Set(name, value)
						}
					}
					if status > 0 {
						w.WriteHeader(status)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if got := res.Header.Get("Cache-Control"); got != want {
					t.Errorf("%q with %d: %q, want %q", said, status, got, want)
				}
				if got := strings.Join(res.Header["Vary"], ", "); got != wantVary {
					t.Errorf("Vary %q with %d: %q", vary, status, got)
				}
				for _, name := range []string{"Surrogate-Control", "Cloudflare-Cdn-Cache-Control", "Cdn-Cache-Control", "X-Accel-Expires"} {
					if res.Header[name] != nil {
						t.Errorf("%s is left", name)
					}
				}
			}
		}
	}
}

// Work that outlasts the grant is answered; only what has no end of its own ends
// with the grant.
func TestWorkThatOutlastsTheGrantIsAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		cut     bool
	}{
		"of unknown length": {nil, false},
		"of known length":   {[]string{"Content-Length", "200000"}, false},
		"events":            {[]string{"Content-Type", "text/event-stream; charset=utf-8"}, true},
		"parts":             {[]string{"Content-Type", "multipart/x-mixed-replace; boundary=x"}, true},
		"lines":             {[]string{"Content-Type", "application/x-ndjson"}, true},
		"unbuffered":        {[]string{"X-Accel-Buffering", "no"}, true},
	} {
		var ahead atomic.Int64
		body := strings.Repeat("x", 200_000)
		_, got, err := proven(t, func(w http.ResponseWriter, r *http.Request) {
			ahead.Store(int64(2 * time.Hour)) // the upload took as long
			for i := 0; i < len(c.headers); i += 2 {
				w.Header().Set(c.headers[i], c.headers[i+1])
			}
			_, _ = io.WriteString(w, body)
		}, func(o *gate.Options) {
			now := o.Now
			o.Now = func() time.Time { return now().Add(time.Duration(ahead.Load())) }
		})
		if whole := err == nil && got == body; whole == c.cut {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
