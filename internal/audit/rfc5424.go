package audit

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	// facility is "log audit" (RFC 5424 section 6.2.1).
	facility = 13
	// notice and informational are the severities of refusals and of everything else.
	notice        = 5
	informational = 6

	// sdID names the structured data. 32473 is the number for examples (RFC 5612),
	// since the gateway has no enterprise number of its own.
	sdID = "stepup@32473"
)

// syslogTime is RFC 3339 with microseconds, as RFC 5424 section 6.2.3 allows.
const syslogTime = "2006-01-02T15:04:05.000000Z07:00"

// message is a line in the form of RFC 5424: the place in the chain and the fields of
// the entry as structured data, the line itself as the message.
func message(l *Line, text []byte, pid int) []byte {
	severity := informational
	if l.Entry.Outcome == "refused" {
		severity = notice
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%d>1 %s %s caddy-step-up %d %s [%s", facility*8+severity,
		l.Entry.Time.UTC().Format(syslogTime), token(l.Entry.Node, 255), pid, token(l.Entry.Event, 32), sdID)
	fmt.Fprintf(&b, ` chain="%s" seq="%d" hash="%s"`, l.Chain, l.Seq, l.Hash)
	for _, f := range l.Entry.Fields() {
		if f.Name != "node" && f.Name != "decided_at" {
			fmt.Fprintf(&b, ` %s="%s"`, f.Name, escaped.Replace(fmt.Sprint(f.Value)))
		}
	}
	b.WriteString("] ")
	b.Write(bytes.TrimSuffix(text, []byte("\n")))
	return b.Bytes()
}

// escaped escapes a value of structured data (RFC 5424 section 6.3.3), in which
// nothing may end the line of a receiver that keeps lines.
var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`, "\n", " ", "\r", " ", "\x00", " ")

// token is a text as a field of the header: printable ASCII without blanks.
func token(text string, longest int) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), longest)]
}
