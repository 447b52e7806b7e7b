package readings

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The rewrites of a path's structure: slashes, dots, parameters, ends. All
// take a path that begins with '/' (or is "*") and append a path that does.

func plusToSpace(dst []byte, s string) []byte      { return replace(dst, s, '+', ' ') }
func backslashToSlash(dst []byte, s string) []byte { return replace(dst, s, '\\', '/') }

func replace(dst []byte, s string, from, to byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == from {
			dst = append(dst, to)
		} else {
			dst = append(dst, s[i])
		}
	}
	return dst
}

// cutter returns a rewrite that ends the path before the first byte that is.
func cutter(is func(byte) bool) func(dst []byte, s string) []byte {
	return func(dst []byte, s string) []byte {
		for i := 1; i < len(s); i++ {
			if is(s[i]) {
				return append(dst, s[:i]...)
			}
		}
		return append(dst, s...)
	}
}

// dropper returns a rewrite that leaves out all bytes that are.
func dropper(is func(byte) bool) func(dst []byte, s string) []byte {
	return func(dst []byte, s string) []byte {
		for i := 0; i < len(s); i++ {
			if !is(s[i]) {
				dst = append(dst, s[i])
			}
		}
		return dst
	}
}

// eachSegment appends s with every segment replaced by what to returns.
func eachSegment(dst []byte, s string, to func(segment string) string) []byte {
	for {
		i := strings.IndexByte(s, '/')
		if i < 0 {
			return append(dst, to(s)...)
		}
		dst = append(append(dst, to(s[:i])...), '/')
		s = s[i+1:]
	}
}

// stripParams takes ";…" off every segment, "..;" included (RFC 3986 section
// 3.3 only mentions them; the Servlet specification strips them).
func stripParams(dst []byte, s string) []byte {
	return eachSegment(dst, s, func(seg string) string {
		seg, _, _ = strings.Cut(seg, ";")
		return seg
	})
}

func mergeSlashes(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '/' || i == 0 || s[i-1] != '/' {
			dst = append(dst, s[i])
		}
	}
	return dst
}

// dropAuthority reads "//host/path" as a network-path reference (RFC 3986
// section 4.2).
func dropAuthority(dst []byte, s string) []byte {
	if !strings.HasPrefix(s, "//") {
		return append(dst, s...)
	}
	if i := strings.IndexByte(s[2:], '/'); i >= 0 {
		return append(dst, s[2+i:]...)
	}
	return append(dst, '/')
}

// dropAuthoritySlashes does so however many slashes stand before the host
// (WHATWG URL, "special authority ignore slashes state").
func dropAuthoritySlashes(dst []byte, s string) []byte {
	t := strings.TrimLeft(s, "/")
	if len(s)-len(t) < 2 {
		return append(dst, s...)
	}
	if i := strings.IndexByte(t, '/'); i >= 0 {
		return append(dst, t[i:]...)
	}
	return append(dst, '/')
}

func resolveDots(dst []byte, s string) []byte {
	return resolve(dst, s, func(seg string) int {
		switch seg {
		case ".":
			return 1
		case "..":
			return 2
		}
		return 0
	})
}

// resolveEncodedDots takes "%2e" for a dot where a segment consists of
// nothing else, and decodes nothing (WHATWG URL, "double-dot path segment").
func resolveEncodedDots(dst []byte, s string) []byte {
	return resolve(dst, s, func(seg string) int {
		if len(seg) > len("%2e%2e") {
			return 0
		}
		n := 0
		for ; seg != ""; n++ {
			switch {
			case seg[0] == '.':
				seg = seg[1:]
			case len(seg) >= 3 && seg[0] == '%' && seg[1] == '2' && seg[2]|0x20 == 'e':
				seg = seg[3:]
			default:
				return 0
			}
		}
		return n
	})
}

// resolve removes dot segments (RFC 3986 section 5.2.4); empty segments are
// segments, and what goes above the root stays there. dots tells of how many
// dots a segment consists: 1 and 2 mean something.
func resolve(dst []byte, s string, dots func(segment string) int) []byte {
	if s == "" || s[0] != '/' {
		return append(dst, s...)
	}
	base := len(dst)
	for s = s[1:]; ; {
		seg, rest, more := strings.Cut(s, "/")
		n := dots(seg)
		if n == 2 {
			i := len(dst)
			for i > base && dst[i-1] != '/' {
				i--
			}
			dst = dst[:max(i-1, base)]
		}
		if n != 1 && n != 2 {
			dst = append(append(dst, '/'), seg...)
		} else if !more {
			dst = append(dst, '/')
		}
		if !more {
			return dst
		}
		s = rest
	}
}

// trimSegments takes dots and spaces off the end of every segment, as Windows
// does with file names; "." and ".." stay, also with spaces behind them.
func trimSegments(dst []byte, s string) []byte {
	return eachSegment(dst, s, func(seg string) string {
		t := strings.TrimRight(seg, " ")
		if t == "." || t == ".." {
			return t
		}
		return strings.TrimRight(t, ". ")
	})
}

// trimEnd takes white space in the widest sense off the end of the path:
// controls, Unicode spaces, and the bytes which are spaces in Latin-1. Express
// trims 0xA0, Flask 0x85, Spring a tab.
func trimEnd(dst []byte, s string) []byte {
	for len(s) > 1 {
		c, size := utf8.DecodeLastRuneInString(s)
		last := s[len(s)-1]
		switch {
		case c == utf8.RuneError && size == 1 && (last == 0x85 || last == 0xa0):
		case isControl(last) || unicode.IsSpace(c):
		default:
			return append(dst, s...)
		}
		s = s[:len(s)-size]
	}
	return append(dst, s...)
}

func dropTrailingSlash(dst []byte, s string) []byte {
	if t := strings.TrimRight(s, "/"); t != "" {
		return append(dst, t...)
	}
	return append(dst, '/')
}

// cutStreams takes NTFS stream names off: "secret.php::$DATA" is
// "secret.php", "admin:$i30:$INDEX_ALLOCATION" is "admin".
func cutStreams(dst []byte, s string) []byte {
	return eachSegment(dst, s, func(seg string) string {
		i := strings.IndexByte(seg, ':')
		if i > 0 && strings.IndexByte(seg[i:], '$') > 0 {
			return seg[:i]
		}
		return seg
	})
}

// cutBeforeDots ends the path before its last "..", behind the slash: what a
// router that goes by prefix and resolves nothing compares (Express's app.use,
// Starlette's Mount, Flask's path converter). In "/admin/graphql/../.." it finds
// the handler of "/admin/graphql", though the path resolves to "/".
func cutBeforeDots(dst []byte, s string) []byte {
	for end := len(s); end > 0; {
		i := strings.LastIndex(s[:end], "/..")
		if i < 0 {
			break
		}
		if i+len("/..") == len(s) || s[i+len("/..")] == '/' {
			return append(dst, s[:i+1]...)
		}
		end = i + len("/.") // "/../.." overlaps in its slash only
	}
	return append(dst, s...)
}

// takeDotsOut deletes "../" wherever it stands, as applications do that mean to be
// careful: "/..././" becomes "/../".
func takeDotsOut(dst []byte, s string) []byte {
	return append(dst, strings.ReplaceAll(s, "../", "")...)
}
