package identity

import (
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// Cookies returns the names and values of a request's cookies, in order, as they
// stand: nothing is unquoted, and nothing that looks odd is left out, since the
// application may well read it.
func Cookies(h http.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, line := range h["Cookie"] {
			for pair := range strings.SplitSeq(line, ";") {
				name, value, _ := strings.Cut(pair, "=")
				name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
				if name == "" && value == "" {
					continue
				}
				if !yield(name, value) {
					return
				}
			}
		}
	}
}

// OneCookie returns the value of the cookie of that name. It is ErrAmbiguous where
// there are two, or where one stands there under a spelling that some
// applications take for the same name: frameworks differ in which of two they
// believe (S21).
func OneCookie(h http.Header, name string) (value string, found bool, err error) {
	folded := FoldCookieName(name)
	for n, v := range Cookies(h) {
		if commaHides(v, folded) {
			return "", false, ErrAmbiguous
		}
		if n != name && FoldCookieName(n) != folded {
			continue
		}
		if found || n != name {
			return "", false, ErrAmbiguous
		}
		value, found = v, true
	}
	return value, found, nil
}

// commaHides reports whether a value holds a cookie of that name behind a comma,
// which older servers take for a separator (RFC 2965 section 3.3.4).
func commaHides(value, folded string) bool {
	first := true
	for part := range strings.SplitSeq(value, ",") {
		name, _, pair := strings.Cut(part, "=")
		if !first && pair && FoldCookieName(strings.Trim(name, " \t")) == folded {
			return true
		}
		first = false
	}
	return false
}

// cookieSpellings are the bytes that PHP turns into an underscore in the names
// of cookies.
var cookieSpellings = strings.NewReplacer(".", "_", " ", "_", "[", "_", "+", "_")

// FoldCookieName returns the same for names that some application takes for one:
// older PHP decodes percent signs in them and turns dots into underscores, and
// some frameworks ignore case.
func FoldCookieName(name string) string {
	if plainName(name) {
		return name
	}
	if decoded, err := url.PathUnescape(name); err == nil {
		name = decoded
	}
	return strings.ToLower(cookieSpellings.Replace(name))
}

// plainName tells of a name that folding leaves as it is.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// Bearer returns the token of an Authorization field of that scheme (RFC 6750
// section 2.1), as it stands. It is ErrAmbiguous where there are two fields, and
// where the scheme stands elsewhere than at the beginning and before a space:
// some applications take any blank for one (passport), and others look for the
// word wherever it is (Laravel).
func Bearer(h http.Header) (token string, found bool, err error) {
	fields := h["Authorization"]
	if len(fields) > 1 {
		return "", false, ErrAmbiguous
	}
	if len(fields) == 0 {
		return "", false, nil
	}
	scheme, token, _ := strings.Cut(strings.Trim(fields[0], " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		if strings.Contains(strings.ToLower(fields[0]), "bearer") {
			return "", false, ErrAmbiguous
		}
		return "", false, nil
	}
	return strings.Trim(token, " \t"), true, nil
}
