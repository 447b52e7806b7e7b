package caddymodule

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/metrics"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/occasion"
	"github.com/stepup-gateway/caddy-stepup/internal/audit"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/clock"
)

// refusedCalls bounds the lines about calls of the API for servers that were refused
// for who made them, of each cause. It is the process's, so that a reload does not
// begin anew.
var refusedCalls = occasion.Burst{Each: 10, Window: time.Minute}

// audit writes each event as one line and counts it. Passes on a live grant are no
// events: they are counted alone.
func (a *App) audit(ctx context.Context, e ceremony.Event) {
	count(&e)
	a.write(ctx, &e)
}

func count(e *ceremony.Event) {
	metrics.Decisions.WithLabelValues(string(e.Kind), string(e.Outcome), e.Cause, metrics.Labels.Of(e.Action)).Inc()
}

// auditRefused is audit for refusals of which strangers choose how many there are.
func (a *App) auditRefused(ctx context.Context, e ceremony.Event) {
	count(&e)
	refusedCalls.Write(e.Cause, e.Time, func() { a.write(ctx, &e) }, func(leftOut int) {
		a.write(context.WithoutCancel(ctx), &ceremony.Event{
			Time: clock.Now(), Kind: e.Kind, Outcome: e.Outcome, Cause: e.Cause,
			Actor: ceremony.Actor{Kind: ceremony.ByNobody}, LeftOut: leftOut,
		})
	})
}

// write writes one line.
func (a *App) write(_ context.Context, e *ceremony.Event) {
	entry := entryOf(e)
	var fields []zap.Field
	for _, f := range entry.Fields() {
		fields = append(fields, zap.Any(f.Name, f.Value))
	}
	a.auditLog.Info(e.Did(), fields...)
}

func entryOf(e *ceremony.Event) audit.Entry {
	return audit.Entry{
		Time: e.Time.UTC(), Event: string(e.Kind), Outcome: string(e.Outcome), Cause: e.Cause,
		Tenant: e.Subject.Tenant, User: e.Subject.User,
		Actor: string(e.Actor.Kind), ActorID: e.Actor.ID, ActorLabel: e.Actor.Label, ActorBrowser: e.Actor.Browser,
		ActorFrom: e.Actor.From, ActorClaimed: e.Actor.Claimed,
		Action: e.Action, Method: e.Method, Object: e.Object, Address: e.Address, LeftOut: e.LeftOut,
	}
}
