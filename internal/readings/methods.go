package readings

import (
	"net/http"
	"slices"
	"strings"
)

// maxMethods is how many methods one request may be read as.
const maxMethods = 16

// maxOverride is how many bytes an override is looked at; lists included.
const maxOverride = 1024

// MethodReadings are the methods as which an application may take a request.
type MethodReadings struct {
	// Methods are in upper case, without duplicates, the sent one first. They
	// may be shared: not to be written to.
	Methods []string
	// Unsafe: at least one of the methods is not safe, or the connection may
	// become one on which anything can be sent (Upgrade, CONNECT).
	Unsafe bool
	// CannotTell: there may be further methods.
	CannotTell bool
}

// Has reports whether an upper-case method is among the readings.
func (m MethodReadings) Has(method string) bool { return slices.Contains(m.Methods, method) }

// MethodsOf lists the methods as which an application may take r: the sent one,
// and those that headers, query, form or JSON body put in its place, on any method.
// An override that names no method of the registry, or several, is one of which it
// cannot tell: what an application makes of it is its own affair.
// HEAD is read as GET too, and so is CONNECT: over HTTP/2 and 3 it opens a
// WebSocket (RFC 8441, RFC 9220), which a proxy asks an HTTP/1.1 application for
// by GET. queries are raw queries to look into besides that of
// r.URL, such as that of the URI before it was rewritten. The only error is
// ErrTooMany.
//
// A plain request costs no allocation.
func MethodsOf(r *http.Request, form Form, queries ...string) (MethodReadings, error) {
	m := MethodReadings{Methods: sentMethod(r.Method)}
	m.Unsafe = m.Has("CONNECT") || len(r.Header["Upgrade"]) > 0

	var f valueList
	for name, values := range r.Header {
		if overrideHeader(name) {
			for i, v := range values {
				m.CannotTell = m.CannotTell || i > 0 && v != values[0]
				f.add(v)
			}
		}
	}
	found := overrides.Read(r, queries...)
	found.readQueries()
	form.read(found)
	if form.layout == jsonForm {
		found.anyMember(form.body)
	}
	f.addAll(found)
	m.CannotTell = m.CannotTell || f.unsure
	m.tunneled(r, queries)

	for _, v := range f.values {
		if len(v) > maxOverride {
			m.CannotTell = true
			continue
		}
		if strings.Trim(v, blanks) == "" {
			continue
		}
		m.CannotTell = m.CannotTell || !Registered(strings.ToUpper(strings.Trim(v, blanks)))
		for more := true; more; {
			var one string
			one, v, more = strings.Cut(v, ",")
			one = strings.Trim(one, blanks+"\x00\"'")
			m.add(one)
			// "DELETE;x", "PUT /": good enough for some.
			if i := strings.IndexFunc(one, notLetter); i > 0 && Registered(strings.ToUpper(one[:i])) {
				m.add(one[:i])
			}
		}
	}
	if len(m.Methods) > maxMethods {
		return MethodReadings{}, ErrTooMany
	}
	for _, method := range m.Methods {
		m.Unsafe = m.Unsafe || !SafeMethod(method)
	}
	return m, nil
}

// overrideFields are the fields that frameworks look for: Rails, Laravel and
// Symfony, Express; ASP.NET MVC takes the header's name; Google APIs, Salesforce,
// Alfresco; Plack and Catalyst.
var overrides = tableOfNames(
	"_method", "x-http-method-override", "x-http-method", "x-method-override", "$httpmethod", "_httpmethod", "alf_method", "x-tunneled-method",
)

// tunnels is the field that Restlet looks for.
var tunnels = tableOfNames("method")

