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

// ErrUser reports that a text is no user id: empty, over MaxUser bytes, not UTF-8,
// or with control characters in it.
var ErrUser = errors.New("a user id must have 1 to 256 bytes of UTF-8 without control characters")

// Exact returns the id as it stands, for applications that tell Alice from alice.
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

// Blanks are trimmed from around ids. Other white space is part of a name to some
// and not to others, so ids that have it are refused; see Folded.
const Blanks = " \t\r\n"

// ErrSpelling reports an id that is more than one to those who compare names: by
// full case folding, by compatibility forms, without invisible characters. The
// gateway cannot know in which way the application compares them.
var ErrSpelling = errors.New("the user id can be spelled in more ways than upper and lower case (as ß is ss, ﬁ is fi and the Kelvin sign is k): rename the user, or set `user_id exact` if the application compares ids byte by byte")

// Folded returns the id without blanks around it, normalized (NFC) and in lower
// case: Alice and alice are one person, and so is an é of one and of two code
// points.
//
// It fails with ErrSpelling where that is not plain: where a letter and its
// capital are not one letter each, of which each leads to the other (ß, ﬁ, ſ, ı,
// the Kelvin sign); where a character stands for another one (full-width letters,
// Roman numerals); and where there is something in it that cannot be seen.
func Folded(user string) (string, error) {
	if folded(user) {
		return user, nil
	}
	user, err := Exact(strings.Trim(user, Blanks))
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(user, isUnclear) {
		return "", ErrSpelling
	}
	user = norm.NFC.String(user)
	var b strings.Builder
	for _, c := range user {
		lower, ok := plainLower(c)
		if !ok {
			return "", ErrSpelling
		}
		b.WriteRune(lower)
	}
	if user = b.String(); !norm.NFC.IsNormalString(user) {
		return "", ErrSpelling
	}
	return Exact(user) // a small letter can be longer than its capital
}

// plainLower returns the small letter of c, and whether that is plain: the two
// are one letter each, both ways, also under full case folding.
func plainLower(c rune) (rune, bool) {
	if c < utf8.RuneSelf {
		return unicode.ToLower(c), true
	}
	lower := unicode.ToLower(c)
	upper := unicode.ToUpper(lower)
	if c != lower && c != upper || unicode.ToLower(upper) != lower {
		return 0, false
	}
	if upper == lower && c == lower {
		// A letter without case, or one whose capital is more than one letter.
		whole := cases.Fold().String(string(c))
		return lower, whole == string(c)
	}
	whole := []rune(cases.Fold().String(string(lower)))
	return lower, len(whole) == 1 && unicode.ToLower(whole[0]) == lower
}

// isUnclear reports characters that are another one to some who compare names, or
// none at all.
func isUnclear(c rune) bool {
	if c < utf8.RuneSelf {
		return false
	}
	if unicode.IsSpace(c) || unicode.In(c, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return true
	}
	one := string(c)
	if canonical := norm.NFC.String(one); canonical != one && utf8.RuneCountInString(canonical) == 1 {
		return true // the Kelvin and Ohm signs, compatibility ideographs
	}
	// A compatibility form of something in ASCII: full-width and bold letters,
	// ligatures, Roman numerals, ª and ².
	return !strings.ContainsFunc(norm.NFKC.String(one), func(k rune) bool { return k >= utf8.RuneSelf })
}

// WideFold is the form in which ids were kept before Folded was narrowed, for
// finding accounts that are stored under it: trimmed of all white space,
// normalized and folded in full. It returns "" for what was no id then.
func WideFold(user string) string {
	if folded(user) {
		return user
	}
	user = strings.TrimSpace(user)
	for range 4 {
		next := strings.TrimSpace(norm.NFC.String(cases.Fold().String(user)))
		if next == user {
			if user, err := Exact(user); err == nil {
				return user
			}
			return ""
		}
		user = next
	}
	return ""
}

// folded reports of the common ids, in plain lower-case ASCII, that there is
// nothing to do.
func folded(user string) bool {
	for i := range len(user) {
		if c := user[i]; c <= ' ' || c >= 0x7f || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return len(user) > 0 && len(user) <= MaxUser
}
