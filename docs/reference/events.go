package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/audit"
)

// The packages that name what an operator watches.
const (
	ofMetrics  = module + "/caddymodule/internal/metrics"
	ofCeremony = module + "/internal/ceremony"
	ofCause    = module + "/internal/cause"
	ofAudit    = module + "/internal/audit"
)

// metric is one collector.
type metric struct {
	name, help string
	labels     []string
}

// metricsOf reads the collectors of a package.
func metricsOf(src *source) ([]metric, error) {
	files, err := src.files(ofMetrics)
	if err != nil {
		return nil, err
	}
	var list []metric
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			opts, ok := call.Args[0].(*ast.CompositeLit)
			if !ok {
				return true
			}
			said := make(map[string]string)
			for _, e := range opts.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					said[fmt.Sprint(kv.Key)] = plain(kv.Value)
				}
			}
			if said["Help"] == "" {
				return true
			}
			m := metric{name: said["Namespace"] + "_" + said["Name"], help: said["Help"]}
			if len(call.Args) > 1 {
				if labels, ok := call.Args[1].(*ast.CompositeLit); ok {
					for _, e := range labels.Elts {
						m.labels = append(m.labels, plain(e))
					}
				}
			}
			list = append(list, m)
			return true
		})
	}
	slices.SortFunc(list, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

func plain(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, _ := strconv.Unquote(literal.Value)
	return s
}

// eventsPage draws events.md.
func eventsPage(src *source) (string, error) {
	var b strings.Builder
	b.WriteString(eventsIntro)
	fields, err := schemaFields()
	if err != nil {
		return "", err
	}
	b.WriteString(fields)
	list, err := metricsOf(src)
	if err != nil {
		return "", err
	}
	b.WriteString("\n## Metrics\n\nIn Caddy's Prometheus metrics, at `/metrics` of the admin endpoint. No label holds a user, an address, or anything else that a client writes.\n\n| metric | labels | |\n|---|---|---|\n")
	for _, m := range list {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m.name, code(m.labels), m.help)
	}
	for _, part := range []struct{ title, intro, in, typ string }{
		{"Events of the audit log", "`event` is one of these.", ofCeremony, "EventKind"},
		{"Outcomes", "`outcome` is one of these.", ofCeremony, "Outcome"},
		{"Records of the log about itself", "In the file of `audit`, `event` is also `audit_log`, with one of these outcomes.", ofAudit, "Record"},
		{"Actors", "`actor` is one of these.", ofCeremony, "ActorKind"},
		{"Causes", "`cause` says why something was refused.", ofCause, "Word"},
	} {
		words, err := src.constants(part.in, part.typ)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| | |\n|---|---|\n", part.title, part.intro)
		for _, w := range words {
			if w.text == "" {
				return "", fmt.Errorf("%s.%s needs a comment that says what it means: it stands in the audit log", part.in, w.name)
			}
			said := strings.TrimSpace(strings.TrimPrefix(paragraphs(w.text), w.name+" is"))
			fmt.Fprintf(&b, "| `%s` | %s |\n", w.value, said)
		}
	}
	return b.String(), nil
}

// schemaFields draws the fields of an entry, as the schema describes them.
func schemaFields() (string, error) {
	var schema struct {
		Defs struct {
			Entry struct {
				Properties json.RawMessage `json:"properties"`
			} `json:"entry"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(audit.Schema, &schema); err != nil {
		return "", fmt.Errorf("reading the audit log's schema: %w", err)
	}
	var b strings.Builder
	b.WriteString("| field | |\n|---|---|\n")
	d := json.NewDecoder(bytes.NewReader(schema.Defs.Entry.Properties))
	if _, err := d.Token(); err != nil {
		return "", err
	}
	for d.More() { // in the order of the text
		name, err := d.Token()
		if err != nil {
			return "", err
		}
		var field struct {
			Description string `json:"description"`
		}
		if err := d.Decode(&field); err != nil || field.Description == "" {
			return "", fmt.Errorf("the audit log's schema does not describe %v (%v)", name, err)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, field.Description)
	}
	return b.String(), nil
}

func code(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "`" + w + "`"
	}
	return strings.Join(quoted, ", ")
}

const eventsIntro = "# Metrics and audit events\n\n" +
	"Drawn from the code by `go run ./docs/reference`; a test compares it.\n\n" +
	"Each decision that matters is one line at INFO of the logger `step_up.audit`, whose message is the event and the outcome. Send it to a file of its own:\n\n" +
	"```caddyfile\n{\n\tlog audit {\n\t\toutput file /var/log/caddy/step_up_audit.log\n\t\tformat json\n\t\tinclude step_up.audit\n\t}\n}\n```\n\n" +
	"No line holds a code, a token, a secret, a phone number or a mail address. A request that passes on a live grant is counted and not logged.\n\n" +
	"The fields are those of version 1, described by [audit.schema.json](audit.schema.json); a later version may have more. Those that are empty are left out.\n\n"
