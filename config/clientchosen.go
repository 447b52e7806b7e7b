package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// checkOpening refuses matchers by which a client leaves the rule: what the client
// chooses, turned round. A rule for requests without an API key is left by
// sending any. Paths and methods may be turned round, since every reading of a
// request is judged.
func (m Matchers) checkOpening(negated bool) error {
	for name, raw := range m {
		switch name {
		case "header", "header_regexp", "query":
			if negated {
				return opening("not " + name)
			}
		case "expression":
			text := strings.ToLower(string(raw))
			if (negated || strings.Contains(strings.ReplaceAll(text, "\\u0021", "!"), "!")) && clientChosen(text) {
				return opening("a negated expression on headers, cookies or the query")
			}
		case "vars", "vars_regexp":
			if negated && clientChosen(strings.ToLower(string(raw))) {
				return opening("not " + name)
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

// clientChosen reports whether a matcher's text refers to what a client chooses
// besides path and method.
func clientChosen(text string) bool {
	for _, word := range []string{"header", "query", "cookie", "{http.request.uri", "{uri"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

func opening(what string) error {
	return fmt.Errorf("%s lets any client leave the rule by sending what it names, whatever the value is worth: match path and method, and use except, or form and json, for what needs no proof", what)
}
