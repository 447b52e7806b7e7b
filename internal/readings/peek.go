package readings

import (
	"errors"
	"io"
	"net/http"
	"unsafe"
)

var (
	// ErrBodyTooLarge reports that a body is over the limit.
	ErrBodyTooLarge = errors.New("request body is over the limit")
	// ErrBodyBroken reports that a body ended before its end.
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
	timer Timer
	whole bool
}

// Timer bounds how long a body may be on its way: Begin is called before it is
// read, and End once as much of it came as was asked for. The body of a client that
// was too slow fails.
type Timer interface {
	Begin()
	End()
}

// Timed sets what bounds the reading; nil, as at first, for nothing.
func (p *Peek) Timed(t Timer) { p.timer = t }

// Reserved reports that memory is reserved for as much as is read. What the client
// declares is then allocated at once, and not as it comes.
func (p *Peek) Reserved() { p.whole = true }

// NewPeek makes a Peek that keeps at most limit bytes of r's body. It waits for
// the client to send them.
func NewPeek(r *http.Request, limit int) Peek { return Peek{r: r, limit: limit} }

// Empty reports whether there is no body.
func (p *Peek) Empty() bool { return p.empty() }

func (p *Peek) empty() bool {
	return p == nil || p.r == nil || p.r.Body == nil || p.r.Body == http.NoBody || p.r.ContentLength == 0
}

// read reads the head of the body where that is of any use.
func (p *Peek) read() {
	if p.done {
		return
	}
	p.done = true
	if before, ok := p.r.Body.(*replay); ok && before.err != nil && len(before.head) <= p.limit && !before.closed.Load() {
		p.head, p.err = textOf(before.head), before.err // read already
		return
	}
	if p.timer != nil {
		p.timer.Begin()
	}
	most := int64(64 << 10)
	if p.whole {
		most = int64(p.limit) + 1
	}
	head, err := readHead(p.r, p.limit, most)
	if p.timer != nil && (err == nil || err == io.EOF) {
		p.timer.End()
	}
	p.r.Body = &replay{head: head, err: err, rest: p.r.Body}
	if len(head) > p.limit {
		err = ErrBodyTooLarge
	}
	p.head, p.err = textOf(head), err
}

// textOf is the text of bytes that nobody changes any more.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// TooLarge reports that the body is known to be over the limit, and so that more
// of it might be told with a higher one.
func (p *Peek) TooLarge() bool {
	return !p.empty() && (p.r.ContentLength > int64(p.limit) || p.err == ErrBodyTooLarge)
}

// Body returns the whole body. It fails with [ErrBodyTooLarge] and, where the
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

// Form reads the form in the body, of any method, for [MethodsOf]. A body that is
// over the limit, compressed, in a charset that is not a superset of ASCII, or of
// a type that one application takes for a form and another does not, is one of
// which it cannot tell. JSON is read too, for [MethodsOf]. Of other types not a byte
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
