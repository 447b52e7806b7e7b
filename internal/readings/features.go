package readings

import (
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// feature is a set of things found in a path that some rewrite acts on.
type feature uint32

const (
	hasPercent feature = 1 << iota
	hasPlus
	hasBackslash
	hasSemicolon
	hasDoubleSlash
	hasDotSegment    // a segment that begins with a dot
	hasTrim          // a dot or space before a slash or the end
	hasTrailingSlash // other than the root itself
	hasControl
	hasQuestion
	hasHash
	hasHigh       // a byte beyond ASCII
	hasInvalid    // bytes that are not UTF-8
	hasNormalForm // not in NFKC: there is a normal form to be had
	hasDollar
	hasScript      // a segment like "index.php" before the last
	hasSplitScript // something that FastCGI may split behind, and more after it
)

var featureOf = func() (t [256]feature) {
	for c := range t {
		switch {
		case isControl(byte(c)):
			t[c] = hasControl
		case c >= 0x80:
			t[c] = hasHigh
		}
	}
	t['%'], t['+'], t['\\'], t[';'] = hasPercent, hasPlus, hasBackslash, hasSemicolon
	t['?'], t['#'], t['$'] = hasQuestion, hasHash, hasDollar
	return t
}()

// features scans a path once, so that rewrites without an object are skipped.
func features(s string) feature {
	var f feature
	var prev byte
	dotAt := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '/':
			if prev == '/' {
				f |= hasDoubleSlash
			}
			if prev == '.' || prev == ' ' {
				f |= hasTrim
			}
			if dotAt > 0 && isScript(s[dotAt+1:i]) {
				f |= hasScript
			}
			if dotAt > 0 && splitsBehind(s[dotAt:]) > 0 {
				f |= hasSplitScript
			}
			dotAt = 0
		case '.':
			if prev == '/' {
				f |= hasDotSegment
			}
			if dotAt > 0 && splitsBehind(s[dotAt:]) > 0 {
				f |= hasSplitScript
			}
			dotAt = i
		default:
			f |= featureOf[c]
		}
		prev = c
	}
	if f&hasHigh != 0 {
		if !utf8.ValidString(s) {
			f |= hasInvalid
		}
		if !norm.NFKC.IsNormalString(s) {
			f |= hasNormalForm
		}
	}
	if dotAt > 0 && splitsBehind(s[dotAt:]) > 0 {
		f |= hasSplitScript
	}
	switch {
	case prev == '.' || prev == ' ':
		f |= hasTrim
	case prev == '/' && len(s) > 1:
		f |= hasTrailingSlash
	}
	return f
}

func isControl(c byte) bool { return c < 0x20 || c == 0x7f }

// isScript reports whether a file name's extension, in any case, belongs to
// something servers run with the rest of the path as its PATH_INFO (RFC 3875
// section 4.1.5): "/admin.php/x" runs "/admin.php".
func isScript(ext string) bool {
	if len(ext) < 2 || len(ext) > 5 {
		return false
	}
	var low [5]byte
	for i := 0; i < len(ext); i++ {
		low[i] = ext[i]
		if 'A' <= ext[i] && ext[i] <= 'Z' {
			low[i] += 'a' - 'A'
		}
	}
	switch string(low[:len(ext)]) {
	case "php", "php3", "php4", "php5", "php7", "php8", "pht", "phtml", "phar",
		"asp", "aspx", "ashx", "asmx", "axd", "svc",
		"jsp", "jspx", "do", "cfm", "cfc",
		"cgi", "fcgi", "pl", "py", "rb", "lua", "exe", "dll":
		return true
	}
	return false
}

// splitsBehind returns how long the extension with its dot is that s begins with,
// if a server that splits paths at a text, and not at a segment's end, splits
// behind it and more follows; else 0. Caddy and others who speak FastCGI look for
// the first ".php" wherever it stands: "/admin.phpX/y.php" runs "/admin.php".
func splitsBehind(s string) int {
	if len(s) < len(".pl")+1 {
		return 0
	}
	switch s[1] | 0x20 {
	case 'p', 'c', 'f', 'r', 'l':
	default:
		return 0
	}
	for _, ext := range splitExtensions {
		if len(s) > len(ext) && equalASCII(s[:len(ext)], ext) {
			return len(ext)
		}
	}
	return 0
}

var splitExtensions = [...]string{".php", ".phtml", ".phar", ".fcgi", ".cgi", ".pl", ".py", ".rb", ".lua"}

// equalASCII compares with a text in lower case, without the case of ASCII.
func equalASCII(s, lower string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
