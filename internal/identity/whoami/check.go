package whoami

import (
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// CheckURL checks the URL that is asked.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("whoami takes the absolute URL of a page of the application that says who is signed in, such as http://localhost:9000/api/me")
	}
	return nil
}

// reserved are the fields that make HTTP work, or that are sent on anyway.
var reserved = []string{
	"Cookie", "Authorization", "Accept-Encoding", "Connection", "Content-Length", "Expect", "Keep-Alive",
	"Proxy-Authorization", "Proxy-Connection", "Range", "If-Modified-Since", "If-None-Match", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

func (o *Options) checkFields() error {
	names := append(slices.Clone(o.Forward), o.Headers...)
	for name, values := range o.Fields {
		names = append(names, name)
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the value of %s has a control character in it", name)
			}
		}
	}
	if o.AddressField != "" {
		names = append(names, o.AddressField)
	}
	if len(names) > maxFields {
		return fmt.Errorf("at most %d header fields can be sent with the question", maxFields)
	}
	seen := make(map[string]bool)
	for _, name := range names {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !isToken(name):
			return fmt.Errorf("%q is not the name of a header field", name)
		case slices.Contains(reserved, canonical) || strings.HasPrefix(canonical, "Step-Up-"):
			return fmt.Errorf("the field %s cannot be set or added: Cookie and Authorization are sent as they came, and the others make HTTP work", canonical)
		case seen[canonical]:
			return fmt.Errorf("the field %s is named twice", canonical)
		}
		seen[canonical] = true
	}
	if slices.ContainsFunc(o.Forward, func(n string) bool { return strings.EqualFold(n, "Host") }) {
		return errors.New("the field Host is sent on as it came: write `send Host NAME` if the application expects another")
	}
	if o.SessionCookie != "" && !isToken(o.SessionCookie) {
		return fmt.Errorf("session_cookie %q is not the name of a cookie", o.SessionCookie)
	}
	return nil
}

// isToken tells of the names of fields and cookies (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}