// tunneled adds the methods that the field "method" of the query of a POST names,
// which Restlet takes for the method. The name is too common for more: what is no
// method of the registry is some application's own parameter.
func (m *MethodReadings) tunneled(r *http.Request, queries []string) {
	if r.URL == nil || m.Methods[0] != http.MethodPost {
		return
	}
	var f valueList
	f.addAll(tunnels.Read(r, queries...))
	m.CannotTell = m.CannotTell || f.unsure
	for _, v := range f.values {
		if v = strings.ToUpper(strings.Trim(v, blanks)); Registered(v) {
			m.add(v)
		}
	}
}

// overrideHeader reports whether a header of this name, however its words are
// joined and in whatever case, may override the method.
func overrideHeader(name string) bool {
	if len(name) < len("method") || len(name) > 32 {
		return false
	}
	switch name[0] | 0x20 {
	case 'x', 'h', 'm':
	default:
		return false
	}
	if last := name[len(name)-1] | 0x20; last != 'd' && last != 'e' {
		return false
	}
	var buf [32]byte
	word := buf[:0]
	for i := 0; i < len(name); i++ {
		switch c := name[i]; c {
		case '-', '_', '.', ' ':
		default:
			word = append(word, nameByte[c])
		}
	}
	switch string(word) {
	case "xhttpmethodoverride", "xhttpmethod", "xmethodoverride", "xhttpoverridemethod", "xoverridemethod", "xhttpoverride",
		"xmethod", "xtunneledmethod", "xoriginalmethod", "xrewritemethod", "xforwardedmethod", "xrequestmethod", "xhttpmethodname",
		"httpmethodoverride", "httpmethod", "methodoverride", "method":
		return true
	}
	return false
}

// The usual methods' readings, full to their capacity so that append copies.
var (
	readGET, readHEAD     = []string{"GET"}, []string{"HEAD", "GET"}
	readPOST, readPUT     = []string{"POST"}, []string{"PUT"}
	readPATCH, readDELETE = []string{"PATCH"}, []string{"DELETE"}
	readOPTIONS           = []string{"OPTIONS"}
)

func sentMethod(method string) []string {
	switch method {
	case "GET", "": // net/http's empty method
		return slices.Clip(readGET)
	case "HEAD":
		return slices.Clip(readHEAD)
	case "POST":
		return slices.Clip(readPOST)
	case "PUT":
		return slices.Clip(readPUT)
	case "PATCH":
		return slices.Clip(readPATCH)
	case "DELETE":
		return slices.Clip(readDELETE)
	case "OPTIONS":
		return slices.Clip(readOPTIONS)
	}
	m := MethodReadings{Methods: []string{strings.ToUpper(method)}}
	if m.Methods[0] == "HEAD" || m.Methods[0] == "CONNECT" {
		m.Methods = append(m.Methods, "GET")
	}
	return m.Methods
}

// add takes the value of an override among the readings, if it is a token of
// a length that methods have.
func (m *MethodReadings) add(value string) {
	if len(value) > 64 || len(m.Methods) > maxMethods {
		return
	}
	method := strings.ToUpper(value) // of Unicode: it makes POST of "poſt", as JavaScript does
	if !isToken(method) || m.Has(method) {
		return
	}
	m.Methods = append(m.Methods, method)
	if method == "HEAD" {
		m.add("GET")
	}
}

func notLetter(c rune) bool { return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' }

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// SafeMethod reports whether a method is one of those that rules call safe:
// GET, HEAD, OPTIONS and TRACE (RFC 9110 section 9.2.1). The safe methods of
// WebDAV are not among them; PROPFIND and REPORT carry requests in a body.
func SafeMethod(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// Registered reports whether a method, in exactly this case, stands in the
// IANA HTTP Method Registry; "*" and PRI (RFC 9113 section 3.4), reserved so
// that nobody uses them, do not count.
func Registered(method string) bool {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
		"ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK", "MERGE",
		"MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH",
		"PROPFIND", "PROPPATCH", "REBIND", "REPORT", "SEARCH", "UNBIND", "UNCHECKOUT", "UNLINK", "UNLOCK",
		"UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL":
		return true
	}
	return false
}
