package caddymodule

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/metrics"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/occasion"
	"github.com/stepup-gateway/caddy-stepup/config"
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

// write writes one line to each output, a Caddy event, and an event of the request's
// span if it is traced.
func (a *App) write(ctx context.Context, e *ceremony.Event) {
	entry := entryOf(e)
	members := entry.Fields()
	fields := make([]zap.Field, 0, len(members)+2)
	for _, f := range members {
		fields = append(fields, zap.Any(f.Name, f.Value))
	}
	if at, ok := a.outputs.Write(entry); ok {
		fields = append(fields, zap.Uint64("seq", at.Seq), zap.String("hash", at.Hash.String()))
	}
	a.auditLog.Info(e.Did(), fields...)
	name := "step_up." + string(e.Kind)
	if a.events.ShouldEmit(name) {
		data := make(map[string]any, len(members))
		for _, f := range members {
			data[f.Name] = f.Value
		}
		a.events.Emit(a.ctx, name, data)
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent(name, trace.WithAttributes(
			attribute.String("step_up.outcome", entry.Outcome), attribute.String("step_up.cause", entry.Cause),
			attribute.String("step_up.action_type", entry.Action), attribute.String("step_up.method", entry.Method)))
	}
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

// readAudit reads where the audit log is written. Syntax:
//
//	audit {
//		file   PATH
//		head   PATH
//		node   NAME
//		required
//		syslog udp | tcp | tls | unix ADDRESS {
//			ca FILE
//		}
//	}
//
// file is required; syslog may be repeated, and its block is optional.
func (a *App) readAudit(d *caddyfile.Dispenser) error {
	directive := d.Token()
	if d.NextArg() {
		return d.Errf("audit takes a block, not %q: write `audit { file PATH }` on lines of their own", d.Val())
	}
	a.Audit = new(config.Audit)
	err := block.Block{
		Name:    "audit",
		Order:   []string{"file", "head", "node", "required", "syslog"},
		Repeats: "syslog",
		Settings: map[string]block.Setting{
			"file":     block.Text(&a.Audit.File, "/var/log/caddy/step_up_audit.jsonl"),
			"head":     block.Text(&a.Audit.Head, "/var/lib/step_up_audit.head"),
			"node":     block.Text(&a.Audit.Node, "gateway-1"),
			"required": func(*caddyfile.Dispenser) error { a.Audit.Required = true; return nil },
			"syslog":   a.readSyslog,
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return block.CheckedAt(directive, a.Audit.Validate())
}

func (a *App) readSyslog(d *caddyfile.Dispenser) error {
	directive := d.Token()
	var s config.Syslog
	if !d.Args(&s.Network, &s.Address) {
		return d.Err("syslog takes a network and an address, such as `syslog tls logs.example.com:6514`")
	}
	if d.NextArg() {
		return d.Errf("syslog takes a network, an address and then a block, and %q follows them", d.Val())
	}
	err := block.Block{
		Name:     "syslog",
		Order:    []string{"ca"},
		Settings: map[string]block.Setting{"ca": block.Text(&s.CA, "/etc/ssl/logs.pem")},
	}.Read(d)
	if err != nil {
		return err
	}
	a.Audit.Syslog = append(a.Audit.Syslog, s)
	return block.CheckedAt(directive, s.Validate())
}
