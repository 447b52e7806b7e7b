package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// AuditCounts is how the audit log's own outputs are.
type AuditCounts struct {
	// Seq is the number of the last line in the chain.
	Seq uint64
	// Waiting lines wait for the file, Lost entries have no line.
	Waiting, Lost int
	// Failing reports whether the file cannot be written.
	Failing bool
	// Those of all syslog receivers together; SyslogFailing counts the receivers.
	SyslogWaiting, SyslogLost, SyslogFailing int
}

// auditCounts is of the configuration that started last; nil before the first.
var auditCounts atomic.Pointer[func() AuditCounts]

// OfAudit makes the metrics of the audit log those of its outputs.
func OfAudit(f func() AuditCounts) { auditCounts.Store(&f) }

func readAudit(of func(AuditCounts) float64) func() float64 {
	return func() float64 {
		f := auditCounts.Load()
		if f == nil {
			return 0
		}
		return of((*f)())
	}
}

var auditing = []prometheus.Collector{
	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "audit_sequence",
		Help:      "The number of the last line in the audit log's chain. It never falls: less than before, or less than the file has, means that lines were taken out.",
	}, readAudit(func(c AuditCounts) float64 { return float64(c.Seq) })),

	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "audit_failing",
		Help:      "1 while the audit log's file cannot be written or synced.",
	}, readAudit(func(c AuditCounts) float64 {
		if c.Failing {
			return 1
		}
		return 0
	})),

	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "audit_waiting",
		Help:      "Lines of the audit log that wait in memory for the file to be writable.",
	}, readAudit(func(c AuditCounts) float64 { return float64(c.Waiting) })),

	prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "audit_lost_total",
		Help:      "Decisions that have no line in the audit log's file, as it could not be written for too long. They are in Caddy's log.",
	}, readAudit(func(c AuditCounts) float64 { return float64(c.Lost) })),

	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "audit_syslog_failing",
		Help:      "How many of the audit log's syslog receivers cannot be reached.",
	}, readAudit(func(c AuditCounts) float64 { return float64(c.SyslogFailing) })),

	prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "step_up",
		Name:      "audit_syslog_waiting",
		Help:      "Lines of the audit log that wait to be sent to syslog, for all receivers together.",
	}, readAudit(func(c AuditCounts) float64 { return float64(c.SyslogWaiting) })),

	prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "step_up",
		Name:      "audit_syslog_lost_total",
		Help:      "Lines of the audit log that were not sent to a syslog receiver. They are in the file.",
	}, readAudit(func(c AuditCounts) float64 { return float64(c.SyslogLost) })),
}
