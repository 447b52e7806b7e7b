// Package cookies names, reads, writes and removes the gateway's own cookies.
//
// There are three kinds: one that tells browsers apart, one for each action type
// that carries the token of a grant, and one for the language that a person chose. Their names begin with "__Host-", so
// that no other host and no plain HTTP connection can plant one (RFC 6265bis
// section 4.1.3.2). Where the operator allows plain HTTP the names lack that
// prefix, since browsers would refuse it there; such cookies are read on plain
// HTTP only.
package cookies

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

const (
	hostPrefix    = "__Host-"
	ours          = "step_up_"
	browserSuffix = "browser"
	// browserTTL is the longest that browsers keep a cookie (RFC 6265bis
	// section 5.5).
	browserTTL = 400 * 24 * time.Hour
	// languageTTL is how long a choice is remembered.
	languageTTL = 365 * 24 * time.Hour
	// maxCookieHeader bounds what is scanned; net/http's own limit on a
	// request's header is larger.
	maxCookieHeader = 64 << 10
)

// Name is a cookie's name on HTTPS and on plain HTTP.
type Name struct{ secure, plain string }

func name(suffix string) Name {
	return Name{secure: hostPrefix + ours + suffix, plain: ours + suffix}
}

// Browser is the cookie that tells browsers apart.
var Browser = name(browserSuffix)

// Language is the cookie of the language that the person chose for the pages.
var Language = name("lang")

// Grant is the cookie for a grant of the tenant's action type: named by a hash,
// so that neither shows in the browser.
func Grant(tenant, action string) Name {
	sum := sha256.Sum256([]byte(tenant + "\x00" + action))
	return name(hex.EncodeToString(sum[:8]))
}

// On is the name on a connection that is secure, or is not.
func (n Name) On(secure bool) string {
	if secure {
		return n.secure
	}
	return n.plain
}

// Get finds the value of the first cookie of that name, without allocating.
func Get(h http.Header, name string) (value string, ok bool) {
	for _, line := range h["Cookie"] {
		if len(line) > maxCookieHeader {
			return "", false
		}
		at := strings.Index(line, name)
		if at < 0 {
			continue
		}
		if after := at + len(name); pairStart(line, at) >= 0 && after < len(line) && line[after] == '=' {
			return strings.TrimRight(line[after+1:pairEnd(line, after)], " \t"), true
		}
		// What was found is part of something else; the cookie may follow.
		for start := 0; start < len(line); {
			end := pairEnd(line, start)
			pair := line[skipSpace(line, start, end):end]
			if len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
				return strings.TrimRight(pair[len(name)+1:], " \t"), true
			}
			start = end + 1
		}
	}
	return "", false
}

// pairEnd is where the pair ends that begins at start.
func pairEnd(line string, start int) int {
	if n := strings.IndexByte(line[start:], ';'); n >= 0 {
		return start + n
	}
	return len(line)
}

// pairStart is where the pair and the blanks before it begin whose name is at
// begin; less than 0 where no name can be.
func pairStart(line string, begin int) int {
	for begin > 0 && (line[begin-1] == ' ' || line[begin-1] == '\t') {
		begin--
	}
	if begin > 0 && line[begin-1] != ';' {
		return -1
	}
	return begin
}

func skipSpace(line string, start, end int) int {
	for start < end && (line[start] == ' ' || line[start] == '\t') {
		start++
	}
	return start
}

// Found is what [Find] found in a request's cookies.
type Found struct {
	// Value is the value of the first cookie of the name; empty if there is none.
	Value string

	line string // the only line of cookies, if simple
	upto int    // how much of it stays; less than 0: all
	// simple reports that the gateway's cookies come last in the one line that there
	// is, or that there are none of them.
	simple bool
}

// Find is [Get] for one of the gateway's own cookies, and notes what [Found.Strip]
// has to remove, in one pass over the cookies. It does not allocate.
func Find(h http.Header, name string) (f Found) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return f
	}
	if len(lines) == 1 && lines[0] != "" && len(lines[0]) <= maxCookieHeader {
		if f = findIn(lines[0], name); f.simple {
			return f
		}
	}
	f.Value, _ = Get(h, name)
	return f
}

func findIn(line, name string) Found {
	f := Found{line: line, upto: -1, simple: true}
	found := false
	for start := 0; start <= len(line); {
		begin := skipSpace(line, start, len(line))
		end := pairEnd(line, begin)
		switch pair := line[begin:end]; {
		case !isOurs(pair):
			if f.upto >= 0 {
				return Found{}
			}
		case f.upto < 0:
			f.upto = max(0, start-1)
			fallthrough
		default:
			if !found && len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
				f.Value, found = strings.TrimRight(pair[len(name)+1:], " \t"), true
			}
		}
		start = end + 1
	}
	return f
}

