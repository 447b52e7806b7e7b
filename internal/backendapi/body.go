package backendapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
)

// maxBody bounds every request's body, in bytes, and maxDepth how deep what is in
// it may be nested (S19).
const (
	maxBody  = 64 << 10
	maxDepth = 32
)

var (
	errMalformed = &refusal{status: http.StatusBadRequest, code: "invalid_request", detail: "The body must be one JSON object, each member once."}
	errTooLarge  = &refusal{status: http.StatusRequestEntityTooLarge, code: "request_too_large", detail: "The body is larger than 64 KiB."}
	errMediaType = &refusal{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type", detail: "Send application/json."}
)

// raw gives the whole body, which must say that it is JSON.
func (c *call) raw() ([]byte, error) {
	values := c.r.Header["Content-Type"]
	if len(values) != 1 || len(c.r.Header["Content-Encoding"]) > 0 {
		return nil, errMediaType
	}
	got, params, err := mime.ParseMediaType(values[0])
	charset, said := params["charset"]
	if err != nil || got != "application/json" || said && !strings.EqualFold(charset, "utf-8") {
		return nil, errMediaType
	}
	if c.r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, code: "invalid_request", detail: "The body could not be read."}
	}
	deadline.End(c.w, c.r)
	return body, nil
}

// fields reads the body: one JSON object.
func (c *call) fields() (*fields, error) {
	body, err := c.raw()
	if err != nil {
		return nil, err
	}
	got, err := decode(body)
	return &fields{got: got}, err
}

// decode reads one JSON object. Whatever could be read in two ways is refused:
// members that occur twice, text that is not UTF-8, and anything after the
// object. The values are string, json.Number, bool, nil, []any and
// map[string]any.
func decode(body []byte) (map[string]any, error) {
	if !utf8.Valid(body) {
		return nil, errMalformed
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := value(dec, 0)
	object, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, errMalformed
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errMalformed
	}
	return object, nil
}

func value(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errMalformed
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		object := make(map[string]any)
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			// The decoder sees to it that it is a string.
			if _, twice := object[name.(string)]; twice {
				return nil, errMalformed
			}
			if object[name.(string)], err = value(dec, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := dec.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := value(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	return tok, nil
}

// fields are what a body's members are read by, and what is wrong with them.
// Members that no call asks for are ignored: documented clients may send more.
type fields struct {
	got   map[string]any
	wrong map[string]string
}

// err tells what was wrong with the fields that were read, or nil.
func (f *fields) err() error {
	if len(f.wrong) == 0 {
		return nil
	}
	return wrongFields(f.wrong)
}

func (f *fields) refuse(name, word string) {
	if f.wrong == nil {
		f.wrong = make(map[string]string)
	}
	if _, known := f.wrong[name]; !known {
		f.wrong[name] = word
	}
}

// text reads a field that must be a string of 1 to limit bytes.
func (f *fields) text(name string, limit int) string {
	v, sent := f.got[name]
	if !sent || v == nil || v == "" {
		f.refuse(name, "required")
		return ""
	}
	s, ok := v.(string)
	switch {
	case !ok:
		f.refuse(name, "not_a_string")
	case len(s) > limit:
		f.refuse(name, "too_long")
	case !isPlain(s):
		f.refuse(name, "invalid_text")
	default:
		return s
	}
	return ""
}

// isPlain tells of text without control characters, and without what stands for
// something that was no text: half of a surrogate pair is read as U+FFFD.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError })
}

// maxCode is longer than every code that anybody types.
const maxCode = 128

// userID, code and action read fields of those kinds.
func (f *fields) userID(name string) string { return f.text(name, ceremony.MaxUserID) }
func (f *fields) code(name string) string   { return f.text(name, maxCode) }

// action reads an action type of the operator's.
func (f *fields) action(name string) grants.Action {
	s := f.text(name, utf8.UTFMax*grants.MaxActionLen)
	if s == "" {
		return grants.Action{}
	}
	a, err := grants.NewAction(s)
	switch {
	case utf8.RuneCountInString(s) > grants.MaxActionLen:
		f.refuse(name, "too_long")
	case err != nil:
		f.refuse(name, "invalid_text")
	case apikeys.IsReserved(s):
		f.refuse(name, "reserved")
	default:
		return a
	}
	return grants.Action{}
}

// grantType reads ONE_TIME_USE or TIME_BASED.
func (f *fields) grantType(name string) grants.Use {
	s := f.text(name, 32)
	if s == "" {
		return 0
	}
	u, err := grants.ParseUse(s)
	if err != nil {
		f.refuse(name, "unknown_value")
	}
	return u
}

// seconds reads a whole number of seconds that a grant may hold for.
func (f *fields) seconds(name string) time.Duration {
	v, sent := f.got[name]
	if !sent || v == nil {
		f.refuse(name, "required")
		return 0
	}
	number, ok := v.(json.Number)
	if !ok {
		f.refuse(name, "not_a_number")
		return 0
	}
	n, whole := wholeNumber(number.String())
	if !whole {
		f.refuse(name, "not_a_number")
		return 0
	}
	if n < 1 || n > int64(grants.MaxTTL/time.Second) {
		f.refuse(name, "out_of_range")
		return 0
	}
	return time.Duration(n) * time.Second
}

// wholeNumber reads a JSON number without a fraction. Clients whose numbers are
// all floating ones write 60.0 for 60. Numbers too large for an int64 are given
// as -1, which is in nobody's range.
func wholeNumber(s string) (int64, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	x, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, false
	case x >= 1<<53 || x <= -1<<53:
		return -1, true
	case x != float64(int64(x)):
		return 0, false
	}
	return int64(x), true
}
