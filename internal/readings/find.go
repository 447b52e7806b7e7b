package readings

import (
	"io"
	"strings"
	"unicode/utf8"
)

// body reads the fields of a body of whatever type: of a form, and of JSON, also
// where the type says something else, since some applications do not look at it.
// A body that is neither, by the letter, is one of which it cannot tell (rule
// S22): an application that takes XML, YAML, MessagePack, CBOR, a property list or
// a message of gRPC finds fields in it that we do not.
func (f *Found) body(p *Peek) {
	if p.empty() || f.unsure {
		return
	}
	types := p.r.Header["Content-Type"]
	kind := ""
	if len(types) == 1 {
		kind, _, _ = strings.Cut(lowerASCII(types[0]), ";")
		kind = strings.Trim(kind, blanks)
	}
	layout := layoutOf(types)
	if layout == oddForm || encoded(p.r.Header["Content-Encoding"]) || !p.done && p.r.ContentLength > int64(p.limit) {
		f.unsure = true
		return
	}
	p.read()
	if p.head == "" && p.err == io.EOF {
		return
	}
	f.allow(len(p.head))
	if p.err != io.EOF || markedUTF16(p.head) {
		f.unsure = true
	}
	text := strings.TrimPrefix(p.head, "\ufeff")

	form := false // it is a form by the letter
	was := f.unsure
	f.plain = false
	switch layout {
	case multipartForm:
		form = f.wholeParts(types[0], kind, p.head)
		f.plain = form
		f.multipart(p.head)
	case jsonForm:
		if kind != "json" {
			break
		}
		fallthrough
	default:
		// Of what says to be an image, too: some applications do not look.
		form = layout == urlencodedForm && isURLEncoded(p.head) || kind == "text/plain" && isURLEncoded(strings.TrimSuffix(p.head, "\r\n"))
		f.plain = form && kind == urlencodedType
		f.urlencoded(p.head)
	}
	f.unsure = f.unsure || was
	if layout != jsonForm && !looksLikeJSON(text) {
		f.unsure = f.unsure || !form
		return
	}
	f.plain = (layout == jsonForm || kind == "text/plain") && len(text) == len(p.head)
	f.readJSON(text)
	f.unsure = f.unsure || superset(kind)
}

const urlencodedType = "application/x-www-form-urlencoded"

// superset reports whether a type is one of those whose readers take JSON for
// more than it says: a << in YAML merges another object's members.
func superset(kind string) bool {
	return strings.Contains(kind, "yaml") || strings.Contains(kind, "yml") || strings.Contains(kind, "json5") || strings.Contains(kind, "hjson")
}

// isURLEncoded reports whether a body is what browsers and the libraries of
// clients send as application/x-www-form-urlencoded, and nothing that a parser of
// another kind would find names in: no controls, no broken UTF-8 (MessagePack,
// CBOR and BSON have both), and names without the blanks, quotes and brackets that
// XML, YAML, TOML and Lisp need. Values may have what a hasty client forgets to
// escape.
func isURLEncoded(s string) bool {
	s = strings.TrimPrefix(s, "\ufeff")
	if s == "" {
		return true
	}
	if s[0] == '%' && (len(s) < 3 || unhex(s[1])|unhex(s[2]) < 0) {
		return false
	}
	if c := s[0]; !unreserved(c) && strings.IndexByte("$%+~[;", c) < 0 && c < utf8.RuneSelf {
		return false // < { " & ! ? # begin other languages
	}
	if !utf8.ValidString(s) {
		return false
	}
	for i := 0; i < len(s); {
		for i < len(s) && bodyClass[s[i]] == 0 { // a name
			i++
		}
		if i == len(s) {
			break
		}
		switch bodyClass[s[i]] {
		case control, notInName:
			return false
		case equals:
			for i++; i < len(s) && bodyClass[s[i]]&(control|separates) == 0; {
				i++
			}
			if i < len(s) && bodyClass[s[i]] == control {
				return false
			}
		}
		i++
	}
	return true
}

// Classes of bytes of a form.
const (
	control   = 1 << iota // a control
	separates             // parts fields
	equals                // ends a name
	notInName             // stands in no name
)

var bodyClass = func() (t [256]byte) {
	for c := range t {
		switch {
		case c < ' ' || c == 0x7f:
			t[c] = control
		case c == '&' || c == ';':
			t[c] = separates
		case c == '=':
			t[c] = equals
		case strings.IndexByte(" \"'<>{}\\`", byte(c)) >= 0:
			t[c] = notInName
		}
	}
	return t
}()

// looksLikeJSON reports whether some decoder may find an object or array at the
// beginning of a body: behind blanks, a comment, a mark against inclusion as a
// script, or in an encoding of two or four bytes.
func looksLikeJSON(s string) bool {
	if markedUTF16(s) || strings.HasPrefix(s, "+AHs") || strings.HasPrefix(s, "+AFs") { // UTF-7
		return true
	}
	s = strings.TrimLeft(s, blanks+"\x00\x1e\ufeff\u00a0\u2028\u2029\u0085")
	if s == "" {
		return true // what follows may, where this is only the beginning
	}
	switch s[0] {
	case '{', '[', '#', ')', ';':
		return true
	case '/':
		return len(s) > 1 && (s[1] == '/' || s[1] == '*')
	}
	return false
}
