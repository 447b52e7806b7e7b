package portal

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// leadsTo is the address that a challenge leads to, for a person to read; "" where
// the challenge leads nowhere, is for our own pages, or shows the request itself.
func leadsTo(c *ceremony.Challenge) string {
	if c.ReturnTo == "" || c.Operation != "" || len(c.Show) > 0 {
		return ""
	}
	target := c.ReturnTo
	if c.Held {
		target = withoutTicket(target)
	}
	return c.Site + readable(target)
}

// leadOf tells whoever passed that another site sent them, and where they are led.
func leadOf(c *ceremony.Challenge) pages.Lead {
	if !c.Foreign {
		return pages.Lead{}
	}
	return pages.Lead{Foreign: true, From: siteName(c.From), Address: leadsTo(c)}
}

// siteName is the name of another site for people.
func siteName(origin string) string {
	if u, err := url.Parse(origin); err == nil && u.Host != "" {
		return u.Host
	}
	return ""
}

// An address is shown whole. Of one that is longer than maxWhole bytes, parts that
// are longer than maxPart characters, which are tokens and not what anybody reads,
// lack their middle.
const (
	maxWhole  = 2 << 10
	maxPart   = 256
	partStart = 200
	partEnd   = 50
)

// readable is a path and query as a person reads it. Every segment, name and value
// is there, so that no padding hides another. What is spelled with escapes in the place of letters, digits
// and marks is shown by those; whatever would change how the address is read
// (delimiters, spaces, controls) stays escaped.
func readable(target string) string {
	var b strings.Builder
	start := 0
	for i := 0; i <= len(target); i++ {
		if i < len(target) && !strings.ContainsRune("/?&=;#", rune(target[i])) {
			continue
		}
		b.WriteString(part(target[start:i], len(target) > maxWhole))
		if i < len(target) {
			b.WriteByte(target[i])
		}
		start = i + 1
	}
	return b.String()
}

// part makes one part of an address readable. One with letters that run from
// right to left is isolated, so that it does not reorder its neighbours.
func part(s string, shorten bool) string {
	runes := []rune(unescape(s))
	if shorten && len(runes) > maxPart {
		short := append([]rune(nil), runes[:partStart]...)
		short = append(short, '…')
		runes = append(short, runes[len(runes)-partEnd:]...)
	}
	for _, r := range runes {
		if unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Samaritan, unicode.Mandaic, unicode.Adlam, unicode.Hanifi_Rohingya, unicode.Mende_Kikakui) {
			return "\u2068" + string(runes) + "\u2069"
		}
	}
	return string(runes)
}

func unescape(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		n, raw := 0, []byte(nil)
		for n+2 < len(s) && s[n] == '%' {
			c, ok := unhex(s[n+1], s[n+2])
			if !ok {
				break
			}
			raw, n = append(raw, c), n+3
		}
		if n == 0 {
			b.WriteByte('%')
			s = s[1:]
			continue
		}
		for at := 0; len(raw) > 0; {
			r, size := utf8.DecodeRune(raw)
			if r != utf8.RuneError && plain(r) {
				b.WriteRune(r)
			} else {
				b.WriteString(s[at : at+3*size])
			}
			raw, at = raw[size:], at+3*size
		}
		s = s[n:]
	}
	b.WriteString(s)
	return b.String()
}

// plain reports whether a character is shown in the place of its escape.
func plain(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~@:,!*()'$", r)
	}
	return unicode.In(r, unicode.Letter, unicode.Mark, unicode.Number) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func unhex(a, b byte) (byte, bool) {
	x, y := nibble(a), nibble(b)
	return x<<4 | y, x < 16 && y < 16
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	}
	return 0xff
}
