package command

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/audit"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// auditLines is what was read of audit logs.
type auditLines struct {
	Events []adminapi.LostEvent
	// Lines counts the lines of the audit log, Unreadable those among them that
	// could not be read, and Erased those of which nothing is left to read.
	Lines, Unreadable, Erased int
	// First is the time of the earliest line of the audit log.
	First time.Time
}

// missing says why something that happened after a time may be in none of the lines that
// were read, though their end is of now; empty: it is in one.
func (a *auditLines) missing(since time.Time) string {
	switch {
	case a.First.IsZero():
		return "No audit log was given."
	case a.First.After(since):
		return "The audit log does not reach back to before the backup: it begins on " + a.First.Local().Format(minute) + "."
	case a.Unreadable > 0:
		return "Not all lines of the audit log could be read."
	}
	return ""
}

// began notes the time of a line.
func (a *auditLines) began(t time.Time) {
	if a.First.IsZero() || t.Before(a.First) {
		a.First = t
	}
}

// maxLogLine bounds a line of a log, in bytes. What is longer is none of ours.
const maxLogLine = 64 << 10

// auditLogger names the logger in each line, as Caddy writes it in JSON.
var auditLogger = []byte(`"step_up.audit"`)

// read adds the events of a log that tell what was given or taken away. The log
// is the gateway's own file, or JSON as Caddy writes it, a line for each entry,
// compressed or not; other loggers' lines are passed over. It is read as a stream.
func (a *auditLines) read(r io.Reader) error {
	lines := bufio.NewReaderSize(r, maxLogLine)
	if head, err := lines.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		plain, err := gzip.NewReader(lines)
		if err != nil {
			return fmt.Errorf("reading compressed log: %w", err)
		}
		lines = bufio.NewReaderSize(plain, maxLogLine)
	}
	for {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		switch {
		case audit.IsLine(line):
			a.own(line)
		case bytes.Contains(line, auditLogger):
			a.line(line, long)
		}
		if len(a.Events) > ceremony.MaxLost {
			return fmt.Errorf("the log tells of more than %d things that were given or taken away: name only the part of it since the copy was made", ceremony.MaxLost)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading log: %w", err)
		}
	}
}

// own reads a line of the gateway's own file.
func (a *auditLines) own(text []byte) {
	a.Lines++
	l, err := audit.Parse(text)
	e := adminapi.LostEvent{
		Time: l.Entry.Time, Event: l.Entry.Event, Outcome: l.Entry.Outcome, Cause: l.Entry.Cause,
		Tenant: l.Entry.Tenant, User: l.Entry.User, Method: l.Entry.Method, Object: l.Entry.Object,
	}
	if err == nil && !l.Erased {
		a.began(e.Time)
	}
	switch {
	case err != nil:
		a.Unreadable++
	case l.Erased:
		a.Erased++
	case counts(&e):
		a.Events = append(a.Events, e)
	}
}

// line reads a line of Caddy's logger step_up.audit.
func (a *auditLines) line(text []byte, cut bool) {
	// The fields are those of audit.Entry.
	var l struct {
		Logger    string          `json:"logger"`
		Event     string          `json:"event"`
		Outcome   string          `json:"outcome"`
		Cause     string          `json:"cause"`
		Tenant    string          `json:"tenant"`
		User      string          `json:"user"`
		Method    string          `json:"method"`
		Object    string          `json:"object"`
		DecidedAt json.RawMessage `json:"decided_at"`
	}
	err := json.Unmarshal(text, &l)
	if err == nil && l.Logger != "step_up.audit" {
		return // some text that names it
	}
	a.Lines++
	e := adminapi.LostEvent{Event: l.Event, Outcome: l.Outcome, Cause: l.Cause, Tenant: l.Tenant, User: l.User, Method: l.Method, Object: l.Object}
	counts := err != nil || counts(&e)
	if e.Time, err = logTime(l.DecidedAt, err); err == nil && !cut {
		a.began(e.Time)
	}
	if !counts {
		return
	}
	if err != nil || cut {
		a.Unreadable++
		return
	}
	a.Events = append(a.Events, e)
}

// counts reports whether an event gave or took away something that an older copy
// of the database may not know.
func counts(e *adminapi.LostEvent) bool {
	switch e.Event + " " + e.Outcome {
	case "api_key created", "api_key revoked", "reset done", "remove done", "disown done", "vouch done",
		"recovery_codes done", "confirm done", "invite done":
		return true
	case "verify passed":
		return e.Method == grants.RecoveryCode.String()
	case "verify refused":
		return e.Cause == "cloned"
	}
	return false
}

// logLayouts are the forms in which Caddy's encoders write times as text; see
// its time_format.
var logLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.000Z0700", "2006/01/02 15:04:05.000", "2006/01/02 15:04:05", "02/Jan/2006:15:04:05 -0700"}

// logTime reads a time as a log has it: text, or a number of seconds, milli- or
// nanoseconds since 1970.
func logTime(raw json.RawMessage, err error) (time.Time, error) {
	if err != nil {
		return time.Time{}, err
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		for _, layout := range logLayouts {
			if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
				return t, nil
			}
		}
		return time.Time{}, errors.New("time of an unknown form")
	}
	var n float64
	if err := json.Unmarshal(raw, &n); err != nil || n <= 0 {
		return time.Time{}, errors.New("time of an unknown form")
	}
	switch { // no log is from before 1973
	case n > 1e17:
		n /= 1e9
	case n > 1e11:
		n /= 1e3
	}
	whole, part := math.Modf(n)
	return time.Unix(int64(whole), int64(part*1e9)), nil
}
