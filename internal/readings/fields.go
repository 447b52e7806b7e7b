package readings

import (
	"slices"
	"strings"
)

// maxDepth is how often a name, a value or a query is decoded in search of
// something new; what is nested deeper cannot be told.
const maxDepth = 6

// maxValues bounds what one request can make a fieldReader collect.
const maxValues = 64

// maxPlain is how many fields a form may have for one of them to be exempted:
// PHP drops those over 1,000 (max_input_vars), so that one which is there is not.
const maxPlain = 500

// QueryValues lists the readings of every value that an application could
// find under name in a raw query. certain is false where the query may hold
// more than could be told. See Form.Values for how names are compared.
func QueryValues(query, name string) (values []string, certain bool) {
	f := fieldReader{names: []string{name}}
	f.query(query)
	return f.values, !f.unsure
}

// fieldReader collects the values of fields that could go by one of names, as
// tolerantly as the most tolerant of parsers (rule S22).
type fieldReader struct {
	names  []string
	values []string
	unsure bool // there may be more

	// want, where it is not nil, is what the values are compared with instead of
	// being collected.
	want *Field
	hit  bool // some occurrence may be what is wanted
	// every reports that the field must be certain, see [Field.InEvery].
	every bool
	// count are the occurrences, for a field turned around or with every; odd
	// reports that some reading has others, and plain that one may be exact where
	// the reader is now.
	count count
	odd   bool
	plain bool
	// show, where it is not nil, takes the fields for people to read.
	show    *shownFields
	matched string // the name that was found last, decoded
}

// count counts occurrences of a field, and those among them whose name and value
// are spelled exactly.
type count struct{ all, exact int }

// query reads the query of a URL. Besides the fields as they are sent it
// finds those that come to light where a component decodes before it splits, and
// where one skips further question marks and ends the query at a '#', as parsers
// in C do (http_parser, PHP's own server).
func (f *fieldReader) query(q string) {
	before := f.count
	f.urlencoded(q)
	sent := f.count
	again := func(q string) {
		was := f.show.again(true)
		f.count = before
		f.urlencoded(q)
		f.odd = f.odd || f.count != sent
		f.count = sent
		f.show.again(was)
	}
	if strings.HasPrefix(q, "?") || strings.IndexByte(q, '#') >= 0 {
		bare, _, _ := strings.Cut(strings.TrimLeft(q, "?"), "#")
		again(bare)
	}
	for depth := 0; hidesSeparator(q); depth++ {
		if depth == maxDepth {
			f.unsure = true
			return
		}
		q = string(decodeUnicode(nil, q))
		again(q)
	}
}

// hidesSeparator reports whether decoding could part or join fields: an
// escaped '&', ';' or '=', or an escaped escape.
func hidesSeparator(q string) bool {
	for {
		i := strings.IndexByte(q, '%')
		if i < 0 || i+2 >= len(q) {
			return false
		}
		q = q[i+1:]
		if q[0]|0x20 == 'u' && len(q) >= 5 && unhex(q[1])|unhex(q[2])|unhex(q[3])|unhex(q[4]) >= 0 {
			return true
		}
		if hi, lo := unhex(q[0]), unhex(q[1]); hi|lo >= 0 {
			switch byte(hi<<4 | lo) {
			case '&', ';', '=', '%':
				return true
			}
		}
	}
}

// urlencoded reads application/x-www-form-urlencoded, with '&' alone as the
// separator and with ';' too.
func (f *fieldReader) urlencoded(s string) {
	if f.want != nil && (f.want.not || f.every) && strings.Count(s, "&") >= maxPlain {
		f.odd = true
	}
	for s != "" && !f.unsure {
		var pair string
		pair, s, _ = strings.Cut(s, "&")
		f.pair(pair)
		if strings.IndexByte(pair, ';') < 0 {
			continue
		}
		was, plain := f.show.again(true), f.plain
		f.plain = false // to most, it is part of another's value
		for rest, more := pair, true; more && !f.unsure; {
			var part string
			part, rest, more = strings.Cut(rest, ";")
			f.pair(part)
		}
		f.show.again(was)
		f.plain = plain
	}
}

