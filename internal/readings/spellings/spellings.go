// Package spellings writes one path in the thousands of ways that some server
// or other takes for it: the grammar of rule S06, for tests of this module
// only. The same list goes through the path readings, through the gate and
// against real upstreams.
package spellings

import (
	"fmt"
	"iter"
	"strings"
)

// The grammar: target = host prefix segment (tail separator segment)* tail end.
// In each list the first is the plain spelling.
var (
	prefixes = []string{
		"/", "//", "///", "/./", "/%2e/", "/.//", "/x/../", "/x/%2e%2e/", "/x/%2E./", "/x/..;/", "/x/..;a=b/",
		"/../", "/..%2f", "/%2e%2e%2f", "/x/..%2f", "/x%2f../", "/x/..%5c", `/x/..\`, "/x/%252e%252e/", "/x/%252e%252e%252f",
		"/;/", "/;a=b/", "/.;/", "/.;x=1/", "/%3b/", "/%2f", "/%5c", `/\`, "/%252f", "/%c0%ae/", "/x/%c0%ae%c0%ae/", "/x/%u002e%u002e/",
		"/x//../", "/x/y/../../", "/x%2fy/%2e%2e/", "//x/", "///x/", `/\x/`, "/x/.%00./", "/%09/", "/x/.%0d./",
		"http://other.example/", "http://other.example//", "http://other.example/x/..;/", "https://u@other.example:1/%2e/",
	}
	separators = []string{
		"/", "//", "/./", "/%2e/", "/x/../", "/x/%2e%2e/", "/x/..;/", "/x/..%2f", "/x%2f..%2f", "/x%2f../", "/;/", "/;a/", "/.;/",
		"%2f", "%2F", "%252f", "%25252f", `\`, "%5c", "%5C", "%255c", "%c0%af", "%C0%AF", "%e0%80%af", "%f0%80%80%af", "%c1%9c", "%c1%1c",
		"%ef%bc%8f", "%EF%BC%BC", "%e2%88%95", "%u002f", "%u005c", "%25u002f", "/%c0%ae/", "/x/%c0%ae%c0%ae/", "/x/%ef%bc%8e%ef%bc%8e/",
		"%2f%2f", "/%2f", "%2f/", "%2f%2e%2f", "%5c%2e%5c", "/%252e/",
	}
	tails = []string{ // behind every segment
		"", ".", "%2e", "%20", "%252e", "%20.", ";", ";x", ";x=1;y=%2f", ";x=1/", "%3b", "%3bx", "%253b", "%09", "%0d%0a", "%1f", "%c2%a0",
		"::$DATA", ":$i30:$INDEX_ALLOCATION", "%3a%3a$DATA", "+", "%e2%80%8b",
	}
	ends = []string{ // behind the last one
		"", "/", "//", "/.", "/./", "%2f", "%5c", `\`, "%252f", ".", "..", "%20", "%2520", "%2e", "/x/..", "/x/../", "/x/..;/", "/%2e",
		"%00", "%00.png", "%2500", "%0a", "%0d%0ax", "%0a/x", "%09", "%a0", "%85", "%c2%85", "%1f", "%7f",
		";", ";.css", ";/", ";/x.css", "%3b.css", "%253b", "?", "?x=1", "?/../x", "%3f", "%3fx=1", "%253f", "#", "#x", "%23", "%23/../x", "%2523",
		"::$DATA", "%u0000", "%u0020", "/..;/%s",
	}
	letters = []func(segment string) string{
		func(s string) string { return s },
		strings.ToUpper,
		func(s string) string { return strings.ToUpper(s[:1]) + s[1:] },
		func(s string) string { return escape(s, 0, 1, "%%%02x") },
		func(s string) string { return escape(s, len(s)-1, len(s), "%%%02X") },
		func(s string) string { return escape(s, 0, len(s), "%%%02x") },
		func(s string) string { return escape(s, 0, 1, "%%25%02x") },
		func(s string) string { return escape(s, 0, 1, "%%2525%02x") },
		func(s string) string { return escape(s, 0, len(s), "%%25%02X") },
		func(s string) string { return escape(s, 1, 2, "%%u00%02x") },
		func(s string) string { return strings.Replace(s, "s", "%c5%bf", 1) },
		func(s string) string { return strings.Replace(s, "k", "%e2%84%aa", 1) },
		func(s string) string { return strings.Replace(s, "i", "%c4%b1", 1) },
		func(s string) string { return fullwidth(s) },
	}
)

// Of yields raw request targets that some server takes for path, which is
// absolute, in lower case and of plain ASCII segments. No spelling comes
// twice, the order is always the same, and the first is path itself. There
// are all spellings with one kind of trick or two, and some thousands with more.
//
// The targets consist of printable ASCII without space, so that they can be
// written into a request line; a strict server may refuse some of them, and
// many are other paths to most servers.
func Of(path string) iter.Seq[string] {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	lists := [...]int{len(prefixes), len(letters), len(separators), len(tails), len(ends)}
	return func(yield func(string) bool) {
		seen := map[string]bool{}
		emit := func(choice [len(lists)]int) bool {
			t := spell(segments, choice)
			if seen[t] {
				return true
			}
			seen[t] = true
			return yield(t)
		}
		if !emit([len(lists)]int{}) {
			return
		}
		for a := range lists {
			for b := a; b < len(lists); b++ {
				for i := range lists[a] {
					for j := range lists[b] {
						var choice [len(lists)]int
						choice[a], choice[b] = i, j
						if !emit(choice) {
							return
						}
					}
				}
			}
		}
		// A walk through the product of all lists; the stride is a prime.
		product := 1
		for _, n := range lists {
			product *= n
		}
		at := 0
		for range 4000 {
			at = (at + 7_368_787) % product
			var choice [len(lists)]int
			for k, rest := 0, at; k < len(lists); k++ {
				choice[k], rest = rest%lists[k], rest/lists[k]
			}
			if !emit(choice) {
				return
			}
		}
	}
}

func spell(segments []string, choice [5]int) string {
	var b strings.Builder
	b.WriteString(prefixes[choice[0]])
	for i, s := range segments {
		if i > 0 {
			b.WriteString(separators[choice[2]])
		}
		b.WriteString(letters[choice[1]](s))
		b.WriteString(tails[choice[3]])
	}
	end := ends[choice[4]]
	if strings.Contains(end, "%s") {
		end = fmt.Sprintf(end, segments[len(segments)-1])
	}
	b.WriteString(end)
	return b.String()
}

// escape writes the bytes from up to to by the format.
func escape(s string, from, to int, format string) string {
	from, to = min(from, len(s)), min(to, len(s))
	var b strings.Builder
	b.WriteString(s[:from])
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, format, s[i])
	}
	b.WriteString(s[to:])
	return b.String()
}

// fullwidth writes the first letter as its compatibility form.
func fullwidth(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	wide := string(rune(s[0]) + 0xff41 - 'a')
	return escape(wide, 0, len(wide), "%%%02X") + s[1:]
}
