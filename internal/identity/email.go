package identity

import (
	"errors"
	"net/mail"
	"strings"
)

// MaxEmail is the longest mail address, in octets (RFC 5321 section 4.5.3.1.3,
// without the angle brackets of a path).
const MaxEmail = 254

// maxLocal is the longest local part of one, in octets (RFC 5321 section
// 4.5.3.1.1).
const maxLocal = 64

// ErrEmail reports a text that is not one mail address: a list, an address with a
// name beside it, a quoted or too long one, or one with a character in it that is
// not plain ASCII. The error does not quote the text.
var ErrEmail = errors.New("it is not one mail address in plain characters of at most 254 octets")

// Email returns a mail address as an identity source gave it, with its domain in
// lower case. The local part stays as it is: whether alice and Alice are one
// mailbox is for its server to say (RFC 5321 section 2.4).
//
// What it returns needs no quoting anywhere in a mail or in a conversation with a
// mail server, and is one recipient.
func Email(text string) (string, error) {
	if text == "" || len(text) > MaxEmail || strings.ContainsFunc(text, isUnplain) {
		return "", ErrEmail
	}
	a, err := mail.ParseAddress(text)
	if err != nil || a.Name != "" || a.Address != text {
		return "", ErrEmail
	}
	local, domain, _ := strings.Cut(text, "@")
	if len(local) > maxLocal {
		return "", ErrEmail
	}
	return local + "@" + strings.ToLower(domain), nil
}

// isUnplain reports the characters that separate, quote or end addresses, and
// those of a domain that is written as an address of the network.
func isUnplain(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`"\(){}<>[],:;`+"`", r)
}
