package caddymodule

import (
	"context"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/metrics"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// auditTo writes each event as one line of the logger step_up.audit and counts
// it. Passes on a live grant are no events: they are counted alone.
func auditTo(log *zap.Logger) func(context.Context, ceremony.Event) {
	return func(_ context.Context, e ceremony.Event) {
		metrics.Decisions.WithLabelValues(string(e.Kind), string(e.Outcome), e.Cause, metrics.Labels.Of(e.Action)).Inc()
		fields := []zap.Field{
			zap.String("event", string(e.Kind)),
			zap.String("outcome", string(e.Outcome)),
			zap.String("tenant", e.Subject.Tenant),
			zap.String("user", e.Subject.User),
		}
		for _, f := range []struct{ name, value string }{
			{"cause", e.Cause}, {"action_type", e.Action}, {"method", e.Method}, {"object", e.Object}, {"client_ip", e.Address},
		} {
			if f.value != "" {
				fields = append(fields, zap.String(f.name, f.value))
			}
		}
		log.Info(e.Did(), append(fields, zap.Time("decided_at", e.Time))...)
	}
}
