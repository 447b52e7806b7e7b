package caddymodule

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// maxObservedLines is how many lines a second one observing rule may log: whoever
// can send requests could fill the disk.
const maxObservedLines = 10

// observer counts what the rules of one site meet, and logs what observing ones
// would have asked a proof for, as lines of the logger step_up.observe.
type observer struct {
	coverage *coverage.Tally
	tenant   string
	rules    []observedRule // as the gate has them
	log      *zap.Logger
	now      func() time.Time
}

type observedRule struct {
	line  string
	met   *atomic.Uint64
	lines *throttle
}

func newObserver(tenant string, rules []gate.Rule, log *zap.Logger, now func() time.Time) *observer {
	o := &observer{coverage: coverage.TallyOf(tenant, now()), tenant: tenant, log: log, now: now}
	for _, r := range rules {
		o.rules = append(o.rules, observedRule{line: r.Line, met: o.coverage.Counter(r.Line), lines: new(throttle)})
	}
	return o
}

// decided is on the hot path.
func (o *observer) decided(rule int) { o.rules[rule].met.Add(1) }

// observed logs a would-be challenge. Of the path the pattern is logged, without
// what may be a secret; the access log has the whole.
func (o *observer) observed(r *http.Request, seen gate.Observation) {
	rule := &o.rules[seen.Rule]
	rule.met.Add(1)
	ok, suppressed := rule.lines.take(o.now())
	if !ok {
		return
	}
	says, user := seen.Identity()
	fields := []zap.Field{
		zap.String("tenant", o.tenant),
		zap.String("action_type", seen.Action),
		zap.String("method", r.Method),
		zap.String("path", coverage.Collapse(r.URL.Path)),
		zap.String("identity", string(says)),
		zap.String("user", user),
		zap.String("rule", rule.line),
	}
	if suppressed > 0 {
		fields = append(fields, zap.Uint64("suppressed", suppressed))
	}
	o.log.Info("would ask for a proof", fields...)
}

func (o *observer) uncovered(r *http.Request, excepted bool) {
	o.coverage.Uncovered(r.Method, r.URL.Path, excepted, o.now())
}

// throttle lets maxObservedLines lines a second through.
type throttle struct {
	mu         sync.Mutex
	second     int64
	written    int
	suppressed uint64
}

// take reports whether a line may be written, and how many were not since the last
// one that was.
func (t *throttle) take(now time.Time) (ok bool, suppressed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := now.Unix(); s != t.second {
		t.second, t.written = s, 0
	}
	if t.written == maxObservedLines {
		t.suppressed++
		return false, 0
	}
	t.written++
	suppressed, t.suppressed = t.suppressed, 0
	return true, suppressed
}
