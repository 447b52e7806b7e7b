//go:build components

package judges

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The grammar of targets grows outwards from what is protected: a path is
// spelled in some way, something is put behind and before it, dots lead out of
// it and into something else.
var (
	paths = []string{
		"/admin", "/admin/graphql", "/admin/graphql", "/admin/x/y", "/transfer/pay", "/transfer/pay", "/view/x", "/exact",
		"/item/7", "/admin.php", "/admin.php", "/admin.php/x", "/transfer/pay.php", "/view/x.php", "/shop/pay.do", "/index.php/admin/x", "/docs/report",
	}
	other = []string{
		"/public", "/public/y", "/view/x", "/transfer/pay", "/admin/graphql", "/", "/app", "/public.php", "/index.php", "/x", "/view/x.php", "/admin.php", "/assets/logo.png",
	}
	dotdots = []string{
		"..", "..", "..", "%2e%2e", ".%2e", "%2E.", "%252e%252e", "..;", "..;x=1", "%2e%2e;", "..%3b", "..%20", "..%00", "..%09", "...", "%c0%ae%c0%ae", "%u002e%u002e", "%ef%bc%8e%ef%bc%8e",
	}
	dots    = []string{".", ".", "%2e", "%252e", ".;", ";", ";a=b", "", "", "%20", "%09", "x/..", "%00"}
	slashes = []string{
		"/", "/", "/", "/", "/", "/", "//", `\`, "%2f", "%2F", "%5c", "%5C", "%252f", "%255c", "///", "/./", "/;/", "%c0%af", "%ef%bc%8f", "%u002f", "%25252f",
	}
	ends = []string{
		"/", "/", "//", ".", "..", "%20", "%2e", "%00", "%00.png", "%0a", "%0d%0a", "%0ax", "%09", ";", ";.css", ";jsessionid=1", "%3b", "%3bx", "#", "%23", "%23x", "%3f", "%3fx", "%3F/x",
		".json", ".html", ".xml", ".php", ".do", ".JSON", ".j", "~", "+", "%2b", "::$DATA", ":", "%3a", "%20.", ". ", "/index.php", "/index.html", "/x.css", "/x.php", ".php/y.php", "X/y.php", "%ff", "%a0", "%c2%a0", "%e2%80%8b", "%7f", "%85", "*", "%2a", "%", "%2", "%zz", "%u0000", ",", "!", "|", "^", "%25",
	}
	queries = []string{
		"?", "?x=1", "?/admin/graphql", "?/../x", "?_method=DELETE", "?_method=delete", "?_method[]=DELETE", "?x=1;_method=DELETE", "?%5fmethod=DELETE", "?a&_method=DELETE&_method=GET", "?_method=GET&_method=DELETE", "?;", "#", "#/x", "?x=/admin", "??", "?x=%00",
	}
	origins = []string{
		"http://other.example", "HTTP://other.example", "http://u@other.example:80", "https://other.example", "//other.example", "http:", "http:/", "http:///", `http:\\other.example`, "ftp://other.example", "x:", "", "http://",
	}
	methods = []string{
		"GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "DELETE", "HEAD", "OPTIONS", "get", "post", "delete", "Delete", "PROPFIND", "REPORT", "TRACE",
	}
	overrides = []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method-override", "X-Tunneled-Method", "X-HTTP-Method-Override "}
	verbs     = []string{"DELETE", "delete", "Delete", " DELETE", "DELETE ", "GET", "PUT", "DELETE,GET", "GET, DELETE", "DEL\tETE", "\"DELETE\""}
)

type generator struct{ *rand.Rand }

// newGenerator returns the generator of one judge's requests of one kind.
func newGenerator(kind, judge string) generator {
	var h uint64
	for _, c := range []byte(kind + "/" + judge) {
		h = h*1099511628211 + uint64(c)
	}
	return generator{rand.New(rand.NewPCG(seed, h))}
}

func (g generator) of(list []string) string     { return list[g.IntN(len(list))] }
func (g generator) chance(percent int) bool     { return g.IntN(100) < percent }
func (g generator) slash(percent int) string    { return g.sometimes(percent, "/", slashes) }
func (g generator) dotdot(percent int) string   { return g.sometimes(percent, "..", dotdots) }
func (g generator) appended(percent int) string { return g.sometimes(percent, "", ends) }

func (g generator) sometimes(percent int, plain string, list []string) string {
	if g.chance(percent) {
		return g.of(list)
	}
	return plain
}

// segment spells a segment, or the end of one, in another way.
func (g generator) segment(s string, tricky int) string {
	if s == "" || !g.chance(tricky) {
		return s
	}
	i := g.IntN(len(s))
	switch g.IntN(12) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.ToUpper(s[:1]) + s[1:]
	case 2, 3:
		return s[:i] + fmt.Sprintf(g.of([]string{"%%%02x", "%%%02X"}), s[i]) + s[i+1:]
	case 4:
		return s[:i] + fmt.Sprintf("%%25%02x", s[i]) + s[i+1:]
	case 5:
		return s[:i] + fmt.Sprintf("%%u00%02x", s[i]) + s[i+1:]
	case 6:
		return s[:i] + fmt.Sprintf("%%c%d%%%02x", s[i]>>6, 0x80|s[i]&0x3f) + s[i+1:]
	case 7:
		return s[:i] + strings.NewReplacer("s", "%c5%bf", "k", "%e2%84%aa", "i", "%c4%b1", "a", "%ef%bd%81", ".", "%ef%bc%8e").Replace(s[i:i+1]) + s[i+1:]
	case 8:
		return s[:i] + g.of([]string{"%00", "%09", "%0a", "%0d", "%1f", "%7f", "%e2%80%8b", "%c2%ad", "%80", "%"}) + s[i:]
	case 9:
		return s + g.of(dots)
	case 10:
		return g.of([]string{".", "%2e", "%20", "%09", ";", "+", "%ef%bb%bf"}) + s
	default:
		return s + g.of(ends)
	}
}

// spell writes a path with few tricks or with many.
func (g generator) spell(path string, tricky int) string {
	var b strings.Builder
	for _, s := range strings.Split(path[1:], "/") {
		b.WriteString(g.slash(tricky))
		if g.chance(tricky / 3) {
			b.WriteString(g.of(dots) + g.slash(tricky))
		}
		b.WriteString(g.segment(s, tricky))
	}
	return b.String()
}

// target returns a request target.
func (g generator) target() string {
	tricky := []int{0, 5, 15, 30, 60}[g.IntN(5)]
	var b strings.Builder
	if g.chance(6) {
		b.WriteString(g.of(origins))
	}
	if g.chance(25) { // from somewhere else into it
		b.WriteString(g.spell(g.of(other), tricky))
		for range 1 + g.IntN(3) {
			b.WriteString(g.slash(tricky) + g.dotdot(tricky))
		}
	}
	b.WriteString(g.spell(g.of(paths), tricky))
	b.WriteString(g.appended(20))
	if g.chance(50) { // and out of it
		for range g.IntN(3) {
			b.WriteString(g.slash(tricky) + g.segment(g.of([]string{"x", "graphql", "y.css", "pay", "a.b"}), tricky))
		}
		for range 1 + g.IntN(4) {
			b.WriteString(g.slash(tricky) + g.dotdot(tricky))
		}
		if g.chance(60) {
			b.WriteString(g.spell(g.of(other), tricky))
		}
		if g.chance(15) {
			b.WriteString(g.slash(tricky) + g.dotdot(tricky) + g.spell(g.of(other), tricky))
		}
	}
	b.WriteString(g.appended(25))
	if g.chance(15) {
		b.WriteString(g.of(queries))
	}
	return g.mutate(b.String())
}

// mutate changes a byte or two now and then, and makes sure that the target can
// be written into a request line.
func (g generator) mutate(s string) string {
	for g.chance(12) && s != "" {
		i := g.IntN(len(s))
		switch g.IntN(6) {
		case 0:
			s = s[:i] + s[i+1:]
		case 1:
			s = s[:i] + s[i:i+1] + s[i:]
		case 2:
			s = s[:i] + fmt.Sprintf("%%%02x", s[i]) + s[i+1:]
		case 3:
			s = s[:i] + string(byte(0x21+g.IntN(0x7f-0x21))) + s[i:]
		case 4:
			s = s[:i] + string(rune(0x80 + g.IntN(0x80)))[1:] + s[i:]
		case 5:
			j := i + g.IntN(len(s)-i)
			s = s[:j] + s[i:j] + s[j:]
		}
	}
	s = strings.NewReplacer(" ", "+", "\r", "%0d", "\n", "%0a").Replace(s)
	if s == "" {
		return "/"
	}
	return s
}

// aimed returns a request whose target is what is tried.
func (g generator) aimed() request {
	r := request{method: g.of(methods), target: g.target()}
	if g.chance(10) {
		r.set(g.of(overrides), g.of(verbs))
	}
	if r.method != "GET" && r.method != "HEAD" && g.chance(30) {
		r.set("Content-Type", "application/x-www-form-urlencoded")
		r.body = []byte(g.of([]string{"_method=DELETE", "a=b&_method=delete", "_method=GET&_method=DELETE", "%5Fmethod=DELETE", "a=b", "_method[]=DELETE", "_method%00=DELETE", "_method=DELETE;a=b"}))
	}
	if g.chance(2) {
		r.set(g.of([]string{"X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Uri"}), g.spell(g.of(paths), 0))
	}
	return r
}
