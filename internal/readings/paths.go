package readings

import (
	"errors"
	"strings"
)

// Limit is how many readings a path may have, and a method. An honest path
// has one to a dozen; someone who piles trick on trick is refused.
const Limit = 64

// maxWork bounds the bytes read and written while Paths looks for readings,
// so that a 16 KiB target of nested escapes costs below a millisecond. A
// target of a few hundred bytes reaches Limit first, and an honest one of
// 4 KiB neither.
const maxWork = 384 << 10

// ErrTooMany is returned for a request that could be understood in more than
// Limit ways, or whose ways are too costly to find. The request is to be
// refused: nobody can say what the upstream would make of it.
var ErrTooMany = errors.New("request has too many readings")

// Paths lists the readings of the path of a raw request target, in
// origin-form, absolute-form, authority-form or asterisk-form (RFC 9112
// section 3.2), without duplicates and in an order that depends on the target
// alone. The first is the plain one: percent-decoded once and nothing else.
//
// It is the closure of the target's path under the rewrites of the table
// below: what one component of the upstream makes of it, a next one may read
// again. A rewrite changes all of its occurrences at once, so the number of
// readings grows with the kinds of tricks in a path and not with its length.
//
// The only error is ErrTooMany.
func Paths(target string) ([]string, error) {
	var c closure
	if err := c.seed(target); err != nil {
		return nil, err
	}
	for i := 0; i < len(c.found); i++ {
		s := c.found[i]
		has := features(s)
		c.work += len(s)
		if has&hasHigh != 0 {
			c.work += 4 * len(s) // normal forms are costly to tell
		}
		for j := range rewrites {
			if has&rewrites[j].needs == 0 {
				continue
			}
			// Charged before and after: NFKC makes 33 bytes of 3.
			if c.work += rewrites[j].cost * len(s); c.work > maxWork {
				return nil, ErrTooMany
			}
			if err := c.add(rewrites[j].to(c.buf[:0], s), rewrites[j].cost); err != nil {
				return nil, err
			}
		}
	}
	return c.found, nil
}

// rewrites are the ways in which servers change a path before they act on it.
// Each appends what becomes of s to dst; unchanged is fine. needs are the
// features without any of which it could change nothing; cost weighs its work.
var rewrites = [...]struct {
	name  string
	needs feature
	cost  int
	to    func(dst []byte, s string) []byte
}{
	{"decode", hasPercent, 1, decodeAll},
	{"decode all but %2F", hasPercent, 1, decodeButSlash}, // Tomcat, Apache, routers that split first
	{"decode, %uXXXX too", hasPercent, 1, decodeUnicode},  // IIS
	{"plus is space", hasPlus, 1, plusToSpace},            // PHP's urldecode
	{"backslash is slash", hasBackslash, 1, backslashToSlash},
	{"strip ;params", hasSemicolon, 1, stripParams}, // Tomcat, Jetty, Spring
	{"cut at ;", hasSemicolon, 1, cutter(func(c byte) bool { return c == ';' })},
	{"merge slashes", hasDoubleSlash, 1, mergeSlashes},
	{"drop //authority", hasDoubleSlash, 1, dropAuthority},         // PHP's parse_url, Python's urlsplit
	{"drop ///authority", hasDoubleSlash, 1, dropAuthoritySlashes}, // WHATWG
	{"resolve dots", hasDotSegment, 1, resolveDots},
	{"resolve %2e too", hasDotSegment | hasPercent, 1, resolveEncodedDots}, // WHATWG URL
	{"cut before the last ..", hasDotSegment, 1, cutBeforeDots},            // routers by prefix
	{"take ../ out", hasDotSegment, 1, takeDotsOut},                        // str_replace("../", "")
	{"trim segments", hasTrim, 1, trimSegments},                            // Windows
	{"trim end", hasTrim | hasControl | hasHigh, 1, trimEnd},               // Express, Flask, Spring
	{"drop last slash", hasTrailingSlash, 1, dropTrailingSlash},
	{"cut at NUL", hasControl, 1, cutter(func(c byte) bool { return c == 0 })},
	{"cut at newline", hasControl, 1, cutter(func(c byte) bool { return c == '\r' || c == '\n' })},
	{"cut at control", hasControl, 1, cutter(isControl)},
	{"drop tab and newline", hasControl, 1, dropper(func(c byte) bool { return c == '\t' || c == '\r' || c == '\n' })}, // WHATWG, Python
	{"drop controls", hasControl, 1, dropper(isControl)},
	{"cut at ?", hasQuestion, 1, cutter(func(c byte) bool { return c == '?' })}, // decoded before it is split
	{"cut at #", hasHash, 1, cutter(func(c byte) bool { return c == '#' })},
	{"cut NTFS stream", hasDollar, 1, cutStreams},
	{"cut path info", hasScript, 1, cutPathInfo},                  // CGI, PHP, ASP.NET
	{"path info alone", hasScript, 1, dropScript},                 // front controllers
	{"cut behind a script", hasSplitScript, 1, cutSplitScript},    // FastCGI
	{"behind a script alone", hasSplitScript, 1, dropSplitScript}, // its PATH_INFO
	{"overlong UTF-8", hasInvalid, 2, foldOverlong},
	{"stray bytes are Latin-1", hasInvalid, 2, latin1},
	{"stray bytes vanish", hasInvalid, 2, dropInvalid},
	{"NFC", hasNormalForm, 4, composeNFC},
	{"NFKC", hasNormalForm, 8, composeNFKC},
	{"look-alikes", hasHigh, 4, foldRunes},
}

