package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// checkOpening refuses matchers by which a client leaves the rule by sending more:
// what the client chooses, turned round. A rule for requests without an API key is
// left by sending any. Paths and methods may be turned round, since every reading
// of a request is judged.
func (m Matchers) checkOpening(negated bool) error {
	for name, raw := range m {
		switch name {
		case "header_regexp":
			if negated {
				return opening("not " + name)
			}
		case "header":
			var fields map[string][]string // nil: the field is absent
			if err := json.Unmarshal(raw, &fields); err != nil {
				return fmt.Errorf("reading the header matcher: %w", err)
			}
			for field, values := range fields {
				switch absent := values == nil; {
				case negated && !absent:
					return opening("not header")
				case !negated && absent:
					return opening("header !" + field)
				}
			}
		case "query":
			var fields map[string]any // none: there is no query
			if err := json.Unmarshal(raw, &fields); err != nil {
				return fmt.Errorf("reading the query matcher: %w", err)
			}
			switch {
			case negated && len(fields) > 0:
				return opening("not query")
			case !negated && len(fields) == 0:
				return opening("an empty query")
			}
		case "protocol":
			if text := strings.ToLower(string(raw)); negated && (strings.Contains(text, "/") || strings.Contains(text, "grpc")) {
				return opening("not protocol with a version of HTTP or grpc")
			}
		case "expression":
			text := strings.ToLower(strings.ReplaceAll(string(raw), `\u0021`, "!"))
			if clientChosen(text) && (negated || turnsRound(text)) {
				return opening("an expression that turns headers, cookies or the query round")
			}
		case "vars", "vars_regexp":
			switch {
			case !clientChosen(strings.ToLower(string(raw))):
			case negated:
				return opening("not " + name)
			case takesNothing(raw):
				return opening("an empty value of " + name)
			}
		case "not":
			var sets []Matchers
			if err := json.Unmarshal(raw, &sets); err != nil {
				return fmt.Errorf("reading the not matcher: %w", err)
			}
			for _, set := range sets {
				if err := set.checkOpening(!negated); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// turnsRound reports whether an expression may be true of what is absent.
func turnsRound(text string) bool {
	for _, word := range []string{"!", "?", "false", "''", `""`, `\"\"`, "size("} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// takesNothing reports whether a vars or vars_regexp matcher matches the empty
// value, which a placeholder without one has.
func takesNothing(raw []byte) bool {
	var values map[string][]string
	if json.Unmarshal(raw, &values) == nil {
		for _, list := range values {
			if slices.Contains(list, "") {
				return true
			}
		}
		return false
	}
	var patterns map[string]struct {
		Pattern string `json:"pattern"`
	}
	if json.Unmarshal(raw, &patterns) != nil {
		return false // Caddy refuses it
	}
	for _, p := range patterns {
		if re, err := regexp.Compile(p.Pattern); err == nil && re.MatchString("") {
			return true
		}
	}
	return false
}

// clientChosen reports whether a matcher's text refers to what a client chooses
// besides path and method.
func clientChosen(text string) bool {
	text = strings.ReplaceAll(text, "{http.request.uri.path", "")
	for _, word := range []string{"header", "query", "cookie", "{http.request.uri", "{uri", "{http.request.proto", "{proto", "{http.request.tls", "{tls", "{http.request.body", "{http.request.orig_uri"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// ClientChosen lists the matchers of a rule that are about what a client chooses
// and may leave out or write in another way, header and query among them: a request
// without it does not fall under the rule.
func (r *Rule) ClientChosen() []string {
	var found []string
	for _, set := range append([]Matchers{r.On}, r.Match...) {
		for name, raw := range set {
			switch name {
			case "header", "header_regexp", "query":
			case "expression", "vars", "vars_regexp":
				if !clientChosen(strings.ToLower(string(raw))) {
					continue
				}
			default:
				continue
			}
			if !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	slices.Sort(found)
	return found
}

func opening(what string) error {
	return fmt.Errorf("%s lets any client leave the rule by sending what it names, whatever the value is worth: match path and method, and use except, or form and json, for what needs no proof", what)
}
