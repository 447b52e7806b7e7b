package readings

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"
)

// An oracle reads the path of a raw target in the manner of a real server; ok
// is false where that server refuses the target. The oracles are written on
// their own, after the servers' behaviour and not with the package's rewrites.
type oracle struct {
	name string
	read func(target string) (path string, ok bool)
}

var scriptEnd = regexp.MustCompile(`(?is)^(.*\.php)/`)

var oracles = []oracle{
	{"naive, undecoded", func(t string) (string, bool) {
		p, _, _ := strings.Cut(t, "?")
		return p, strings.HasPrefix(p, "/")
	}},
	{"Go ServeMux", func(t string) (string, bool) {
		u, err := url.ParseRequestURI(t)
		if err != nil || u.Opaque != "" || t == "*" {
			return "", false
		}
		return clean(u.Path), true
	}},
	{"Go handler", func(t string) (string, bool) {
		u, err := url.ParseRequestURI(t)
		if err != nil || u.Opaque != "" || u.Path == "" {
			return "", false
		}
		return u.Path, true
	}},
	{"nginx", func(t string) (string, bool) {
		p, ok := origin(t)
		p, _, _ = strings.Cut(p, "#")
		p, good := strictUnescape(p)
		if !ok || !good || strings.Contains(p, "\x00") {
			return "", false
		}
		return climb(p, climbOptions{merge: true, refuseAboveRoot: true})
	}},
	{"nginx, merge_slashes off", func(t string) (string, bool) {
		p, ok := origin(t)
		p, _, _ = strings.Cut(p, "#")
		p, good := strictUnescape(p)
		if !ok || !good {
			return "", false
		}
		return climb(p, climbOptions{refuseAboveRoot: true})
	}},
	{"Tomcat", func(t string) (string, bool) {
		p, ok := origin(t)
		low := strings.ToLower(p)
		if !ok || strings.Contains(low, "%2f") || strings.Contains(low, "%5c") {
			return "", false
		}
		segs := strings.Split(p, "/")
		for i := range segs {
			segs[i], _, _ = strings.Cut(segs[i], ";")
		}
		p, good := strictUnescape(strings.Join(segs, "/"))
		if !good || strings.ContainsAny(p, "\\\x00") {
			return "", false
		}
		return climb(p, climbOptions{merge: true, refuseAboveRoot: true})
	}},
	{"Tomcat, encodedSolidusHandling passthrough, backslash allowed", func(t string) (string, bool) {
		p, ok := origin(t)
		segs := strings.Split(p, "/")
		for i := range segs {
			segs[i], _, _ = strings.Cut(segs[i], ";")
			segs[i] = strings.NewReplacer("%2f", "%252f", "%2F", "%252F").Replace(segs[i])
		}
		p, good := strictUnescape(strings.Join(segs, "/"))
		if !ok || !good {
			return "", false
		}
		return climb(strings.ReplaceAll(p, `\`, "/"), climbOptions{merge: true, refuseAboveRoot: true})
	}},
	{"Spring, ; cut after decoding", func(t string) (string, bool) {
		p, ok := origin(t)
		p, _, _ = strings.Cut(looseUnescape(p), ";")
		return clean(p), ok
	}},
	{"IIS", func(t string) (string, bool) {
		p, ok := origin(t)
		if !ok {
			return "", false
		}
		p = strings.ReplaceAll(unicodeUnescape(p), `\`, "/")
		p, _ = climb(p, climbOptions{merge: true})
		segs := strings.Split(p, "/")
		for i, s := range segs {
			if j := strings.Index(s, ":"); j > 0 && strings.Contains(s[j:], "$") {
				s = s[:j]
			}
			if s = strings.TrimRight(s, " "); s != "." && s != ".." {
				s = strings.TrimRight(s, ". ")
			}
			segs[i] = s
		}
		return climb(strings.Join(segs, "/"), climbOptions{merge: true}) // the file system once more
	}},
	{"PHP built-in server", func(t string) (string, bool) {
		p, ok := origin(t)
		p, _ = climb(looseUnescape(p), climbOptions{merge: true})
		return p, ok
	}},
	{"PHP front controller", func(t string) (string, bool) { // urldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH))
		p, _, _ := strings.Cut(t, "?")
		p, _, _ = strings.Cut(p, "#")
		if strings.HasPrefix(p, "///") || !strings.HasPrefix(p, "/") {
			return "", false // parse_url returns false or another component
		}
		if rest, ok := strings.CutPrefix(p, "//"); ok {
			i := strings.IndexByte(rest, '/')
			if i < 0 {
				return "", false
			}
			p = rest[i:]
		}
		p = strings.TrimRight(looseUnescape(strings.ReplaceAll(p, "+", " ")), "/")
		return p, p != ""
	}},
	{"PHP script with PATH_INFO", func(t string) (string, bool) {
		p, ok := origin(t)
		p = clean(looseUnescape(p))
		if m := scriptEnd.FindStringSubmatch(p); ok && m != nil {
			return m[1], true
		}
		return p, ok
	}},
	{"Node, new URL(req.url)", func(t string) (string, bool) {
		if !strings.HasPrefix(t, "/") {
			return "", false
		}
		t = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(t)
		if i := strings.IndexAny(t, "?#"); i >= 0 {
			t = t[:i]
		}
		t = strings.ReplaceAll(t, `\`, "/")
		if strings.HasPrefix(t, "//") {
			t = strings.TrimLeft(t, "/")
			i := strings.IndexByte(t, '/')
			if i <= 0 {
				return "", false
			}
			t = t[i:]
		}
		segs := strings.Split(t, "/")
		for i, s := range segs {
			switch strings.ReplaceAll(strings.ToLower(s), "%2e", ".") {
			case ".":
				segs[i] = "."
			case "..":
				segs[i] = ".."
			}
		}
		p, _ := climb(strings.Join(segs, "/"), climbOptions{})
		return looseUnescape(p), true
	}},
	{"Express, not strict", func(t string) (string, bool) {
		p, ok := origin(t)
		p = strings.TrimRight(looseUnescape(p), "/")
		return p, ok && p != ""
	}},
	{"proxy that decodes, then a server that does", func(t string) (string, bool) {
		p, ok := origin(t)
		p, _, _ = strings.Cut(looseUnescape(p), "?")
		return clean(looseUnescape(p)), ok
	}},
	{"three decodings", func(t string) (string, bool) {
		p, ok := origin(t)
		return clean(looseUnescape(looseUnescape(looseUnescape(p)))), ok
	}},
	{"Envoy, %2F kept, merged", func(t string) (string, bool) {
		p, ok := origin(t)
		p = strings.NewReplacer("%2f", "%252f", "%2F", "%252F").Replace(p)
		return clean(looseUnescape(p)), ok
	}},
	{"C string", func(t string) (string, bool) {
		p, ok := origin(t)
		p, _, _ = strings.Cut(looseUnescape(p), "\x00")
		return clean(p), ok
	}},
	{"line reader", func(t string) (string, bool) {
		p, ok := origin(t)
		p = looseUnescape(p)
		if i := strings.IndexAny(p, "\r\n"); i >= 0 {
			p = p[:i]
		}
		return p, ok
	}},
	{"careless UTF-8 decoder", func(t string) (string, bool) {
		p, ok := origin(t)
		p = strings.NewReplacer("\xc0\xaf", "/", "\xe0\x80\xaf", "/", "\xf0\x80\x80\xaf", "/",
			"\xc0\xae", ".", "\xc1\x9c", `\`, "\xc1\x1c", `\`).Replace(looseUnescape(p))
		for _, lead := range []byte("\xc0\xc1\xe0\xf0\xf8\xfc") { // others than these are not spelt out here
			if strings.IndexByte(p, lead) >= 0 {
				return "", false
			}
		}
		return clean(strings.ReplaceAll(p, `\`, "/")), ok
	}},
	{"NFKC before routing", func(t string) (string, bool) {
		p, ok := origin(t)
		return clean(norm.NFKC.String(looseUnescape(p))), ok
	}},
	{"upper-casing comparison", func(t string) (string, bool) {
		p, ok := origin(t)
		if p = looseUnescape(p); strings.ContainsAny(p, "\u200b\u2215\u2044") {
			return "", false
		}
		return strings.ToLower(strings.ToUpper(p)), ok && strings.ToValidUTF8(p, "") == p
	}},
	{"white space stripped", func(t string) (string, bool) {
		p, ok := origin(t)
		p = strings.TrimRightFunc(looseUnescape(p), func(c rune) bool { return c < ' ' || c == 0x7f || unicode.IsSpace(c) })
		return p, ok && !strings.HasSuffix(p, "\x85") && !strings.HasSuffix(p, "\xa0")
	}},
}

// origin returns the path of a target in origin-form or absolute-form.
func origin(t string) (string, bool) {
	t, _, _ = strings.Cut(t, "?")
	if i := strings.Index(t, "://"); i > 0 && !strings.ContainsAny(t[:i], "/%\\") {
		rest, ok := cutScheme(t)
		if !ok {
			return "", false
		}
		j := strings.IndexByte(rest[2:], '/')
		if j < 0 {
			return "/", true
		}
		return rest[2+j:], true
	}
	return t, strings.HasPrefix(t, "/")
}

// clean is what net/http does before it routes.
func clean(p string) string {
	c := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && c != "/" {
		c += "/"
	}
	return c
}

func looseUnescape(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if s, err := url.PathUnescape(p[i : i+3]); err == nil {
				b.WriteString(s)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

func strictUnescape(p string) (string, bool) {
	s, err := url.PathUnescape(p)
	return s, err == nil
}

func unicodeUnescape(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if i+5 < len(p) && p[i] == '%' && (p[i+1] == 'u' || p[i+1] == 'U') {
			if hi, err := url.PathUnescape("%" + p[i+2:i+4] + "%" + p[i+4:i+6]); err == nil && len(hi) == 2 {
				b.WriteString(string(utf16.Decode([]uint16{uint16(hi[0])<<8 | uint16(hi[1])})))
				i += 5
				continue
			}
		}
		if i+2 < len(p) && p[i] == '%' {
			if s, err := url.PathUnescape(p[i : i+3]); err == nil {
				b.WriteString(s)
				i += 2
				continue
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

type climbOptions struct{ merge, refuseAboveRoot bool }

// climb resolves dot segments as servers written in C do, in one pass.
func climb(p string, o climbOptions) (string, bool) {
	var out []string
	segs := strings.Split(p, "/")[1:]
	for i, s := range segs {
		last := i == len(segs)-1
		switch {
		case s == "" && o.merge && !last:
		case s == ".":
			if last {
				out = append(out, "")
			}
		case s == "..":
			if len(out) == 0 {
				if o.refuseAboveRoot {
					return "", false
				}
			} else {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/"), true
}
