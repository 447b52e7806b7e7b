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

// json collects the strings that are members by one of the names, at whatever
// depth, since Laravel takes the members of a JSON body for the fields of a form.
// It does not parse: every quotation mark may begin a name, so that no lenient
// parser finds one that it does not.
func (f *fieldReader) json(body string) {
	if strings.IndexByte(body, 0) >= 0 {
		f.unsure = true // UTF-16 without a mark
		return
	}
	for at := 0; !f.unsure; {
		i := strings.IndexByte(body[at:], '"')
		if i < 0 {
			return
		}
		at += i
		name, rest, ok := jsonString(body[at:])
		at++
		if !ok {
			continue
		}
		if rest, ok = strings.CutPrefix(strings.TrimLeft(rest, blanks), ":"); !ok || !f.named(name) {
			continue
		}
		rest = strings.TrimLeft(rest, blanks)
		if value, _, ok := jsonString(rest); ok {
			f.add(value)
		} else if rest != "" && strings.IndexByte("[{'/", rest[0]) >= 0 {
			f.unsure = true // a lenient parser may make a text of it
		}
	}
}

// jsonString reads the string at the beginning of s, and gives what follows.
func jsonString(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	escaped := false
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			text, rest = s[1:i], s[i+1:]
			if escaped && json.Unmarshal([]byte(s[:i+1]), &text) != nil {
				text = s[1:i]
			}
			return text, rest, true
		}
	}
	return "", "", false
}
