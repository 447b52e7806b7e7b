package gate

import (
	"net/http"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// surely returns a rule whose demand a request has whatever its body says: the one
// that decides it by path and method as they were sent, and asks for no fields.
// What a body says may add demands to it, and may make it ambiguous, but lets
// nothing pass unasked. So anyone who sends it can be identified first, and a stranger
// who would be refused anyway costs no look at a body (rule S26).
//
// It returns nil where there is no body, where that is not told as simply, and
// where observing rules are to be told of the request.
func (d *decision) surely(r *http.Request, original string, hinted hints) *rule {
	g := d.g
	if d.body.peek.Empty() || !g.readsBodies() || g.observes {
		return nil
	}
	if !plain(r, original) || hinted != 0 || g.usesHost && !oneHost(r) || g.hides(r.URL.Path) {
		return nil
	}
	safe := readings.SafeMethod(r.Method) && len(r.Header["Upgrade"]) == 0
	candidates, all := g.o.Candidates(r), len(g.rules)
	for i := candidates.Next(0, all); i < all; i = candidates.Next(i+1, all) {
		rl := &g.rules[i]
		if len(rl.Fields) > 0 || rl.Unsafe && (safe || rl.spares(r)) || rl.excepts(r, nil) {
			continue
		}
		if rl.Match != nil {
			ok, err := rl.Match(r)
			if err != nil {
				return nil
			}
			if !ok {
				continue
			}
		}
		return rl
	}
	return nil
}

// readsBodies reports whether some rule may depend on what a body says.
func (g *Gate) readsBodies() bool { return g.usesMethod || !g.fields.Empty() }
