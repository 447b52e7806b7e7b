//go:build components

package components

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// TestS08ForwardAuth: forward_auth asks the bank before the gateway has touched
// the request, so that the example itself has to keep from the bank what the
// gateway keeps from it.
func TestS08ForwardAuth(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]http.Header{}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path] = r.Header
		w.Header().Set("X-Bank-User", "alice")
	}))
	defer app.Close()
	b := gateway.StartOldBank(t, gateway.OldBankOptions{Plain: []string{"bank"}, Edit: func(text string) string {
		return strings.ReplaceAll(text, "GW_UPSTREAM", strings.TrimPrefix(app.URL, "http://"))
	}})
	r, err := http.NewRequest("GET", b.URL+"/accounts", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = strings.TrimPrefix(b.At("bank"), "http://")
	r.Header.Set("Step-Up-User", "root")
	r.Header.Set("Cookie", "step_up_browser=a; session=b; __Host-step_up_0123456789abcdef=sug_c; theme=d; step_up_x=e")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	mu.Lock()
	defer mu.Unlock()
	if resp.StatusCode != http.StatusOK || asked["/auth"] == nil || asked["/accounts"] == nil {
		t.Fatalf("status %d, the bank was asked %v", resp.StatusCode, asked)
	}
	for path, h := range asked {
		cookie := h.Get("Cookie")
		if h.Get("Step-Up-User") != "" || strings.Contains(cookie, "step_up_") || !strings.Contains(cookie, "session=b") || !strings.Contains(cookie, "theme=d") {
			t.Errorf("%s: Step-Up-User %q, Cookie %q", path, h.Get("Step-Up-User"), cookie)
		}
	}
}
