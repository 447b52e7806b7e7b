package gate

import (
	"net/http"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// maxBody is how much of a body is looked through for a method override and for
// the fields of rules. It is read before anybody is identified, so it bounds what
// a stranger can make the gateway hold. In a longer body it cannot be told, until
// it is known who asks; see lookFurther.
const maxBody = 256 << 10

// body is what rules ask of a request beyond its path, method and headers. It is
// read where the first rule asks for it that matches so far, and once for all of
// them: every reading of path and method has the same body.
type body struct {
	r    *http.Request
	peek readings.Peek
	// queries is the one that the client sent, where it was rewritten; empty
	// elsewhere.
	queries []string
	// unknown reports that nobody knows the body: Explain has none.
	unknown  bool
	table    *readings.Table // of the fields of all rules
	found    *readings.Found // made where the first is needed, as are verdicts
	verdicts []verdict       // by rule
	eithers  []eitherVerdict
}

type verdict struct {
	known bool
	is    readings.Verdict
	// ifBody reports that the verdict is so only if the body has fields that the
	// queries have not, where nobody knows the body.
	ifBody bool
}

func bodyOf(r *http.Request, original string, table *readings.Table) body {
	b := body{r: r, peek: readings.NewPeek(r, maxBody), table: table}
	if original != "" {
		_, query, _ := strings.Cut(original, "?")
		b.queries = []string{query}
	}
	return b
}

// holds reports whether the request has all of the rule's fields: it has not where
// one is certainly not there, and it cannot be told where one has other values too.
// rules is how many rules there are.
func (b *body) holds(rl *rule, rules int) verdict {
	if b.verdicts == nil {
		b.verdicts = make([]verdict, rules)
	}
	v := &b.verdicts[rl.number-1]
	if v.known {
		return *v
	}
	*v = verdict{known: true, is: readings.Yes}
	found := b.fields()
	for i := range rl.Fields {
		// Called as they are: through a variable they would move every request's
		// decision to the heap.
		var is readings.Verdict
		if rl.settles {
			is = found.In(&rl.Fields[i], rl.places[i], &b.peek)
		} else {
			is = found.InEvery(&rl.Fields[i], rl.places[i], &b.peek)
		}
		switch is {
		case readings.No:
			if !b.unknown {
				v.is = readings.No
				return *v
			}
			v.is, v.ifBody = readings.CannotTell, true
		case readings.CannotTell:
			v.is = readings.CannotTell
		}
	}
	return *v
}

// fields reads the request for the fields of all rules at once.
func (b *body) fields() *readings.Found {
	if b.found == nil {
		b.found = b.table.Read(b.r, b.queries...)
	}
	return b.found
}
