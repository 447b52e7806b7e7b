package metrics

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
)

// condition is that of the database of the configuration that started last; nil
// before the first.
var condition atomic.Pointer[func() database.Condition]

// Of makes the metrics of the store those of a database.
func Of(f func() database.Condition) { condition.Store(&f) }

// read returns a metric of the store, which is looked at when it is collected.
func read(of func(database.Condition) float64) func() float64 {
	return func() float64 {
		f := condition.Load()
		if f == nil {
			return 0
		}
		return of((*f)())
	}
}

var store = []prometheus.Collector{
	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "store_in_use",
		Help:      "1 while the database is in use, 0 while what is protected is refused for want of it.",
	}, read(func(c database.Condition) float64 {
		if c.Since != nil {
			return 0
		}
		return 1
	})),

	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "store_generation",
		Help:      "The generation of the database: how often it could not be told whether it had lost something, or it had.",
	}, read(func(c database.Condition) float64 { return float64(c.Generation) })),

	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "store_heard_seconds",
		Help:      "How long ago the last complete reading began of what other gateways of the database took away; infinite while there is none that counts, 0 for a database of this gateway's alone.",
	}, read(func(c database.Condition) float64 {
		if c.Shared && c.Heard == 0 {
			return math.Inf(1)
		}
		return c.Heard.Seconds()
	})),

	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "backup_age_seconds",
		Help:      "How old the last backup is that `caddy step-up backup` made, of any gateway of the database; infinite while none is known.",
	}, read(func(c database.Condition) float64 {
		if c.Backup.IsZero() {
			return math.Inf(1)
		}
		return time.Since(c.Backup).Seconds()
	})),

	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "store_clock_difference_seconds",
		Help:      "By how much the clock of the database server (with etcd, of the gateway that differs most) is ahead of this machine's, at least; negative if it is behind. PostgreSQL: beyond 2 s it refuses; etcd: beyond 4 s.",
	}, read(func(c database.Condition) float64 { return c.Skew.Seconds() })),

	prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "store_changes_total",
		Help:      "Changes that took place in a database that several gateways share, as this gateway asked for them.",
	}, read(func(c database.Condition) float64 { return float64(c.Changes.Done) })),

	prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "store_changes_refused_total",
		Help:      "Changes to a shared database that did not take place since another one was first, or a new generation had begun.",
	}, read(func(c database.Condition) float64 { return float64(c.Changes.Refused) })),

	prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "store_changes_unknown_total",
		Help:      "Changes to a shared database of which it is not known whether they took place; whoever asked for them was refused.",
	}, read(func(c database.Condition) float64 { return float64(c.Changes.Unknown) })),

	prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "store_changes_failed_total",
		Help:      "Changes to a shared database that failed for another reason, such as a server that cannot be reached.",
	}, read(func(c database.Condition) float64 { return float64(c.Changes.Failed) })),

	prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "store_change_seconds_total",
		Help:      "How long all these changes took together; divided by their number, the mean.",
	}, read(func(c database.Condition) float64 { return c.Changes.Took.Seconds() })),
}
