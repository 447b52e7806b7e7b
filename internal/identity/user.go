// Package identity holds what is common to all identity sources: the form in
// which a user id is kept, how a request's credentials and a JSON document's
// values are read, and what it is called when they name nobody or two.
//
// It promises that an id which it gives is within its limits, that ids which a
// tenant holds for the same give the same, and that what two readers could read
// in two ways is an error and never a name. Who is asking is for the sources to
// tell: the packages below this one, and the modules of package caddymodule.
package identity

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MaxUser is the longest user id, in bytes.
const MaxUser = 256

// ErrUser tells that a text is no user id: empty, over MaxUser bytes, not UTF-8,
// or with control characters in it.
var ErrUser = errors.New("a user id must have 1 to 256 bytes of UTF-8 without control characters")

// Exact gives the id as it stands, for applications that tell Alice from alice.
func Exact(user string) (string, error) {
	if user == "" || len(user) > MaxUser || !printable(user) && (!utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl)) {
		return "", ErrUser
	}
	return user, nil
}

// printable tells of the common ids that they are ASCII without controls.
func printable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// Folded gives the id without white space around it, normalised (NFC) and
// case-folded, as most sign-on systems compare ids: Alice and alice are one
// person, and so is an é of one and of two code points.
func Folded(user string) (string, error) {
	if folded(user) {
		return user, nil
	}
	user, err := Exact(strings.TrimSpace(user))
	if err != nil {
		return "", err
	}
	for range 4 {
		// Folding can undo normalisation and the other way round, and can
		// bring a space to the end. Two rounds do for every letter there is.
		next := strings.TrimSpace(norm.NFC.String(cases.Fold().String(user)))
		if next == user {
			return Exact(user) // folding can lengthen
		}
		user = next
	}
	return "", ErrUser
}

// folded tells of the common ids, in plain lower-case ASCII, that there is
// nothing to do.
func folded(user string) bool {
	for i := range len(user) {
		if c := user[i]; c <= ' ' || c >= 0x7f || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return len(user) > 0 && len(user) <= MaxUser
}
