// Package metrics has the gateway's Prometheus collectors, whose labels are bounded.
package metrics

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// The collectors live as long as the process, so that counters go on counting
// across reloads; each configuration has a registry of its own, and they are
// registered in each.
//
// No label holds a user, an address or anything else that a client writes: the
// action types are the operator's, see actionLabels, all other values are ours.
var (
	Requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "requests_total",
		Help:      "Protected requests by action type and what became of them; would_challenge counts those of rules that only observe.",
	}, []string{"action_type", "outcome"})

	Decisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "decisions_total",
		Help:      "Decisions that stand in the audit log, by what was decided on, the outcome and its cause.",
	}, []string{"event", "outcome", "cause", "action_type"})

	SessionsReplaced = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "session_cookies_replaced_total",
		Help:      "Answers to whoami that gave the session cookie another value; if nearly all do, sessions cannot be told apart by it.",
	})
)

// Register adds the collectors to a configuration's registry.
func Register(registry prometheus.Registerer) error {
	if registry == nil {
		return nil
	}
	for _, c := range slices.Concat([]prometheus.Collector{Requests, Decisions, SessionsReplaced}, store, auditing) {
		if err := registry.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