// closure collects readings; those not yet looked at are a queue.
type closure struct {
	found []string
	buf   []byte
	work  int
}

// add takes b among the readings unless it is one. Every byte costs.
func (c *closure) add(b []byte, cost int) error {
	c.buf = b[:0]
	c.work += cost * len(b)
	if c.work > maxWork {
		return ErrTooMany
	}
	for _, f := range c.found {
		if f == string(b) {
			return nil
		}
	}
	if len(c.found) == Limit {
		return ErrTooMany
	}
	c.found = append(c.found, string(b))
	return nil
}

// seed puts in the plain decoded path, and the paths as they were sent.
func (c *closure) seed(target string) error {
	t := target
	query := strings.IndexByte(target, '?')
	if query >= 0 {
		t = target[:query]
	}
	c.work = len(target)
	if c.work > maxWork {
		return ErrTooMany
	}
	c.buf = make([]byte, 0, len(t)+8)
	for i, p := range rawPaths(t) {
		if p == "" {
			continue
		}
		if i == 0 {
			if err := c.add(decodeAll(c.buf[:0], p), 1); err != nil {
				return err
			}
		}
		if err := c.add(append(c.buf[:0], p...), 1); err != nil {
			return err
		}
	}
	if query >= 0 && pathInQuery(target[query:]) {
		// CodeIgniter takes "/index.php?/admin" for "/admin".
		p, _, _ := strings.Cut(target[query+1:], "&")
		return c.add(decodeAll(c.buf[:0], p), 1)
	}
	return nil
}

// rawPaths returns what may be the path of a target without its query; the
// likeliest first, unused places empty.
func rawPaths(t string) [4]string {
	switch {
	case t == "":
		return [4]string{"/"}
	case t == "*":
		return [4]string{"*"}
	case t[0] == '/':
		return [4]string{t}
	}
	rest, ok := cutScheme(t)
	switch {
	case !ok: // rootless, or a host without port
		return [4]string{"/" + t, "/"}
	case strings.HasPrefix(rest, "//"):
		// RFC 3986 ends the authority at a slash, WHATWG at a backslash too.
		a := rest[2:]
		paths := [4]string{"/", "/" + t}
		if i := strings.IndexByte(a, '/'); i >= 0 {
			paths[0] = a[i:]
		}
		if i := strings.IndexAny(a, `/\#`); i >= 0 && a[i] != '/' {
			paths[2], paths[3] = "/"+a[i:], "/"
			if a[i] == '\\' {
				paths[2] = "/" + a[i+1:]
			}
		}
		return paths
	case strings.HasPrefix(rest, "/"):
		return [4]string{rest, "/" + t}
	default: // opaque, or host:port
		return [4]string{"/", "/" + rest, "/" + t}
	}
}

// cutScheme returns what follows "scheme:" (RFC 3986 section 3.1).
func cutScheme(t string) (rest string, ok bool) {
	for i := 0; i < len(t); i++ {
		switch c := t[i]; {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > 0 && c == ':':
			return t[i+1:], true
		default:
			return "", false
		}
	}
	return "", false
}
