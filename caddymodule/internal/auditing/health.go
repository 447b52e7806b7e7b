package auditing

import (
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/metrics"
)

// Health is how the outputs are, as the health route tells it.
type Health struct {
	// Head is the last line, in the form that `caddy step-up audit verify --head`
	// takes: whoever keeps it can tell later that the log's end was cut off.
	Head string `json:"head,omitempty"`
	// Waiting counts the lines that wait for the file, Lost the decisions that have
	// none. Reason says why the file cannot be written.
	Waiting int    `json:"waiting,omitempty"`
	Lost    int    `json:"lost,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Syslog are the receivers, in the order of the configuration.
	Syslog []SyslogHealth `json:"syslog,omitempty"`
}

// SyslogHealth is how a receiver is.
type SyslogHealth struct {
	Waiting int    `json:"waiting,omitempty"`
	Lost    int    `json:"lost,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// Problem is the first thing that is wrong; empty if nothing is.
func (h *Health) Problem() string {
	switch {
	case h == nil:
		return ""
	case h.Reason != "":
		return h.Reason
	case h.Lost > 0:
		return fmt.Sprintf("%d decisions have no line in the audit log's file, which could not be written; they are in Caddy's log", h.Lost)
	}
	for _, s := range h.Syslog {
		if s.Reason != "" {
			return s.Reason
		}
	}
	return ""
}

// Health returns how the outputs are; nil where there are none.
func (o *Outputs) Health() *Health {
	if o == nil {
		return nil
	}
	now := o.log.Status()
	h := &Health{Waiting: now.Waiting, Lost: now.Lost, Reason: textOf(now.Err)}
	if now.Head.Seq > 0 {
		h.Head = now.Head.String()
	}
	for _, name := range o.names {
		s := o.syslogs[name].Status()
		h.Syslog = append(h.Syslog, SyslogHealth{Waiting: s.Waiting, Lost: s.Lost, Reason: textOf(s.Err)})
	}
	return h
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Counts returns how the outputs are, for metrics.
func (o *Outputs) Counts() (c metrics.AuditCounts) {
	if o == nil {
		return c
	}
	now := o.log.Status()
	c.Seq, c.Waiting, c.Lost, c.Failing = now.Head.Seq, now.Waiting, now.Lost, now.Err != nil
	for _, name := range o.names {
		s := o.syslogs[name].Status()
		c.SyslogWaiting += s.Waiting
		c.SyslogLost += s.Lost
		if s.Err != nil {
			c.SyslogFailing++
		}
	}
	return c
}
