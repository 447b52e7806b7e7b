package readings

import (
	"encoding/json"
	"strings"
)

// isJSON reports whether some framework takes a body of this type, in lower
// case, for JSON: Laravel looks for these words anywhere in it.
func isJSON(contentType string) bool {
	return strings.Contains(contentType, "/json") || strings.Contains(contentType, "+json")
}

// anyMember finds the strings that are members by one of the names, at whatever
// depth, since Laravel takes the members of a JSON body for the fields of a form.
// It does not parse: every quotation mark may begin a name, so that no lenient
// parser finds one that it does not.
func (w *walk) anyMember(body string) {
	if strings.IndexByte(body, 0) >= 0 {
		w.unsure = true // UTF-16 without a mark
		return
	}
	// A quotation mark ends the text that any before it begins, unless an odd number
	// of backslashes stands in front of it. The first that does so is looked for
	// once for all of them.
	at := strings.IndexByte(body, '"')
	for at >= 0 && !w.unsure {
		end, inner := nextQuote(body, at+1)
		if end < 0 {
			return
		}
		colon := end + 1
		for colon < len(body) && isBlank[body[colon]] {
			colon++
		}
		if colon < len(body) && body[colon] == ':' {
			w.memberNamed(body[at:end+1], body[colon+1:])
			for inner >= 0 && !w.unsure {
				w.memberNamed(body[inner:end+1], body[colon+1:])
				_, inner = nextQuote(body[:end+1], inner+1)
			}
		}
		at = end
	}
}

// memberNamed finds the value of a member whose name, with its quotation marks, may
// be one that is looked for. rest is what follows the colon.
func (w *walk) memberNamed(name, rest string) {
	w.left -= costListed
	if w.exhausted() {
		w.unsure = true
		return
	}
	if bare := name[1 : len(name)-1]; strings.IndexByte(bare, '\\') < 0 {
		name = bare
	} else if !w.spend(costUnescape + 4*len(name)) {
		w.unsure = true
		return
	} else {
		name = jsonUnescaped(name)
	}
	if !w.named(name) {
		return
	}
	rest = strings.TrimLeft(rest, blanks)
	if rest != "" && rest[0] == '"' {
		if last, _ := nextQuote(rest, 1); last > 0 {
			w.member(jsonUnescaped(rest[:last+1]))
		}
	} else if rest != "" && strings.IndexByte("[{'/", rest[0]) >= 0 {
		w.unsure = true // a lenient parser may make a text of it
	}
}

func (w *walk) member(value string) {
	if !w.spend(len(value)) {
		w.unsure = true
		return
	}
	for _, h := range w.hits {
		w.keep(occurrenceKey{chain: w.chainOf(h), kind: encodedField, value: value}, "", h.name)
	}
}

// nextQuote returns where the first quotation mark is, from at on, that a backslash
// does not escape, and the first before it that one does; -1 for none.
func nextQuote(s string, at int) (end, inner int) {
	inner = -1
	for i := at; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i, inner
		case '\\':
			if i++; inner < 0 && i < len(s) && s[i] == '"' {
				inner = i
			}
		}
	}
	return -1, inner
}

// jsonUnescaped decodes a string with its quotation marks, if it can be.
func jsonUnescaped(s string) string {
	text := s[1 : len(s)-1]
	if strings.IndexByte(text, '\\') >= 0 && json.Unmarshal([]byte(s), &text) != nil {
		text = s[1 : len(s)-1]
	}
	return text
}
