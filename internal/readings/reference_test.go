package readings

import (
	"encoding/json"
	"io"
	"math/bits"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// refReader collects the values of fields that could go by one of names, as
// tolerantly as the most tolerant of parsers (rule S22).
type refReader struct {
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
	show    *refShown
	matched string // the name that was found last, decoded
}

// query reads the query of a URL. Besides the fields as they are sent it
// finds those that come to light where a component decodes before it splits, and
// where one skips further question marks and ends the query at a '#', as parsers
// in C do (http_parser, PHP's own server).
func (f *refReader) query(q string) {
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

// urlencoded reads application/x-www-form-urlencoded, with '&' alone as the
// separator and with ';' too.
func (f *refReader) urlencoded(s string) {
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

func (f *refReader) pair(p string) {
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
func (f *refReader) exact(name, value string) bool {
	if f.every {
		return f.want.called(name) && f.want.refMeantRaw(value)
	}
	return spelled(name, f.names[0]) && f.want.listedRaw(value)
}

// exactly is exact for a value that is not encoded, under the right name.
func (f *refReader) exactly(value string) bool {
	if f.every {
		return f.want.meant(value)
	}
	return f.want.listed(value)
}

// occurs counts an occurrence of the field that is wanted.
func (f *refReader) occurs(value string, exact bool) {
	f.count.all++
	if exact {
		f.count.exact++
	}
	f.add(value)
}

// add collects a value as it is and decoded, again and again.
func (f *refReader) add(value string) {
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
func (f *refReader) named(raw string) bool {
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

func (f *refReader) same(name string) bool {
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

// hiddenQuery reads what is a query to those who decode a path before they
// look for the question mark. The path is decoded once.
func (f *refReader) hiddenQuery(path string) {
	for depth := 0; ; depth++ {
		if _, q, ok := strings.Cut(path, "?"); ok {
			f.query(q)
			return
		}
		if strings.IndexByte(path, '%') < 0 {
			return
		}
		next := string(decodeUnicode(nil, path))
		if next == path {
			return
		}
		if depth == maxDepth {
			f.unsure = true
			return
		}
		path = next
	}
}

// json collects the strings that are members by one of the names, at whatever
// depth, since Laravel takes the members of a JSON body for the fields of a form.
// It does not parse: every quotation mark may begin a name, so that no lenient
// parser finds one that it does not.
func (f *refReader) json(body string) {
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
		name, rest, ok := refJSONString(body[at:])
		at++
		if !ok {
			continue
		}
		if rest, ok = strings.CutPrefix(strings.TrimLeft(rest, blanks), ":"); !ok || !f.named(name) {
			continue
		}
		rest = strings.TrimLeft(rest, blanks)
		if value, _, ok := refJSONString(rest); ok {
			f.add(value)
		} else if rest != "" && strings.IndexByte("[{'/", rest[0]) >= 0 {
			f.unsure = true // a lenient parser may make a text of it
		}
	}
}

// jsonString reads the string at the beginning of s, and gives what follows.
func refJSONString(s string) (text, rest string, ok bool) {
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

// multipart reads multipart/form-data without regard to its boundary, on
// which parsers differ: every header block with a Content-Disposition counts,
// and in it whatever looks like a name parameter. So it finds more than any
// one parser would, and never less.
func (f *refReader) multipart(body string) {
	low := lowerASCII(body)
	parts, names := 0, 0
	blank := blankLines{text: low}
	for at := 0; !f.unsure; {
		i := strings.Index(low[at:], "content-disposition")
		if i < 0 {
			return
		}
		before := low[at : at+i]
		at += i
		// Names are looked for up to the farther of both ends.
		strict, lenient := blank.after(at)
		end := max(strict, lenient)
		if end < 0 {
			end = len(low)
		}
		for from := at; ; {
			j := strings.Index(low[from:end], "name")
			if j < 0 {
				break
			}
			from += j + len("name")
			if names++; names > maxPartNames {
				f.unsure = true
				return
			}
			if !f.partNamed(body[from:end]) {
				continue
			}
			strict, lenient := blank.after(from)
			if parts++; parts > maxParts || lenient < 0 || encodedPart(low[at:end]) || encodedBefore(before) {
				f.unsure = true
				return
			}
			f.partValue(body[lenient:])
			if strict >= 0 && strict != lenient {
				was := f.show.again(true)
				f.partValue(body[strict:])
				f.show.again(was)
			}
		}
		at = end
	}
}

// partNamed reports whether the parameter whose value follows the word "name"
// in s could be a name looked for.
func (f *refReader) partNamed(s string) bool {
	const space = " \t\r\n"
	s = strings.TrimLeft(s, space)
	if ext, ok := strings.CutPrefix(s, "*"); ok { // RFC 8187, or the pieces of RFC 2231
		if ext != "" && '0' <= ext[0] && ext[0] <= '9' {
			f.unsure = true
			return false
		}
		s = strings.TrimLeft(ext, space)
	}
	s, ok := strings.CutPrefix(s, "=")
	if !ok {
		return false
	}
	s = strings.TrimLeft(s, space)
	s = s[:min(len(s), maxPartName)]
	token := s
	if i := strings.IndexAny(s, ";,\r\n"); i >= 0 {
		token = s[:i]
	}
	if strings.HasPrefix(token, "=?") || strings.HasPrefix(token, `"=?`) { // RFC 2047
		f.unsure = true
		return false
	}
	if i := strings.LastIndexByte(token, '\''); i >= 0 && f.named(strings.Trim(token[i+1:], `"`)) {
		return true // utf-8''name
	}
	if f.named(strings.Trim(token, `"'`)) {
		return true
	}
	if i := strings.IndexAny(token, " \t"); i >= 0 && f.named(strings.Trim(token[:i], `"'`)) {
		return true
	}
	quote := strings.TrimLeft(s, `"'`)
	if len(quote) == len(s) {
		return false
	}
	if i := strings.IndexAny(quote, `"'`); i >= 0 && f.named(quote[:i]) {
		return true
	}
	// With quoted pairs: \" does not end it, and \m is an m.
	var b strings.Builder
	for i := 0; i < len(quote) && quote[i] != '"'; i++ {
		if quote[i] == '\\' && i+1 < len(quote) {
			i++
		}
		b.WriteByte(quote[i])
	}
	return f.named(b.String())
}

// partValue collects the value at the beginning of s.
func (f *refReader) partValue(s string) {
	switch i := strings.Index(s, "\n--"); {
	case strings.HasPrefix(s, "--"):
		f.unsure = true // the boundary, or a value that looks like one
		return
	case i >= 0:
		s = s[:i]
	}
	s = strings.TrimRight(s, "\r\n")
	if f.show != nil {
		f.unsure = f.unsure || !f.show.add(f.matched, s)
		return
	}
	if f.want != nil {
		f.occurs(s, f.plain && f.exactly(s))
		return
	}
	f.add(s)
}

// parts reads a body as Go's parser of multipart/form-data does, beside the
// search of multipart that minds no boundary. form reports that it is one by the
// letter: it begins with its boundary, ends with it, and every part is a field's
// or a file's. exact reports that the wanted field is in one part alone, written as
// browsers write it, with a harmless value.
//
// A part may be a body of its own: JSON in it is read, since applications bind it
// to their parameters (Spring's @RequestPart); of XML and the like it cannot be
// told, but in a file that a person chose.
func (f *refReader) parts(field *Field, contentType, kind, body string) (form, exact bool) {
	if kind != "multipart/form-data" {
		return false, false
	}
	_, params, err := mime.ParseMediaType(contentType)
	if boundary := params["boundary"]; err != nil || boundary == "" || !strings.HasPrefix(body, "--"+boundary) {
		return false, false
	}
	r := multipart.NewReader(strings.NewReader(body), params["boundary"])
	found, plain := 0, true
	for n := 0; ; n++ {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return true, (found == 1 || found > 1 && f.every) && plain && n <= maxPlain
		}
		if err != nil || part.FormName() == "" && part.FileName() == "" {
			return false, false
		}
		if !f.partBody(field, part) {
			return false, false
		}
		if !field.not && !f.every || field.json || part.FormName() != f.names[0] {
			continue
		}
		found++
		value, err := io.ReadAll(part)
		plain = err == nil && plain && len(part.Header) == 1 && f.exactly(string(value)) &&
			part.Header.Get("Content-Disposition") == `form-data; name="`+f.names[0]+`"`
	}
}

// partBody reads a part that says to be a body of its own. It is false where
// cannot be told what is in it.
func (f *refReader) partBody(field *Field, part *multipart.Part) bool {
	kind, _, _ := strings.Cut(lowerASCII(part.Header.Get("Content-Type")), ";")
	kind = strings.Trim(kind, blanks)
	switch name := part.FileName(); {
	case strings.Contains(kind, "json"):
		text, err := io.ReadAll(part)
		if err != nil {
			return false
		}
		j := refJSON{field: field, sink: f}
		j.read(string(text))
		return true
	case kind == "", kind == "text/plain", kind == "application/octet-stream":
		return true
	case strings.HasPrefix(kind, "image/"), strings.HasPrefix(kind, "audio/"), strings.HasPrefix(kind, "video/"):
		return true
	default:
		return name != "" && name != "blob" // as scripts name what no person chose
	}
}

// find reads the fields of a body of whatever type: of a form, and of JSON, also
// where the type says something else, since some applications do not look at it.
// A body that is neither, by the letter, is one of which it cannot tell (rule
// S22): an application that takes XML, YAML, MessagePack, CBOR, a property list or
// a message of gRPC finds fields in it that we do not.
func (p *Peek) refFind(field *Field, f *refReader) {
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
	if layout == oddForm || encoded(p.r.Header["Content-Encoding"]) || len(types) == 1 && !asciiCharset(lowerASCII(types[0])) ||
		!p.done && p.r.ContentLength > int64(p.limit) {
		f.unsure = true
		return
	}
	p.read()
	if p.head == "" && p.err == io.EOF {
		return
	}
	if p.err != io.EOF || markedUTF16(p.head) {
		f.unsure = true
	}
	text := strings.TrimPrefix(p.head, "\ufeff")

	form := false // it is a form by the letter
	was := f.unsure
	f.plain = false
	switch layout {
	case multipartForm:
		var exact bool
		form, exact = f.parts(field, types[0], kind, p.head)
		f.plain = form && exact
		f.multipart(p.head)
	case jsonForm:
		if kind != "json" {
			break
		}
		fallthrough
	default:
		// Of what says to be an image, too: some applications do not look.
		form = layout == urlencodedForm && isURLEncoded(p.head) || kind == "text/plain" && isURLEncoded(strings.TrimSuffix(p.head, "\r\n"))
		f.plain = form && kind == urlencodedType && (!field.json || f.every)
		f.urlencoded(p.head)
	}
	f.unsure = f.unsure || was
	if layout != jsonForm && !looksLikeJSON(text) {
		f.unsure = f.unsure || !form
		return
	}
	f.plain = (field.json || f.every) && (layout == jsonForm || kind == "text/plain") && len(text) == len(p.head)
	j := refJSON{field: field, sink: f}
	j.read(text)
	f.unsure = f.unsure || superset(kind)
}

// meantRaw is meant for a value as it stands in a query or form: it must be one of
// those named whether it is decoded once or more often.
func (f *Field) refMeantRaw(raw string) bool {
	for i := range f.values {
		if w := &f.values[i]; !w.front && !w.back && spelled(raw, w.text) {
			return true
		}
	}
	value := decodeField(raw)
	return len(f.values) == 0 || f.meant(value) && decodeField(value) == value && !strings.Contains(lowerASCII(raw), "%u")
}

func (f *Field) refIn(every bool, r *http.Request, p *Peek, queries []string) Verdict {
	q := refReader{names: f.names, want: f, every: every && !f.not}
	q.plain = q.every || f.not && !f.json
	if r.URL != nil {
		q.query(r.URL.RawQuery)
		sent := q.count
		q.count = count{}
		q.hiddenQuery(r.URL.Path)
		q.odd = q.odd || q.count.all > 0
		for _, one := range queries {
			q.count = count{}
			q.query(one)
			q.odd = q.odd || q.count != sent
		}
		q.count = sent
	}
	if q.hit && !f.not && !every {
		return Yes
	}
	p.refFind(f, &q)
	switch {
	case q.every && q.hit && (q.unsure || q.odd || q.count.all != q.count.exact):
		return CannotTell
	case f.not && !q.unsure && !q.odd && q.count == count{all: 1, exact: 1}:
		return No
	case f.not && (q.unsure || q.hit):
		return CannotTell
	case f.not || q.hit:
		return Yes
	case q.unsure:
		return CannotTell
	}
	return No
}

func refShow(fields []Field, r *http.Request, p *Peek, queries ...string) (shown []Shown, certain bool) {
	var all refShown
	unsure := false
	for i := range fields {
		f := refReader{names: fields[i].names, show: &all}
		if r.URL != nil {
			f.query(r.URL.RawQuery)
			all.again(true)
			f.hiddenQuery(r.URL.Path)
		}
		all.again(true)
		for _, q := range queries {
			f.query(q)
		}
		all.again(false)
		p.refFind(&fields[i], &f)
		unsure = unsure || f.unsure
	}
	return all.list, !unsure
}

type refJSON struct {
	field *Field
	sink  *refReader
	s     string
	at    int
	// passed counts how often each place of the path was passed, of a field
	// turned around.
	passed [maxTokens + 1]int
}

// refState is a set of places in a field's path: bit i is set where the first i
// names have been passed.
type refState uint32

func (j *refJSON) read(text string) {
	j.s, j.at = text, 0
	ok := utf8.ValidString(text)
	for n := 0; ok; n++ {
		if j.space(); j.at == len(j.s) {
			if n > 1 || j.twice() {
				j.sink.odd = true
			}
			return
		}
		ok = j.value(1, 1, 0)
	}
	j.sink.unsure = true
}

// twice reports whether a name on the path occurs more than once: a decoder that
// keeps one of them may keep the one without the field. Where the field must be
// certain its own name may, since all of its values are looked at.
func (j *refJSON) twice() bool {
	for i, n := range j.passed {
		if n > 1 && !(j.sink.every && i == len(j.field.path)) {
			return true
		}
	}
	return false
}

// value reads one value that stands at the places of st; exact are those among
// them that the pointer leads to by the letter. It is false where that is no JSON.
func (j *refJSON) value(st, exact refState, depth int) bool {
	if depth == maxJSONDepth || j.at == len(j.s) {
		return false
	}
	start, end := j.at, refState(1)<<len(j.field.path)
	found, ok := st&end != 0, false
	var text string
	switch c := j.s[j.at]; {
	case c == '{' || c == '[':
		switch {
		case !found:
		case j.sink.show != nil:
			st &^= end // all of it is shown
		case len(j.field.values) == 0:
			j.sink.hit = true
			j.sink.count.all++
			if exact&end != 0 && j.sink.plain {
				j.sink.count.exact++
			}
			st &^= end // what is in it does not matter
		default:
			// Of what is below none is the value by the letter, and there may
			// be nothing.
			j.sink.count.all++
			exact &^= end
		}
		if c == '{' {
			ok = j.object(st, exact, depth)
		} else {
			ok = j.array(st, exact, depth)
		}
		if !found || j.sink.show == nil {
			return ok
		}
		text = j.s[start:j.at]
	case c == '"':
		if text, ok = j.str(); ok && found {
			j.found(text, exact&end != 0, false)
		}
		return ok
	default:
		ok = j.word()
		text = j.s[start:j.at]
	}
	if ok && found {
		j.found(text, exact&end != 0, true)
	}
	return ok
}

// found takes a value at the end of the path. word is false for a string.
func (j *refJSON) found(text string, exact, word bool) {
	if j.sink.show != nil {
		j.sink.unsure = j.sink.unsure || !j.sink.show.add(j.field.text, text)
		return
	}
	j.sink.count.all++
	if exact && j.sink.plain && j.sink.exactly(text) {
		j.sink.count.exact++
	}
	switch {
	case j.field.wants(text):
		j.sink.hit = true
	case word && j.field.wantsLoosely(text):
		j.sink.unsure = true
	}
}

func (j *refJSON) object(st, exact refState, depth int) bool {
	j.at++
	path := j.field.path
	if j.space(); j.next('}') {
		return true
	}
	for {
		j.space()
		name, ok := j.str()
		if !ok {
			return false
		}
		if j.space(); !j.next(':') {
			return false
		}
		inner := st >> len(path) << len(path) // what is below the end of the path stays there
		letter := refState(0)
		for rest := st &^ inner; rest != 0; rest &= rest - 1 {
			if i := bits.TrailingZeros32(uint32(rest)); sameKey(name, path[i]) {
				inner |= 1 << (i + 1)
				j.passed[i+1]++
				if name == path[i] && exact&(1<<i) != 0 {
					letter |= 1 << (i + 1)
				}
			}
		}
		if j.space(); !j.value(inner, letter, depth+1) {
			return false
		}
		if j.space(); j.next('}') {
			return true
		}
		if !j.next(',') {
			return false
		}
	}
}

func (j *refJSON) array(st, exact refState, depth int) bool {
	j.at++
	path := j.field.path
	if j.space(); j.next(']') {
		return true
	}
	// The elements of a batch are requests, each of which must have the field.
	batch := j.sink.every && depth == 0 && (path[0] == "" || path[0][0] < '0' || path[0][0] > '9')
	for n := 0; ; n++ {
		inner, letter, before := st, refState(0), j.sink.count.all
		if batch {
			letter = exact
		}
		for rest := st &^ (1 << len(path)); rest != 0; rest &= rest - 1 {
			if i := bits.TrailingZeros32(uint32(rest)); refIndex(path[i], n) {
				inner |= 1 << (i + 1)
				j.passed[i+1]++
				if exact&(1<<i) != 0 && path[i] == strconv.Itoa(n) {
					letter |= 1 << (i + 1)
				}
			}
		}
		if j.space(); !j.value(inner, letter, depth+1) {
			return false
		}
		if batch {
			j.sink.odd = j.sink.odd || j.sink.count.all == before || j.twice()
			j.passed = [maxTokens + 1]int{}
		}
		if j.space(); j.next(']') {
			return true
		}
		if !j.next(',') {
			return false
		}
	}
}

func refIndex(token string, n int) bool {
	if token == "" || token[0] < '0' || token[0] > '9' {
		return false
	}
	i, err := strconv.Atoi(token)
	return err == nil && i == n
}

func (j *refJSON) space() {
	for j.at < len(j.s) {
		switch j.s[j.at] {
		case ' ', '\t', '\r', '\n':
			j.at++
		default:
			return
		}
	}
}

func (j *refJSON) next(c byte) bool {
	if j.at < len(j.s) && j.s[j.at] == c {
		j.at++
		return true
	}
	return false
}

// str reads a string and decodes it.
func (j *refJSON) str() (string, bool) {
	if !j.next('"') {
		return "", false
	}
	start := j.at
	for j.at < len(j.s) && j.s[j.at] >= ' ' {
		switch j.s[j.at] {
		case '"':
			j.at++
			return j.s[start : j.at-1], true
		case '\\':
			return j.escaped(start)
		}
		j.at++
	}
	return "", false
}

// escaped goes on with a string at its first escape.
func (j *refJSON) escaped(start int) (string, bool) {
	b := append(make([]byte, 0, 64), j.s[start:j.at]...)
	for j.at < len(j.s) && j.s[j.at] >= ' ' {
		c := j.s[j.at]
		j.at++
		switch c {
		case '"':
			return string(b), true
		case '\\':
			if j.at == len(j.s) {
				return "", false
			}
			c = j.s[j.at]
			j.at++
			if c == 'u' {
				r, ok := j.unicode()
				if !ok {
					return "", false
				}
				b = utf8.AppendRune(b, r)
				continue
			}
			i := strings.IndexByte(`"\/bfnrt`, c)
			if i < 0 {
				return "", false
			}
			b = append(b, "\"\\/\b\f\n\r\t"[i])
		default:
			b = append(b, c)
		}
	}
	return "", false
}

// unicode reads what follows \u, and the second half of a surrogate pair.
func (j *refJSON) unicode() (rune, bool) {
	high, ok := j.hex4()
	if !ok || high < 0xd800 || high > 0xdfff {
		return high, ok
	}
	if high > 0xdbff || !strings.HasPrefix(j.s[j.at:], `\u`) {
		return 0, false
	}
	j.at += 2
	low, ok := j.hex4()
	return 0x10000 + (high-0xd800)<<10 + (low - 0xdc00), ok && low >= 0xdc00 && low <= 0xdfff
}

func (j *refJSON) hex4() (rune, bool) {
	if len(j.s)-j.at < 4 {
		return 0, false
	}
	r := rune(0)
	for range 4 {
		digit := unhex(j.s[j.at])
		if digit < 0 {
			return 0, false
		}
		r = r<<4 | rune(digit)
		j.at++
	}
	return r, true
}

// word reads a number, true, false or null.
func (j *refJSON) word() bool {
	for _, w := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(j.s[j.at:], w) {
			j.at += len(w)
			return true
		}
	}
	j.next('-')
	if !j.next('0') && !j.digits() {
		return false
	}
	if j.next('.') && !j.digits() {
		return false
	}
	if j.next('e') || j.next('E') {
		if !j.next('+') {
			j.next('-')
		}
		return j.digits()
	}
	return true
}

func (j *refJSON) digits() bool {
	start := j.at
	for j.at < len(j.s) && '0' <= j.s[j.at] && j.s[j.at] <= '9' {
		j.at++
	}
	return j.at > start
}

func (w *wanted) refIs(value string) bool {
	if w.refOne(value) {
		return true
	}
	before, _, found := strings.Cut(value, "\x00")
	return found && w.refOne(before)
}

func (w *wanted) refOne(value string) bool {
	if !w.front && !w.back {
		value = strings.Trim(value, blanks)
		if sameNumber(value, w.text) || strings.EqualFold(value, w.text) {
			return true
		}
		value = strings.TrimLeft(strings.TrimRight(value, trail), lead)
		if isASCII(value) {
			return len(value) == len(w.fold) && sameFold(value, w.fold)
		}
		return len(value) <= maxFolded && foldValue(value) == w.fold
	}
	switch value = foldValue(value); {
	case w.front && w.back:
		return strings.Contains(value, w.fold)
	case w.front:
		return strings.HasSuffix(value, w.fold) || strings.HasSuffix(strings.TrimRight(value, trail), w.fold)
	}
	return strings.HasPrefix(value, w.fold) || strings.HasPrefix(skipLead(value), w.fold)
}

// sameNumber reports whether want is a number and value begins with the same
// one, be it read to the end, as C's strtod does, or up to the first that is no
// digit.
func sameNumber(value, want string) bool {
	if _, all := numberAt(want); all == 0 || all != len(want) {
		return false
	}
	w, err := strconv.ParseFloat(want, 64)
	if err != nil {
		return false
	}
	whole, all := numberAt(value)
	for _, end := range [...]int{whole, all} {
		if v, err := strconv.ParseFloat(value[:end], 64); end > 0 && err == nil && v == w {
			return true
		}
	}
	return false
}

// wants reports whether an application may take value for one of those named.
func (f *Field) wants(value string) bool {
	for i := range f.values {
		if f.values[i].refIs(value) {
			return true
		}
	}
	return len(f.values) == 0
}

// refShown collects the fields for Show.
type refShown struct {
	list []Shown
	// known reports that what is added is another reading of what was there
	// before, and is left out where it is the same.
	known bool
}

// again sets known and gives what it was. It does nothing to a nil receiver.
func (s *refShown) again(known bool) (was bool) {
	if s == nil {
		return false
	}
	was, s.known = s.known, known
	return was
}

// add reports whether there was room.
func (s *refShown) add(name, value string) bool {
	one := Shown{Name: name, Value: value}
	if s.known && slices.Contains(s.list, one) {
		return true
	}
	if len(s.list) == maxShown {
		return false
	}
	s.list = append(s.list, one)
	return true
}

func (f *Field) called(raw string) bool { return spelled(raw, f.names[len(f.names)-1]) }

// meant reports whether a decoded value is one of those named to every
// application: by the letter, but for what a star stands for.
func (f *Field) meant(value string) bool {
	for i := range f.values {
		if f.values[i].letter(value) {
			return true
		}
	}
	return len(f.values) == 0
}
