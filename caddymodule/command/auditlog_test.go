package command

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// Logs hold other loggers' lines, what clients sent, lines cut by a crash, and
// times in the forms that Caddy's encoders have.
func TestAuditLines(t *testing.T) {
	at := time.Unix(1795862805, 500_000_000)
	line := func(decided string) string {
		return `{"level":"info","ts":1,"time":"noon","logger":"step_up.audit","msg":"reset done","event":"reset","outcome":"done","tenant":"staff","user":"alice","decided_at":` + decided + "}\n"
	}
	for name, c := range map[string]struct {
		log               string
		events, lines, un int
	}{
		"seconds":          {line("1795862805.5"), 1, 1, 0},
		"milliseconds":     {line("1795862805500"), 1, 1, 0},
		"nanoseconds":      {line("1795862805500000000"), 1, 1, 0},
		"RFC 3339":         {line(`"` + at.UTC().Format(time.RFC3339Nano) + `"`), 1, 1, 0},
		"ISO 8601":         {line(`"` + at.UTC().Format("2006-01-02T15:04:05.000Z0700") + `"`), 1, 1, 0},
		"wall":             {line(`"` + at.Format("2006/01/02 15:04:05.000") + `"`), 1, 1, 0},
		"no time":          {line(`""`), 0, 1, 1},
		"null":             {line("null"), 0, 1, 1},
		"before 1970":      {line("-1"), 0, 1, 1},
		"other loggers":    {`{"logger":"http.log.access","request":{"uri":"/","headers":{"User-Agent":["step_up.audit"]}},"event":"reset","outcome":"done","decided_at":1}` + "\n", 0, 0, 0},
		"quoted by others": {`{"logger":"http.log.access","msg":"{\"logger\":\"step_up.audit\",\"event\":\"reset\"}"}` + "\n", 0, 0, 0},
		"what is no loss":  {strings.ReplaceAll(line("1"), "reset", "unlock"), 0, 1, 0},
		"what was refused": {strings.ReplaceAll(line("1"), "done", "refused"), 0, 1, 0},
		"cut by a crash":   {line("1795862805.5") + line("1795862805.5")[:90], 1, 2, 1},
		"no last newline":  {strings.TrimSpace(line("1795862805.5")), 1, 1, 0},
		"too long": {line("1795862805.5") + `{"logger":"step_up.audit","event":"reset","outcome":"done","user":"` + strings.Repeat("a", 3*maxLogLine) + `","decided_at":1}` + "\n" + line("1795862805.5"),
			2, 3, 1},
		"nothing":  {"", 0, 0, 0},
		"one byte": {"x", 0, 0, 0},
	} {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		if _, err := w.Write([]byte(c.log)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for form, log := range map[string]string{"plain": c.log, "compressed": zipped.String()} {
			var got auditLines
			if err := got.read(strings.NewReader(log)); err != nil {
				t.Errorf("%s, %s: %v", name, form, err)
			}
			if len(got.Events) != c.events || got.Lines != c.lines || got.Unreadable != c.un {
				t.Errorf("%s, %s: %d events, %d lines, %d unreadable", name, form, len(got.Events), got.Lines, got.Unreadable)
			}
			for _, e := range got.Events {
				if e.Time.Sub(at).Abs() > time.Millisecond || e.User != "alice" || e.Tenant != "staff" {
					t.Errorf("%s, %s: %+v", name, form, e)
				}
			}
		}
	}
}

// A log that tells of too much is refused, and read as a stream.
func TestAuditLinesAreBounded(t *testing.T) {
	one := `{"logger":"step_up.audit","event":"reset","outcome":"done","tenant":"t","user":"u","decided_at":1795862805}` + "\n"
	var got auditLines
	if err := got.read(strings.NewReader(strings.Repeat(one, ceremony.MaxLost+1))); err == nil || !strings.Contains(err.Error(), fmt.Sprint(ceremony.MaxLost)) {
		t.Error(err)
	}
}
