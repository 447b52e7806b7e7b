package command

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A command that is run while Caddy starts finds an admin endpoint without routes for
// some milliseconds, and waits for them; one that never has them is another Caddy.
func TestCommandsWaitForTheStart(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 4 {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"users":[]}`))
	}))
	defer server.Close()
	r := remote{address: strings.TrimPrefix(server.URL, "http://")}
	var answer map[string]any
	if err := r.call("users", nil, &answer); err != nil || asked.Load() != 4 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}

	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	r.address = strings.TrimPrefix(other.URL, "http://")
	if err := r.call("users", nil, &answer); err == nil || !strings.Contains(err.Error(), "has no step_up") {
		t.Errorf("a Caddy without step_up: %v", err)
	}

	missing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
		w.Write([]byte(`{"error":"there is no such user"}`))
	}))
	defer missing.Close()
	r.address = strings.TrimPrefix(missing.URL, "http://")
	before := asked.Load()
	if err := r.call("users", nil, &answer); err == nil || err.Error() != "there is no such user" || asked.Load() != before+1 {
		t.Errorf("our own 404: %v, asked %d times", err, asked.Load()-before)
	}
}
