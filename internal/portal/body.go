package portal

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/problem"
)

// maxBody bounds every request's body, in bytes (S19).
const maxBody = 64 << 10

// read gives the whole body. It fails with RequestTooLarge over the limit.
func (v *visit) read() ([]byte, error) {
	if v.r.ContentLength > maxBody {
		return nil, &refusal{problem.Problem{Code: problem.RequestTooLarge}}
	}
	body, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &refusal{problem.Problem{Code: problem.RequestTooLarge}}
	}
	if err != nil {
		return nil, invalid("", "the body could not be read")
	}
	deadline.End(v.w, v.r)
	return body, nil
}

// hasType tells whether the body says that it is of the type, in UTF-8 and not
// compressed.
func (v *visit) hasType(want string) bool {
	values := v.r.Header.Values("Content-Type")
	if len(values) != 1 || len(v.r.Header.Values("Content-Encoding")) > 0 {
		return false
	}
	got, params, err := mime.ParseMediaType(values[0])
	charset, said := params["charset"]
	return err == nil && got == want && (!said || strings.EqualFold(charset, "utf-8"))
}

// fields reads a JSON body: one object with the named members, all strings and
// all optional. The media type is demanded even where there is no body, since
// no form of another site can send it (S10).
func (v *visit) fields(names ...string) (map[string]string, error) { return v.fieldsAnd("", names...) }

// fieldsAnd is fields with one more member, an object, which it gives as its
// text: at most maxObject bytes, and with nothing in it that could be read in two
// ways.
func (v *visit) fieldsAnd(object string, names ...string) (map[string]string, error) {
	if !v.hasType("application/json") {
		return nil, &refusal{problem.Problem{Code: problem.UnsupportedMediaType, Detail: "Send application/json."}}
	}
	body, err := v.read()
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return map[string]string{}, nil
	}
	return decode(body, object, names)
}

// noBody refuses a body where none belongs. DELETE without a body cannot come
// from a form, so it needs no media type.
func (v *visit) noBody() error {
	body, err := v.read()
	if err == nil && len(body) > 0 {
		err = invalid("", "no body is taken here")
	}
	return err
}

// decode reads an object of strings and perhaps one more object. Whatever could
// be read in two ways is refused: unknown and repeated members, names in another
// case, other types, text that is not UTF-8, and anything after the object.
func decode(body []byte, object string, names []string) (map[string]string, error) {
	malformed := invalid("", "the body must be one JSON object")
	if !utf8.Valid(body) {
		return nil, malformed
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, malformed
	}
	if object != "" {
		names = append(slices.Clone(names), object)
	}
	got := make(map[string]string, len(names))
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return nil, malformed
		}
		known := ""
		for _, n := range names {
			if n == name {
				known = n
			}
		}
		if known == "" {
			// The name is the client's own and may be long or anything: it is not
			// repeated.
			return nil, invalid("", "only "+strings.Join(names, ", ")+" are known here")
		}
		if _, twice := got[known]; twice {
			return nil, invalid(known, "must not be repeated")
		}
		if known == object {
			if got[known], err = readObject(dec, known); err != nil {
				return nil, err
			}
			continue
		}
		tok, err = dec.Token()
		if err != nil {
			return nil, malformed
		}
		value, ok := tok.(string)
		if !ok {
			return nil, invalid(known, "must be a string")
		}
		got[known] = value
	}
	if tok, err := dec.Token(); err != nil || tok != json.Delim('}') {
		return nil, malformed
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, malformed
	}
	return got, nil
}

// Bounds of an object within a body (S19).
const (
	maxObject  = 16 << 10 // bytes
	maxDepth   = 8        // of objects and lists in each other
	maxMembers = 64       // of one object in it
)

// readObject gives the text of the object that comes next. Readers differ on
// names that occur twice, and encoding/json takes them in any case.
func readObject(dec *json.Decoder, name string) (string, error) {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil || len(raw) == 0 || raw[0] != '{' {
		return "", invalid(name, "must be an object")
	}
	if len(raw) > maxObject {
		return "", invalid(name, "is too large")
	}
	if !isPlainValue(json.NewDecoder(bytes.NewReader(raw)), 1) {
		return "", invalid(name, "has too many members, or one twice")
	}
	return string(raw), nil
}

// isPlainValue reads one value that is JSON, and tells whether it keeps the
// bounds and repeats no name.
func isPlainValue(dec *json.Decoder, depth int) bool {
	tok, err := dec.Token()
	if err != nil || depth > maxDepth {
		return false
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return true
	}
	var names []string
	for dec.More() {
		if delim == '{' {
			tok, err := dec.Token()
			name, ok := tok.(string)
			if err != nil || !ok || len(names) == maxMembers ||
				slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
				return false
			}
			names = append(names, name)
		}
		if !isPlainValue(dec, depth+1) {
			return false
		}
	}
	_, err = dec.Token()
	return err == nil
}

// form is what a page's form sent: each field once.
type form map[string]string

// withForm reads a page's form and holds its token against the browser (S10)
// before anything is done with it.
func withForm(serve func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if !v.hasType("application/x-www-form-urlencoded") {
			return &refusal{problem.Problem{Code: problem.UnsupportedMediaType}}
		}
		body, err := v.read()
		if err != nil {
			return err
		}
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return invalid("", "the form could not be read")
		}
		v.form = make(form, len(values))
		for name, value := range values {
			if len(value) != 1 || !utf8.ValidString(value[0]) {
				return invalid("", "the form could not be read")
			}
			v.form[name] = value[0]
		}
		if err := v.needToken(); err != nil {
			return err
		}
		if subtle.ConstantTimeCompare([]byte(v.form[pages.CSRFField]), []byte(v.csrf)) != 1 {
			v.message(http.StatusForbidden, v.staleForm(), v.reload())
			return nil
		}
		return serve(v)
	}
}

// needToken makes the token that the forms of the next page carry.
func (v *visit) needToken() error {
	token, err := v.service().FormToken(v.r.Context(), v.who)
	if err != nil {
		return err
	}
	v.csrf = base64.RawURLEncoding.EncodeToString(token[:])
	return nil
}

// reload is the page that a form came from: the same address where GET shows
// it, else the security page.
func (v *visit) reload() string {
	path := strings.TrimPrefix(v.r.URL.EscapedPath(), Prefix)
	if serve, _, _ := v.portal.find(false, http.MethodGet, path); serve != nil {
		return v.url(path)
	}
	if parent := formOf(path); parent != path {
		return v.url(parent)
	}
	return v.url("")
}

// staleForm is why a form's token is not the browser's.
func (v *visit) staleForm() pages.MessageKind {
	if v.newcomer {
		return pages.NoCookies
	}
	return pages.StaleForm
}