// Strip is [Strip] for the header in which f was found.
func (f *Found) Strip(h http.Header) {
	lines := h["Cookie"]
	if !f.simple || len(lines) != 1 || lines[0] != f.line {
		Strip(h)
		return
	}
	switch {
	case f.upto > 0:
		lines[0] = f.line[:f.upto]
	case f.upto == 0:
		delete(h, "Cookie")
	}
}

// Strip removes the gateway's cookies, of both kinds of connection, from a
// request that goes to the application, and leaves the others' bytes as they
// are. The lines are changed in place.
func Strip(h http.Header) {
	lines := h["Cookie"]
	kept := lines[:0]
	for _, line := range lines {
		line = stripEnd(line)
		if line != "" {
			kept = append(kept, line)
		}
	}
	switch {
	case len(lines) == 0 || len(kept) == len(lines):
	case len(kept) == 0:
		delete(h, "Cookie")
	default:
		h["Cookie"] = kept
	}
}

// stripEnd is stripLine for the common lines: the gateway's cookies come last, so
// what stays is what stands before, or there are none of them.
func stripEnd(line string) string {
	upto := -1 // where the first of ours begins, with what parts it from the others
	for start := 0; start <= len(line); {
		begin := skipSpace(line, start, len(line))
		switch {
		case isOurs(line[begin:]):
			if upto < 0 {
				upto = max(0, start-1)
			}
		case upto >= 0:
			return stripLine(line)
		}
		start = pairEnd(line, begin) + 1
	}
	if upto < 0 {
		return line
	}
	return line[:upto]
}

// isOurs tells of what begins with a cookie's name.
func isOurs(pair string) bool {
	if pair == "" || pair[0] != ours[0] && pair[0] != hostPrefix[0] {
		return false
	}
	return strings.HasPrefix(strings.TrimPrefix(pair, hostPrefix), ours)
}

// stripLine copies nothing where all that stays stands together, as it does when
// the gateway's cookies come last.
func stripLine(line string) string {
	var (
		rest       strings.Builder
		from, upto = -1, -1 // what stays of the line so far, where it is one piece
	)
	for start := 0; start <= len(line); {
		end := pairEnd(line, start)
		begin := skipSpace(line, start, end)
		switch {
		case isOurs(line[begin:end]):
		case from < 0:
			from, upto = begin, end
		case rest.Len() == 0 && upto+1 == start:
			upto = end
		default:
			if rest.Len() == 0 {
				rest.Grow(len(line))
				rest.WriteString(line[from:upto])
			}
			rest.WriteByte(';')
			rest.WriteString(line[start:end])
		}
		start = end + 1
	}
	switch {
	case rest.Len() > 0:
		return rest.String()
	case from < 0:
		return ""
	}
	return line[from:upto]
}

// BrowserID is the digest of the request's browser cookie, under which the
// browser's challenges and budget are filed. ok is false where the cookie is
// absent or not one of ours.
func BrowserID(r *http.Request, secure bool) (id [32]byte, ok bool) {
	value, found := Get(r.Header, Browser.On(secure))
	if !found || len(value) != 43 {
		return id, false
	}
	var raw [32]byte
	var buf [43]byte
	copy(buf[:], value)
	if _, err := base64.RawURLEncoding.Strict().Decode(raw[:], buf[:]); err != nil {
		return id, false
	}
	return sha256.Sum256(raw[:]), true
}

// NewBrowser gives the response a new browser cookie, and its id.
func NewBrowser(w http.ResponseWriter, secure bool) [32]byte {
	var raw [32]byte
	rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	set(w, Browser, base64.RawURLEncoding.EncodeToString(raw[:]), secure, http.SameSiteLaxMode, browserTTL)
	return sha256.Sum256(raw[:])
}

// SetGrant gives the response the cookie of a grant until it expires. A
// one-time grant is sent on same-site requests only, so that no other site can
// make a browser spend it.
func SetGrant(w http.ResponseWriter, n Name, token grants.Token, use grants.Use, ttl time.Duration, secure bool) {
	sameSite := http.SameSiteLaxMode
	if use == grants.OneTimeUse {
		sameSite = http.SameSiteStrictMode
	}
	set(w, n, token.Text(), secure, sameSite, ttl)
}

// SetLanguage has the browser remember a language, whose tag the caller has
// checked.
func SetLanguage(w http.ResponseWriter, tag string, secure bool) {
	set(w, Language, tag, secure, http.SameSiteLaxMode, languageTTL)
}

// Clear makes the browser forget a grant's cookie.
func Clear(w http.ResponseWriter, n Name, secure bool) {
	http.SetCookie(w, &http.Cookie{Name: n.On(secure), Path: "/", Secure: secure, HttpOnly: true, MaxAge: -1})
}

func set(w http.ResponseWriter, n Name, value string, secure bool, sameSite http.SameSite, ttl time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: n.On(secure), Value: value, Path: "/", Secure: secure, HttpOnly: true, SameSite: sameSite,
		MaxAge: max(1, int(ttl/time.Second)),
	})
}
