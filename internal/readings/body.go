package readings

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// Form is what PeekForm saw of a request's body. The zero value is a request
// without a form.
type Form struct {
	// CannotTell: there is, or may be, a form that could not be read. It
	// counts as holding whatever a rule asks for.
	CannotTell bool

	layout formLayout
	body   string
}

type formLayout uint8

const (
	noForm formLayout = iota
	urlencodedForm
	multipartForm
	jsonForm // looked into for method overrides only
	oddForm  // an application may or may not find a form in it
)

// Values lists the readings of every value that an application could find in
// the form under name. Names are compared without case, decoded up to six
// times, with '.', ' ' and '[' as '_' and without subscripts; values are
// listed as sent and decoded. certain is false where the form may hold more
// than could be told.
func (f Form) Values(name string) (values []string, certain bool) {
	found := tableOfNames(name).read()
	found.left = sideEffort
	f.read(found)
	return found.list()
}

func (f Form) read(found *Found) {
	found.begin(section{kind: inBody})
	found.unsure = found.unsure || f.CannotTell
	found.allow(len(f.body))
	switch f.layout {
	case urlencodedForm:
		found.urlencoded(f.body)
	case multipartForm:
		found.multipart(f.body)
	}
}

// PeekForm is [Peek.Form] where nothing else is asked of the body.
func PeekForm(r *http.Request, limit int) Form {
	p := NewPeek(r, limit)
	return p.Form()
}

// layoutOf tells from the Content-Type fields how applications parse a body.
func layoutOf(types []string) formLayout {
	if len(types) > 1 {
		return oddForm
	}
	if len(types) == 0 || strings.Trim(types[0], blanks) == "" {
		return urlencodedForm // Rack parses a POST without a type as a form
	}
	ct := lowerASCII(types[0])
	if !asciiCharset(ct) {
		return oddForm
	}
	switch u, m := strings.Contains(ct, "urlencoded"), strings.Contains(ct, "multipart") || strings.Contains(ct, "form-data"); {
	case u && m:
		return oddForm
	case u:
		return urlencodedForm
	case m:
		return multipartForm
	}
	essence, _, _ := strings.Cut(ct, ";")
	if essence = strings.Trim(essence, blanks); essence == "json" {
		return jsonForm // what jQuery's dataType is taken for; Transmission's page sends it
	}
	kind, sub, _ := strings.Cut(essence, "/")
	if !isToken(kind) || !isToken(sub) || kind == "*" || sub == "*" {
		return oddForm
	}
	switch {
	case !isJSON(ct):
		return noForm
	case strings.Contains(ct, "grpc") || strings.Contains(ct, "connect+") || strings.Contains(ct, "seq"):
		return oddForm // a stream: whoever sends it may wait for an answer first
	}
	return jsonForm
}

// asciiCharset reports whether a Content-Type in lower case names no charset,
// or one whose names and values of ASCII look as in ASCII. In UTF-16, UTF-7
// or EBCDIC "_method" would be other bytes.
func asciiCharset(ct string) bool {
	_, v, ok := strings.Cut(ct, "charset")
	if !ok {
		return true
	}
	if strings.Contains(v, "charset") {
		return false
	}
	v, ok = strings.CutPrefix(strings.TrimLeft(v, blanks), "=")
	v, _, _ = strings.Cut(v, ";")
	switch strings.Trim(v, blanks+`"'`) {
	case "", "utf-8", "utf8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252":
		return ok
	}
	return false
}

func encoded(encodings []string) bool {
	for _, e := range encodings {
		if e = strings.Trim(e, blanks); e != "" && !strings.EqualFold(e, "identity") {
			return true
		}
	}
	return false
}

// markedUTF16 reports whether a body begins with a byte order mark of UTF-16.
func markedUTF16(b string) bool {
	return len(b) >= 2 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff)
}

// readHead reads the body to its end, or one byte past limit. At most most bytes
// are allocated by what was announced; the rest grows with what has come.
func readHead(r *http.Request, limit int, most int64) ([]byte, error) {
	size := 4 << 10
	if n := r.ContentLength; n > 0 {
		size = int(min(n+1, most))
	}
	b := make([]byte, 0, size)
	for {
		n, err := r.Body.Read(b[len(b):min(cap(b), limit+1)])
		b = b[:len(b)+n]
		if err != nil || len(b) > limit {
			return b, err
		}
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
	}
}

// replay is a body of which the beginning has been read already.
type replay struct {
	head   []byte
	err    error // what came behind head, nil if more is to be read
	rest   io.ReadCloser
	closed atomic.Bool // Close may come while another goroutine reads
}

func (b *replay) Read(p []byte) (int, error) {
	switch {
	case b.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case len(b.head) > 0:
		n := copy(p, b.head)
		if b.head = b.head[n:]; len(b.head) == 0 {
			b.head = nil // the memory is free once it was read
		}
		return n, nil
	case b.err != nil:
		return 0, b.err
	}
	return b.rest.Read(p)
}

func (b *replay) Close() error {
	b.closed.Store(true)
	return b.rest.Close()
}
