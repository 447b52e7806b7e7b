package readings

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

var (
	// ErrBodyTooLarge tells that a body is over the limit.
	ErrBodyTooLarge = errors.New("request body is over the limit")
	// ErrBodyBroken tells that a body ended before its end.
	ErrBodyBroken = errors.New("request body is not complete")
)

// Peek reads the beginning of a request's body: once, and only where it is asked
// for something that is not told without. r.Body is left as if nobody had read it:
// the same bytes, then the same error. The zero value is a Peek into no body.
type Peek struct {
	r     *http.Request
	limit int
	done  bool
	head  string
	err   error // io.EOF where head is all
}

// NewPeek makes a Peek that keeps at most limit bytes of r's body. It waits for
// the client to send them.
func NewPeek(r *http.Request, limit int) Peek { return Peek{r: r, limit: limit} }

func (p *Peek) empty() bool {
	return p == nil || p.r == nil || p.r.Body == nil || p.r.Body == http.NoBody || p.r.ContentLength == 0
}

// read reads the head of the body where that is of any use.
func (p *Peek) read() {
	if p.done {
		return
	}
	p.done = true
	head, err := readHead(p.r, p.limit)
	p.r.Body = &replay{head: head, err: err, rest: p.r.Body}
	if len(head) > p.limit {
		err = ErrBodyTooLarge
	}
	p.head, p.err = string(head), err
}

// TooLarge tells that the body is known to be over the limit, and so that more
// of it might be told with a higher one.
func (p *Peek) TooLarge() bool {
	return !p.empty() && (p.r.ContentLength > int64(p.limit) || p.err == ErrBodyTooLarge)
}

// Body gives the whole body. It fails with [ErrBodyTooLarge] and, where the
// client did not send all of it, with [ErrBodyBroken].
func (p *Peek) Body() (string, error) {
	if p.empty() {
		return "", nil
	}
	if !p.done && p.r.ContentLength > int64(p.limit) {
		return "", ErrBodyTooLarge
	}
	p.read()
	switch p.err {
	case io.EOF:
		return p.head, nil
	case ErrBodyTooLarge:
		return "", ErrBodyTooLarge
	}
	return "", ErrBodyBroken
}

// Form reads the form in the body, of any method, for [Methods]. A body that is
// over the limit, compressed, in a charset that is not a superset of ASCII, or of
// a type that one application takes for a form and another does not, is one of
// which it cannot tell. JSON is read too, for [Methods]. Of other types not a byte
// is read.
func (p *Peek) Form() Form {
	if p.empty() {
		return Form{}
	}
	return p.form(layoutOf(p.r.Header["Content-Type"]))
}

func (p *Peek) form(layout formLayout) Form {
	if layout == noForm {
		return Form{}
	}
	if layout == oddForm || encoded(p.r.Header["Content-Encoding"]) || !p.done && p.r.ContentLength > int64(p.limit) {
		return Form{CannotTell: true}
	}
	p.read()
	if p.err != io.EOF || markedUTF16(p.head) {
		return Form{CannotTell: true}
	}
	return Form{layout: layout, body: p.head}
}

// find reads the fields of a body of whatever type: of a form, and of JSON, also
// where the type says something else, since some applications do not look at it.
func (p *Peek) find(field *Field, f *fieldReader) {
	if p.empty() || f.unsure {
		return
	}
	types := p.r.Header["Content-Type"]
	layout := layoutOf(types)
	if layout == oddForm || encoded(p.r.Header["Content-Encoding"]) || len(types) == 1 && !asciiCharset(lowerASCII(types[0])) {
		f.unsure = true
		return
	}
	if layout == noForm && strings.HasPrefix(lowerASCII(strings.Trim(types[0], blanks)), "text/plain") {
		layout = urlencodedForm
	}
	p.read()
	if layout == noForm {
		// Of what says to be an image, say, only the beginning is looked at: a
		// real image must not need a proof for its size. A form that follows a
		// whole limit of other bytes, to an application that does not look at
		// the type, is not seen; the README says so.
		Form{layout: urlencodedForm, body: p.head}.read(f)
	} else {
		p.form(layout).read(f)
	}
	switch text := strings.TrimPrefix(p.head, "\ufeff"); {
	case layout != jsonForm && !looksLikeJSON(text):
	case p.err != io.EOF:
		f.unsure = true
	default:
		j := jsonReader{field: field, sink: f}
		j.read(text)
	}
}

// looksLikeJSON tells whether some decoder may find an object or array at the
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
