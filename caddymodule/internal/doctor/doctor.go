// Package doctor looks at a whole configuration of Caddy with the gateway in it, and
// tells an operator what the first user would otherwise find out: files that are not
// where they seem to be, rules that no request falls under, a site that asks nobody who
// they are, an issuer that cannot be reached.
//
// [Examine] reads the configuration as JSON, looks at the files that it names, and
// asks the servers that the gateway would ask, those of a shared database included. It
// changes nothing, sends no code, and opens no database, so that it can run beside the
// server. What it finds has a code
// that stays the same from version to version.
package doctor

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // something does not work, or protects nothing
	Warning Severity = "warning" // something works, and perhaps not as it is meant
	Note    Severity = "note"    // something to know
)

// Finding is one thing that an operator should know.
type Finding struct {
	Severity Severity `json:"severity"`
	// Code names the kind of finding, for programs.
	Code string `json:"code"`
	// Problem says what is wrong, and Advice what to do.
	Problem string `json:"problem"`
	Advice  string `json:"advice,omitempty"`
	// At is FILE:LINE of a Caddyfile, or the path in the JSON.
	At string `json:"at,omitempty"`
}

// Report is what was found.
type Report struct {
	Findings []Finding `json:"findings"` // the gravest first
	Files    []File    `json:"files"`
	Sites    []Site    `json:"sites"`
	// Store is the database, where it is on servers that several gateways use.
	Store    *remote.Inspection `json:"store,omitempty"`
	Requests []Request          `json:"requests,omitempty"` // the URLs that were asked about
}

// Worst is the severity of the gravest finding; empty if there is none.
func (r Report) Worst() Severity {
	if len(r.Findings) == 0 {
		return ""
	}
	return r.Findings[0].Severity
}

// Request is what would become of a request.
type Request struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Tenant string `json:"tenant,omitempty"`
	gate.Explanation
	// Problem says why the outcome is not known.
	Problem string `json:"problem,omitempty"`
}

// Input is what is examined.
type Input struct {
	Config json.RawMessage
	// Refused is why Caddy refuses the configuration; nil if it does not.
	Refused error
	// Servers are those of the provisioned configuration; nil if it was refused.
	Servers map[string]*caddyhttp.Server
	// Explain tells what would become of a request, and the tenant of its site; nil
	// if the configuration was refused.
	Explain func(method, url string) (tenant string, e gate.Explanation, err error)
	Paths   Paths
	// Inspect asks the servers of the database, and changes nothing; false: there are
	// none. It is nil if the configuration was refused.
	Inspect func(context.Context) (remote.Inspection, bool, error)
	// Lines are where words of Caddy's own settings first begin a line of the
	// Caddyfile, as FILE:LINE; nil if there is none.
	Lines map[string]string
	URLs  []string // asked about with GET and POST
	// Offline asks no other server.
	Offline bool
	Now     func() time.Time
}

// Examine looks at a configuration.
func Examine(ctx context.Context, in Input) Report {
	e := &examination{in: in}
	if err := json.Unmarshal(in.Config, &e.doc); err != nil {
		e.error("config-unreadable", "", "the configuration is not JSON of Caddy: "+err.Error(), "check the file and the name of its adapter")
		return e.report()
	}
	e.walk()
	if in.Refused != nil {
		sentence, at := refusal(in.Refused)
		e.error("refused", at, "Caddy refuses this configuration: "+sentence, "")
	}
	if len(e.sites) == 0 && in.Refused == nil {
		e.error("no-step-up", "", "no site has a step_up, so nothing is protected", "write a step_up block into the site that is to be protected")
	}
	e.files()
	e.served()
	e.listeners()
	e.identities()
	e.rules()
	e.policies()
	if !in.Offline {
		e.remotes(ctx)
	}
	e.requests()
	return e.report()
}

// Foresee returns the errors and warnings that the configuration alone shows,
// without a look at files or at other servers: what can be reported each time it
// loads.
func Foresee(in Input) []Finding {
	e := &examination{in: in}
	if json.Unmarshal(in.Config, &e.doc) != nil {
		return nil // it loads all the same, and is none of ours
	}
	e.walk()
	e.relative()
	e.served()
	e.listeners()
	e.identities()
	e.rules()
	e.policies()
	return slices.DeleteFunc(e.report().Findings, func(f Finding) bool { return f.Severity == Note })
}

// examination is a report in the making.
type examination struct {
	in       Input
	doc      document
	handlers []handler
	sites    []*site
	apis     []handler
	out      Report
}

func (e *examination) add(s Severity, code, at, problem, advice string) {
	f := Finding{s, code, problem, advice, at}
	if !slices.Contains(e.out.Findings, f) {
		e.out.Findings = append(e.out.Findings, f)
	}
}

func (e *examination) error(code, at, problem, advice string) {
	e.add(Error, code, at, problem, advice)
}
func (e *examination) warn(code, at, problem, advice string) {
	e.add(Warning, code, at, problem, advice)
}
func (e *examination) note(code, at, problem, advice string) {
	e.add(Note, code, at, problem, advice)
}

var gravity = map[Severity]int{Error: 0, Warning: 1, Note: 2}

func (e *examination) report() Report {
	slices.SortStableFunc(e.out.Findings, func(a, b Finding) int { return gravity[a.Severity] - gravity[b.Severity] })
	if e.out.Findings == nil {
		e.out.Findings = []Finding{}
	}
	for _, s := range e.sites {
		e.out.Sites = append(e.out.Sites, s.view)
	}
	return e.out
}

// refusal takes Caddy's account of where it was at off a refusal, and the place that
// stands at its end.
func refusal(err error) (sentence, at string) {
	sentence = err.Error()
	for _, mark := range []string{"provision http.handlers.step_up: ", "provision http.handlers.step_up_api: ", "provision step_up: "} {
		if i := strings.LastIndex(sentence, mark); i >= 0 {
			sentence = sentence[i+len(mark):]
		}
	}
	if i := strings.LastIndex(sentence, ", at "); i >= 0 && !strings.Contains(sentence[i+5:], " ") {
		return sentence[:i], sentence[i+5:]
	}
	return sentence, ""
}

// requests tells what would become of the URLs that were asked about.
func (e *examination) requests() {
	for _, url := range e.in.URLs {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := Request{Method: method, URL: url}
			if e.in.Explain == nil {
				r.Problem = "the configuration is refused"
			} else if tenant, explained, err := e.in.Explain(method, url); err != nil {
				r.Problem = err.Error()
			} else {
				r.Tenant, r.Explanation = tenant, explained
			}
			e.out.Requests = append(e.out.Requests, r)
		}
	}
}
