package pages

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Language is one that the pages can be had in.
type Language struct {
	Tag  string // BCP 47
	Name string // in the language itself
	Dir  string // "ltr" or "rtl"
}

// languages are those of the catalogue, English first and the others by tag.
var languages = func() []Language {
	all := make([]Language, 0, len(catalogue))
	for tag, w := range catalogue {
		all = append(all, Language{Tag: tag, Name: w.name, Dir: w.Dir()})
	}
	slices.SortFunc(all, func(a, b Language) int {
		switch {
		case a.Tag == b.Tag:
			return 0
		case a.Tag == "en" || b.Tag != "en" && a.Tag < b.Tag:
			return -1
		}
		return 1
	})
	return all
}()

// Languages are all that the pages can be had in, English first.
func Languages() []Language { return slices.Clone(languages) }

// matcher holds the languages in the same order, since English is what it
// falls back to.
var matcher = func() language.Matcher {
	tags := make([]language.Tag, len(languages))
	for i, l := range languages {
		tags[i] = language.MustParse(l.Tag)
	}
	return language.NewMatcher(tags)
}()

// IsLanguage tells whether the pages can be had in the language of that very
// tag.
func IsLanguage(tag string) bool {
	_, ok := catalogue[tag]
	return ok
}

// Label is what an authenticator of the method is called, in the language, to which
// its owner gives no name.
func Label(lang, method string) string { return wordsFor(lang).say("label." + method) }

// maxAcceptLanguage bounds the header that is parsed; browsers send less than 200
// bytes.
const maxAcceptLanguage = 1 << 10

// Choose is the tag of the language to answer in: the chosen one where there is
// such, else what Accept-Language prefers (RFC 9110, section 12.5.4), else
// English.
func Choose(chosen, acceptLanguage string) string {
	if IsLanguage(chosen) {
		return chosen
	}
	if acceptLanguage == "" || len(acceptLanguage) > maxAcceptLanguage {
		return languages[0].Tag
	}
	_, i, confidence := matcher.Match(preferred(acceptLanguage)...)
	if confidence == language.No {
		i = 0
	}
	return languages[i].Tag
}

// preferred are the languages that the header names, the most wanted first. They
// are parsed one by one: one that nobody knows does not void the others.
func preferred(acceptLanguage string) []language.Tag {
	type wanted struct {
		tag language.Tag
		q   float32
	}
	var all []wanted
	for one := range strings.SplitSeq(acceptLanguage, ",") {
		tags, q, err := language.ParseAcceptLanguage(one)
		for i := range tags {
			if err == nil {
				all = append(all, wanted{tags[i], q[i]})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b wanted) int { return cmp.Compare(b.q, a.q) })
	tags := make([]language.Tag, len(all))
	for i, w := range all {
		tags[i] = w.tag
	}
	return tags
}
