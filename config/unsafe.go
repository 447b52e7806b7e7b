package config

import (
	"fmt"
	"slices"
	"strings"
)

// maxSafeMethods is how many methods a rule may take for safe.
const maxSafeMethods = 16

// changing are the methods that the IANA HTTP Method Registry lists as not safe.
var changing = []string{
	"POST", "PUT", "PATCH", "DELETE", "CONNECT", "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "LABEL", "LINK", "LOCK",
	"MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "ORDERPATCH", "PROPPATCH", "REBIND", "UNBIND",
	"UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
}

// CheckUnsafeNot checks the methods that a rule takes for safe besides GET, HEAD,
// OPTIONS and TRACE.
func CheckUnsafeNot(methods []string) error {
	if len(methods) > maxSafeMethods {
		return fmt.Errorf("unsafe not names more than %d methods", maxSafeMethods)
	}
	for i, m := range methods {
		switch {
		case slices.Contains(SafeMethods, m):
			return fmt.Errorf("unsafe not %s: %s is safe already; remove it", m, m)
		case slices.Contains(changing, strings.ToUpper(m)):
			return fmt.Errorf("unsafe not %s: %s changes things (IANA HTTP Method Registry); take single requests out by path with except, or by what they say with `form … not` and `json … not`", m, m)
		case !methodForm.MatchString(m):
			return fmt.Errorf("unsafe not: method %q must be written in capital letters, such as PROPFIND", m)
		case slices.Contains(methods[:i], m):
			return fmt.Errorf("unsafe not names %s twice: remove one of them", m)
		}
	}
	return nil
}
