package gate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/digest"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// Limits on what is shown, in characters.
const (
	maxShownName  = 64
	maxShownValue = 256
)

// bind binds what the person is about to prove to this one request, where the rule
// shows some of it: what is approved is what was seen, and nothing that was
// changed on the way from there. A request that cannot be shown whole, because it
// is too large, not complete, compressed, or has more such fields than a person
// would read, is refused.
func (v *visit) bind() *refusal {
	v.request, v.shown = [32]byte{}, nil
	if len(v.rule.Show) == 0 {
		return nil
	}
	if v.bound == nil {
		v.bound = &bound{peek: v.peek(int(v.g.o.MaxHeld))}
		body, err := v.bound.peek.Body()
		switch {
		case errors.Is(err, readings.ErrBodyTooLarge):
			v.bound.refusal = tooLargeToShow
			if navigates(v.r.Header) {
				// A browser shows an answer only once it has sent all.
				v.drain()
			}
		case err != nil:
			v.bound.refusal = incomplete
		default:
			_, query, _ := strings.Cut(v.original, "?")
			v.bound.found = v.g.shown.Read(v.r, query)
			v.bound.request = v.digest(body)
		}
	}
	if v.bound.refusal != nil {
		return v.bound.refusal
	}
	shown, certain := v.bound.found.Shown(v.rule.Show, &v.bound.peek)
	if !certain {
		return notShown
	}
	for _, s := range shown {
		name, _ := visible(s.Name, maxShownName)
		value, cut := visible(s.Value, maxShownValue)
		v.shown = append(v.shown, ceremony.Shown{Name: name, Label: v.rule.ShowLabels[s.Name], Value: value, Cut: cut})
	}
	v.request = v.bound.request
	return nil
}

// bound is what binding a request found, once for all rules whose grants it needs.
type bound struct {
	peek    readings.Peek
	found   *readings.Found
	request [32]byte
	refusal *refusal
}

// digest stands for the request in a grant: SHA-256 over site, method and what
// overrides it, target and what else names one, media type, coding, the headers
// that say what an operation does, and body, and over nothing else. Each
// part has its length in front, so that none can be taken for another's.
func (v *visit) digest(body string) [32]byte {
	h := sha256.New()
	var overrides []string
	for name := range v.r.Header {
		if mayOverride(name) || namesAPath(name) || namesAHost(name) {
			overrides = append(overrides, name)
		}
	}
	slices.Sort(overrides)
	digest.Write(h, "step-up request", "2", v.g.o.Server.Origin(v.r), v.r.Method, v.asked())
	for _, name := range append(overrides, "Content-Type", "Content-Encoding", "Overwrite", "Depth", "Slug", "Soapaction", "Content-Location", "Link") {
		digest.Write(h, name)
		digest.Write(h, v.r.Header[name]...)
	}
	digest.Write(h, body)
	return [32]byte(h.Sum(nil))
}

// visible makes a text fit for a person to judge: what does not show, or changes
// how the rest does (controls, line breaks, marks of direction, odd spaces), is
// written as an escape. At most limit characters are kept.
func visible(s string, limit int) (_ string, cut bool) {
	var b strings.Builder
	for n := 0; s != ""; n++ {
		if n == limit {
			return b.String(), true
		}
		c, size := utf8.DecodeRuneInString(s)
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, c)
		default:
			fmt.Fprintf(&b, `\u%04x`, c)
		}
		s = s[size:]
	}
	return b.String(), false
}
