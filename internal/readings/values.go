package readings

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// wanted is a value that a rule names. Where it protects (a positive list) it is
// compared as tolerantly as the most tolerant application may; where it exempts
// (a negative list) byte for byte, see [Field.listed].
type wanted struct {
	text string // as it was configured, without its stars
	fold string // folded, see foldValue
	// front and back report that anything may stand there: a star at that end.
	front, back bool
	// typed reports that text is a JSON word or a number, which loose
	// comparisons of types are not to be feared of.
	typed bool
	// number reports that text is a number that can be compared, and value which.
	number bool
	value  float64
}

func wantedOf(value string) (wanted, error) {
	w := wanted{text: value}
	if rest, ok := strings.CutPrefix(w.text, "*"); ok {
		w.text, w.front = rest, true
	}
	if rest, ok := strings.CutSuffix(w.text, "*"); ok {
		w.text, w.back = rest, true
	}
	switch {
	case strings.Contains(w.text, "*"):
		return w, fieldError("a star in a value stands at its beginning or its end, for anything that may be there")
	case w.text == "" && (w.front || w.back):
		return w, fieldError("a star alone is any value: leave it out")
	}
	w.prepare()
	return w, nil
}

// is reports whether some application may take value for w: without its case,
// up to a NUL or with it, without blanks, quotes and the separators of a
// namespace in front ("\pref_users" is pref_users to those who make a class's
// name of it), with - as _, in another form of Unicode, and as a number.
func (w *wanted) is(value *seen, e *effort) bool {
	value.prepare()
	return w.one(value, e) || value.cut != nil && w.one(value.cut, e)
}

// letter reports whether every application takes value for w: by the letter, but
// for what a star stands for, and without a NUL at which some would cut it.
func (w *wanted) letter(value string) bool {
	switch {
	case strings.IndexByte(value, 0) >= 0:
		return false
	case w.front && w.back:
		return strings.Contains(value, w.text)
	case w.front:
		return strings.HasSuffix(value, w.text)
	case w.back:
		return strings.HasPrefix(value, w.text)
	}
	return value == w.text
}

// prepare finds out what comparing needs of the text.
func (w *wanted) prepare() {
	w.fold = foldValue(w.text)
	_, all := numberAt(w.text)
	isNumber := all > 0 && all == len(w.text)
	w.typed = isNumber || w.text == "true" || w.text == "false" || w.text == "null"
	if isNumber {
		value, err := strconv.ParseFloat(w.text, 64)
		w.number, w.value = err == nil, value
	}
}

// lead is what may stand before a value, and trail behind it, without changing
// what it is taken for.
const (
	lead  = blanks + `\/"'`
	trail = blanks + "\x00" + `"'`
)

func (w *wanted) one(v *seen, e *effort) bool {
	if !w.front && !w.back {
		switch {
		case w.number && v.isNumber(w.value), strings.EqualFold(v.trimmed, w.text):
			return true
		case v.ascii:
			return len(v.bare) == len(w.fold) && sameFold(v.bare, w.fold)
		}
		return len(v.bare) <= maxFolded && v.foldedBare(e) == w.fold
	}
	fold := v.folded(e)
	if w.front && w.back && !e.spend(searching(fold, w.fold)) {
		return false
	}
	switch {
	case w.front && w.back:
		return strings.Contains(fold, w.fold)
	case w.front:
		return strings.HasSuffix(fold, w.fold) || strings.HasSuffix(strings.TrimRight(fold, trail), w.fold)
	}
	return strings.HasPrefix(fold, w.fold) || strings.HasPrefix(v.led(), w.fold)
}

// searching is about what it takes to look for a text in another.
func searching(s, text string) int { return len(s)/8 + 4*strings.Count(s, text[:1]) }

// maxFolded bounds a text that is folded to be compared with a whole value, in
// bytes: what is longer, once what does not show was left out, is another.
const maxFolded = 4 << 10