func (f *fieldReader) pair(p string) {
	name, value, _ := strings.Cut(p, "=")
	if name == "" || !f.named(name) {
		return
	}
	if f.show != nil {
		f.unsure = f.unsure || !f.show.add(decodeField(name), decodeField(value))
		return
	}
	if f.want != nil {
		f.occurs(value, f.plain && f.exact(name, value))
		return
	}
	f.add(value)
}

// exact reports whether a field of a query or form is spelled exactly.
func (f *fieldReader) exact(name, value string) bool {
	if f.every {
		return f.want.called(name) && f.want.meantRaw(value)
	}
	return spelled(name, f.names[0]) && f.want.listedRaw(value)
}

// exactly is exact for a value that is not encoded, under the right name.
func (f *fieldReader) exactly(value string) bool {
	if f.every {
		return f.want.meant(value)
	}
	return f.want.listed(value)
}

// occurs counts an occurrence of the field that is wanted.
func (f *fieldReader) occurs(value string, exact bool) {
	f.count.all++
	if exact {
		f.count.exact++
	}
	f.add(value)
}

// add collects a value as it is and decoded, again and again.
func (f *fieldReader) add(value string) {
	for depth := 0; ; depth++ {
		switch {
		case f.want != nil:
			f.hit = f.hit || f.want.wants(value)
		case !slices.Contains(f.values, value):
			if len(f.values) == maxValues {
				f.unsure = true
				return
			}
			f.values = append(f.values, value)
		}
		next := decodeField(value)
		if next == value {
			return
		}
		if depth == maxDepth {
			f.unsure = true
			return
		}
		value = next
	}
}

// named reports whether a raw name could be read as one of those looked for.
func (f *fieldReader) named(raw string) bool {
	for depth := 0; ; depth++ {
		if f.same(raw) {
			f.matched = raw
			return true
		}
		next := decodeField(raw)
		if next == raw {
			break
		}
		if depth == maxDepth {
			f.unsure = true
			return false
		}
		raw = next
	}
	// Classic ASP drops a percent sign that begins no escape.
	f.matched = raw
	return strings.IndexByte(raw, '%') >= 0 && f.same(strings.ReplaceAll(raw, "%", ""))
}

func (f *fieldReader) same(name string) bool {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "\ufeff"), "\x00")
	if name == "" {
		return false
	}
	name = strings.TrimRight(name, blanks)
	bare := strings.TrimLeft(name, blanks+"?")
	for _, want := range f.names {
		if sameName(bare, want) {
			return true
		}
		// The last of leading spaces may have become an underscore.
		if lead := len(name) - len(bare); lead > 0 && sameName(name[lead-1:], want) {
			return true
		}
	}
	return false
}

const blanks = " \t\r\n\v\f"

// sameName compares names without their case and subscripts ("a[]" is "a"),
// and with '.', ' ' and '[' as '_', which is what PHP makes of them. Brackets
// around a name, or a stray one, are none of it to qs ("[a]") and Rack ("[a",
// "a]").
func sameName(name, want string) bool {
	equal := func(a string) bool {
		if len(a) != len(want) {
			return false
		}
		for i := 0; i < len(a); i++ {
			if nameByte[a[i]] != nameByte[want[i]] {
				return false
			}
		}
		return true
	}
	if equal(name) {
		return true
	}
	if strings.IndexByte(name, '[') < 0 && strings.IndexByte(name, ']') < 0 {
		return false
	}
	bare := strings.TrimLeft(name, "[]")
	if i := strings.IndexAny(bare, "[]"); i >= 0 {
		bare = bare[:i]
	}
	return equal(strings.TrimRight(bare, blanks))
}

var nameByte = func() (t [256]byte) {
	for c := range t {
		t[c] = byte(c)
		if 'A' <= c && c <= 'Z' {
			t[c] += 'a' - 'A'
		}
	}
	t['.'], t[' '], t['['] = '_', '_', '_'
	return t
}()

// decodeField decodes a name or value once; without allocating if there is
// nothing to decode.
func decodeField(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := plusToSpace(make([]byte, 0, len(s)), s)
	return string(decodeUnicode(make([]byte, 0, len(s)), string(b)))
}
