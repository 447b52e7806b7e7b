package readings

import (
	"bufio"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
)

// Limits on a body of parts; PHP and Go take some thousand.
const (
	maxWholeParts = 1000
	// maxOddParts is how many parts may be written in another way than browsers
	// write them, which takes Go's parser to read; and maxOddBody how many bytes a
	// body may have that cannot even be split as they are.
	maxOddParts = 256
	maxOddBody  = 64 << 10
	maxPartHead = 4 << 10
)

// wholeParts reads a body as Go's parser of multipart/form-data does, beside the
// search of multipart that minds no boundary. It reports whether it is one by the
// letter: it begins with its boundary, ends with it, and every part is a field's
// or a file's.
//
// A part may be a body of its own: JSON in it is read, since applications bind it
// to their parameters (Spring's @RequestPart); of XML and the like it cannot be
// told, but in a file that a person chose.
func (w *walk) wholeParts(contentType, kind, body string) bool {
	w.parts = 0
	if kind != "multipart/form-data" {
		return false
	}
	_, params, err := mime.ParseMediaType(contentType)
	boundary := params["boundary"]
	if err != nil || boundary == "" || !strings.HasPrefix(body, "--"+boundary) {
		return false
	}
	if strings.Count(body, "\n--"+boundary) > maxWholeParts {
		w.unsure = true
		return false
	}
	if parts, ok := splitParts(body, boundary); ok {
		for i := range parts {
			if !w.wholePart(&parts[i]) {
				return false
			}
		}
		return true
	}
	if len(body) > maxOddBody {
		return false
	}
	r := multipart.NewReader(strings.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return true
		}
		if err != nil || n == maxOddParts {
			return false
		}
		one := partOf(part.Header)
		value, err := io.ReadAll(part)
		if one.value = string(value); err != nil || !w.wholePart(&one) {
			return false
		}
	}
}

// bodyPart is one part of a body.
type bodyPart struct {
	name, file string
	kind       string // its Content-Type
	value      string
	plain      bool // it says nothing but its name, as browsers do
}

// splitParts splits a body at boundaries that stand on lines of their own, with
// nothing beside them, as everybody writes them, in one pass. ok is false for any
// other.
func splitParts(body, boundary string) (parts []bodyPart, ok bool) {
	odd := 0
	first, delimiter := "--"+boundary, "\r\n--"+boundary
	if strings.ContainsAny(boundary, "\r\n") {
		return nil, false
	}
	rest := body[len(first):]
	for {
		if tail, last := strings.CutPrefix(rest, "--"); last {
			return parts, tail == "" || strings.HasPrefix(tail, "\r\n")
		}
		if rest, ok = strings.CutPrefix(rest, "\r\n"); !ok {
			return nil, false
		}
		var one bodyPart
		if after, ok := one.head(rest); ok {
			rest = after
		} else if odd++; odd > maxOddParts {
			return nil, false
		} else if rest, ok = one.oddHead(rest); !ok {
			return nil, false
		}
		if after, empty := strings.CutPrefix(rest, first); empty {
			if after == "" || after[0] != '\r' && after[0] != '-' {
				return nil, false // the boundary, or the value: rare enough
			}
			parts, rest = append(parts, one), after
			continue
		}
		for at := 0; ; {
			i := strings.Index(rest[at:], delimiter)
			if i < 0 {
				return nil, false
			}
			at += i
			after := rest[at+len(delimiter):]
			if strings.HasPrefix(after, "\r\n") || strings.HasPrefix(after, "--") {
				one.value = rest[:at]
				parts, rest = append(parts, one), after
				break
			}
			return nil, false // more of a line, or the end
		}
	}
}

// oddHead reads the header of a part as Go does.
func (p *bodyPart) oddHead(s string) (rest string, ok bool) {
	end := strings.Index(s[:min(len(s), maxPartHead)], "\r\n\r\n")
	if end < 0 || strings.Count(s[:end+2], "\n") != strings.Count(s[:end+2], "\r\n") {
		return "", false
	}
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(s[:end+4]))).ReadMIMEHeader()
	if err != nil {
		return "", false
	}
	*p = partOf(header)
	return s[end+4:], true
}

func partOf(header textproto.MIMEHeader) bodyPart {
	part := multipart.Part{Header: header}
	p := bodyPart{name: part.FormName(), file: part.FileName(), kind: header.Get("Content-Type")}
	p.plain = len(header) == 1 && header.Get("Content-Disposition") == `form-data; name="`+p.name+`"`
	return p
}

// head reads the header of a part that is written as browsers and the usual
// libraries write it, up to the empty line, and returns what follows.
func (p *bodyPart) head(s string) (rest string, ok bool) {
	s, ok = strings.CutPrefix(s, `Content-Disposition: form-data; name="`)
	if !ok {
		return "", false
	}
	if p.name, s, ok = quoted(s); !ok {
		return "", false
	}
	if file, named := strings.CutPrefix(s, `; filename="`); named {
		if file, s, ok = quoted(file); !ok {
			return "", false
		}
		p.file = (&multipart.Part{Header: textproto.MIMEHeader{"Content-Disposition": {`form-data; filename="` + file + `"`}}}).FileName()
	} else {
		p.plain = true
	}
	if p.name == "" && p.file == "" {
		return "", false
	}
	if s, ok = strings.CutPrefix(s, "\r\n"); !ok {
		return "", false
	}
	for n := 0; ; n++ {
		if rest, ok := strings.CutPrefix(s, "\r\n"); ok {
			return rest, true
		}
		line, after, ok := strings.Cut(s, "\r\n")
		if !ok || n == 2 {
			return "", false
		}
		key, value, ok := strings.Cut(line, ": ")
		if !ok || key != "Content-Type" && key != "Content-Length" || key == "Content-Type" && p.kind != "" || !printable(value) {
			return "", false
		}
		p.plain = false
		if key == "Content-Type" {
			p.kind = value
		}
		s = after
	}
}

// quoted reads what a quotation mark ends, if nothing in it has a meaning.
func quoted(s string) (text, rest string, ok bool) {
	i := strings.IndexByte(s, '"')
	if i < 0 || !printable(s[:i]) || strings.IndexByte(s[:i], '\\') >= 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// printable reports whether a text has nothing but ASCII that shows, and spaces
// within.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s == strings.TrimSpace(s)
}

// wholePart keeps one part, and reads it if it says to be a body of its own. It is
// false where it cannot be told what is in it.
func (w *walk) wholePart(p *bodyPart) bool {
	if p.name == "" && p.file == "" {
		return false
	}
	w.parts++
	if !w.innerBody(p) {
		return false
	}
	w.hits = w.hits[:0]
	w.probe(p.name, p.name)
	for _, h := range w.hits {
		if w.t.called[h.called].name != p.name {
			continue
		}
		k := occurrenceKey{chain: w.chainOf(h), kind: wholePart, value: p.value}
		if p.plain {
			k.flags = plainPart
		}
		w.keep(k, "", "")
	}
	return true
}

func (w *walk) innerBody(p *bodyPart) bool {
	kind, _, _ := strings.Cut(lowerASCII(p.kind), ";")
	kind = strings.Trim(kind, blanks)
	switch {
	case strings.Contains(kind, "json"):
		w.readJSON(p.value)
		return true
	case kind == "", kind == "text/plain", kind == "application/octet-stream":
		return true
	case strings.HasPrefix(kind, "image/"), strings.HasPrefix(kind, "audio/"), strings.HasPrefix(kind, "video/"):
		return true
	default:
		return p.file != "" && p.file != "blob" // as scripts name what no person chose
	}
}
