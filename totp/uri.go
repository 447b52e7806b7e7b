package totp

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// URI returns the key as authenticator apps scan it: the otpauth scheme of the Key
// Uri Format. The label is "issuer:account" with the same issuer repeated as a
// parameter. Spaces are written %20, never +, and a colon inside either name
// %3A, since apps read both differently otherwise.
func (k Key) URI(issuer, account string) string {
	var b strings.Builder
	b.WriteString("otpauth://totp/")
	if issuer != "" {
		b.WriteString(escape(issuer))
		b.WriteByte(':')
	}
	b.WriteString(escape(account))
	b.WriteString("?secret=")
	b.WriteString(k.Base32())
	if issuer != "" {
		b.WriteString("&issuer=")
		b.WriteString(escape(issuer))
	}
	b.WriteString("&algorithm=" + string(k.Algorithm))
	b.WriteString("&digits=" + strconv.Itoa(k.Digits))
	b.WriteString("&period=" + strconv.Itoa(int(Period/time.Second)))
	return b.String()
}

// escape percent-encodes everything but unreserved characters (RFC 3986
// section 2.3).
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
