package whoami_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/whoami"
)

// BenchmarkIdentify is the cost of a request whose answer is remembered.
func BenchmarkIdentify(b *testing.B) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"user":"alice"}`) }))
	defer app.Close()
	p := identity.Member("user")
	s, err := whoami.New(whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: &p}, SessionCookie: "sid", Cache: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := request("Cookie", "theme=dark; sid=0123456789abcdef0123456789abcdef; __Host-step_up_browser=0123456789012345678901234567890123456789012")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Identify(r, whoami.Asked{}); err != nil {
			b.Fatal(err)
		}
	}
}
