package lasting_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/lasting"
)

// Strangers do not choose how much is logged, and the operator sees how much there
// was.
func TestAgain(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	l := lasting.New(zap.New(core))
	r, now := httptest.NewRequest("GET", "/", nil), time.Now()
	for range 100 {
		l.PlainHTTP(r, false, now)
		l.Nobody(r, now)
	}
	l.PlainHTTP(r, false, now.Add(lasting.Again))
	l.Nobody(r, now.Add(lasting.Again))
	var refused []int64
	for _, entry := range logs.All() {
		refused = append(refused, entry.ContextMap()["refused"].(int64))
	}
	if len(refused) != 4 || refused[0] != 1 || refused[1] != 1 || refused[2] != 100 || refused[3] != 100 {
		t.Errorf("logged %v", refused)
	}
	l.Identified()
	if l.Nobody(r, now.Add(2*lasting.Again)); logs.Len() != 4 {
		t.Error("told after somebody was identified")
	}
}