// skipLead skips what a language may have before its first word: blanks, commas,
// marks, brackets, quotes, and comments of a line or block (GraphQL ignores
// commas, a byte order mark and # comments; SQL knows -- and /* */).
func skipLead(s string) string {
	for {
		s = strings.TrimLeftFunc(s, func(c rune) bool {
			return unicode.IsSpace(c) || unicode.IsControl(c) || ignorable(c) || strings.ContainsRune(`,;(\"'`, c)
		})
		switch {
		case strings.HasPrefix(s, "#"), strings.HasPrefix(s, "__"), strings.HasPrefix(s, "//"): // -- was folded to __
			i := strings.IndexAny(s, "\r\n\u2028")
			if i < 0 {
				return ""
			}
			s = s[i:]
		case strings.HasPrefix(s, "/*"):
			i := strings.Index(s, "*/")
			if i < 0 {
				return ""
			}
			s = s[i+2:]
		case strings.HasPrefix(s, "/"):
			s = s[1:]
		default:
			return s
		}
	}
}

// loosely reports whether a JSON word or number may be taken for w by those who
// compare without regard to types: in PHP true equals every text, and until PHP 8
// so does 0; those who bind JSON to an enumeration take a number for the name at
// that place, and null for the first.
func (w *wanted) loosely(word string) bool { return !w.typed && word != "false" }

// foldValue writes a text so that those that applications take for the same are
// the same: compatibility forms and case as Unicode has them, characters that do
// not show left out, - as _.
func foldValue(s string) string {
	if isASCII(s) {
		b := []byte(s)
		for i, c := range b {
			b[i] = foldByte(c)
		}
		return string(b)
	}
	s = norm.NFKC.String(s)
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			b = append(b, s[i])
		case c < utf8.RuneSelf:
			b = append(b, foldByte(s[i]))
		case ignorable(c):
		default:
			least := leastFold(unicode.ToLower(unicode.ToUpper(c)))
			if least < utf8.RuneSelf {
				b = append(b, foldByte(byte(least)))
			} else {
				b = utf8.AppendRune(b, least)
			}
		}
		i += size
	}
	return string(b)
}

// leastFold returns the least of the characters that differ from c in case alone.
func leastFold(c rune) rune {
	least := c
	for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}

func foldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case c == '-':
		return '_'
	}
	return c
}

// sameFold compares s, of ASCII, with what was folded and is as long.
func sameFold(s, folded string) bool {
	for i := 0; i < len(s); i++ {
		if foldByte(s[i]) != folded[i] {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// spelled reports whether raw is text as a form's encoding writes it: what need
// not be escaped is not, and a space is + or %20.
func spelled(raw, text string) bool {
	if raw == text && strings.IndexByte(raw, '%') < 0 && strings.IndexByte(raw, '+') < 0 {
		return true
	}
	at := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case at == len(raw):
			return false
		case raw[at] == '%' && at+2 < len(raw) && !unreserved(c):
			hi, lo := unhex(raw[at+1]), unhex(raw[at+2])
			if hi < 0 || lo < 0 || byte(hi<<4|lo) != c {
				return false
			}
			at += 3
		case raw[at] == '+' && c == ' ':
			at++
		case raw[at] == c && c != '%' && c != '+':
			at++
		default:
			return false
		}
	}
	return at == len(raw)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

// numberAt returns how long the number is that s begins with: its whole part,
// and all of it; 0 for none.
func numberAt(s string) (whole, all int) {
	digits := func(at int) int {
		for at < len(s) && at < maxNumber && '0' <= s[at] && s[at] <= '9' {
			at++
		}
		return at
	}
	at := 0
	if s != "" && (s[0] == '-' || s[0] == '+') {
		at = 1
	}
	whole = digits(at)
	if whole == at {
		whole = 0
	}
	all = whole
	if at = max(whole, at); at < len(s) && s[at] == '.' {
		if end := digits(at + 1); end > at+1 || whole > 0 {
			all = end
		}
	}
	if all > 0 && all < len(s) && s[all]|0x20 == 'e' {
		at = all + 1
		if at < len(s) && (s[at] == '-' || s[at] == '+') {
			at++
		}
		if end := digits(at); end > at {
			all = end
		}
	}
	return whole, all
}

// maxNumber is how many bytes a number may have.
const maxNumber = 64
