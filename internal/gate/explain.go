package gate

import (
	"cmp"
	"errors"
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// Explanation is a decision with its reasons, for the operator.
type Explanation struct {
	// Outcome is what the gate would do: "pass" without a grant, "step_up",
	// "own_page", "method_not_allowed", "not_found" for a reading under the
	// gateway's own prefix, "ambiguous_request", or "unavailable" where a
	// matcher failed.
	Outcome string `json:"outcome"`
	// Action and GrantType are what is demanded, with "step_up".
	Action    string `json:"action_type,omitempty"`
	GrantType string `json:"grant_type,omitempty"`
	// Also are the actions that are demanded besides, since it cannot be told
	// which of them the request is.
	Also []string `json:"also,omitempty"`
	// Readings are all ways to understand the request; none where there are too
	// many.
	Readings []Reading `json:"readings,omitempty"`
	// DependsOnBody reports that the outcome is that of a request whose body has
	// none of the fields that rules ask for. With some the rules decide that are
	// marked so among the readings.
	DependsOnBody bool `json:"depends_on_body,omitempty"`
}

// Reading is one way to understand a request, and what one rule says of it.
type Reading struct {
	// Method is "?" for one that the body may name and the gate cannot read.
	Method string `json:"method"`
	Path   string `json:"path"`
	// Rule is counted from 1; 0 where no rule matches.
	Rule   int    `json:"rule"`
	Action string `json:"action_type,omitempty"`
	Line   string `json:"line,omitempty"`
	// IfBody reports that the rule decides only where the body has its fields,
	// which cannot be told without one; the next reading tells what else.
	IfBody bool `json:"if_body,omitempty"`
	// Uncertain reports that it cannot be told whether the rule decides: a field has
	// other values too, or another spelling. The next reading tells what else may.
	Uncertain bool `json:"uncertain,omitempty"`
	// Observes reports that the rule is only watched: it counts the request and
	// decides nothing; the next reading tells what does.
	Observes bool `json:"observes,omitempty"`
	// Near reports that the rule names not this path but one at which an
	// application may do the same, such as "/pay" for "/pay.json"; the next reading
	// tells what else decides.
	Near bool `json:"near,omitempty"`
	// Excepted reports that the rule leaves the request alone because of its
	// except; the next reading tells what decides.
	Excepted bool `json:"excepted,omitempty"`
}

// Explain tells what the gate would decide of a request. It identifies nobody,
// begins and spends nothing.
func (g *Gate) Explain(r *http.Request) Explanation {
	r, sent := scrub(r, g.upgrades, &noNames)
	original, _ := g.o.Server.Original(r)
	if refusal := g.bars(r, cmp.Or(original, r.RequestURI), sent.channel); refusal != nil {
		return Explanation{Outcome: string(refusal.code)}
	}
	if g.own(r, original) != nil {
		return Explanation{Outcome: "own_page"}
	}
	var e Explanation
	d := g.deciding(r, original)
	d.body.unknown = r.Body == nil || r.Body == http.NoBody
	err := d.collectAll(r, original)
	for i := range d.all.n {
		e.add(d.all.at(i))
	}
	var j judgment
	if err == nil {
		j, err = judge(&d.all, d.body.peek.TooLarge())
	}
	switch {
	case errors.Is(err, errHidden):
		e.Outcome = "not_found"
	case errors.Is(err, errAmbiguous), errors.Is(err, readings.ErrTooMany):
		e.Outcome = "ambiguous_request"
	case err != nil:
		e.Outcome = "unavailable"
	case j.rule == nil:
		e.Outcome = "pass"
	default:
		e.Outcome, e.Action, e.GrantType = "step_up", j.rule.Demand.Action.String(), j.rule.Demand.Use.String()
		for _, rl := range j.also {
			e.Also = append(e.Also, rl.Demand.Action.String())
		}
	}
	return e
}

func (e *Explanation) add(m *match) {
	one := Reading{Method: m.method, Path: m.path, IfBody: m.ifBody, Near: m.near}
	if rl := m.rule; rl != nil {
		one.Rule, one.Action, one.Line = rl.number, rl.Demand.Action.String(), rl.Line
	}
	switch m.says {
	case mayDecide:
		one.Uncertain = !one.IfBody
	case observes:
		one.Observes = true
	case excepts:
		one.Excepted = true
	}
	e.DependsOnBody = e.DependsOnBody || m.ifBody && !one.Observes
	e.Readings = append(e.Readings, one)
}
