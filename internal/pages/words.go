package pages

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"golang.org/x/text/unicode/bidi"
)

// words is one language: one table in one file, words_XX.go.
//
// Sentences carry named places in braces, such as {action}: translators can move
// them, and what fills them is escaped by the template like all other text.
// Sentences that count have one form for each category of the language's plural
// (Unicode CLDR, "Language Plural Rules"), named at the end of the key: ".zero",
// ".one", ".two", ".few", ".many", ".other". A form that is missing is ".other".
type words struct {
	lang     string // BCP 47
	name     string // in the language itself
	rtl      bool   // written from right to left
	solid    bool   // written without spaces
	sentence map[string]string
	// plural is the category of n, from 0 up.
	plural func(n int) string
	// months are their names as they stand in "time.date"; empty: their numbers.
	months [12]string
	// dateWidth is how many digits days, and months that are numbers, have at
	// least in "time.date".
	dateWidth int
}

// catalogue holds every language there is, by its BCP 47 tag.
var catalogue = map[string]*words{
	"en": english,
	"ar": arabic,
	"de": german,
	"es": spanish,
	"fr": french,
	"ja": japanese,
}

// both are the sentences of two tables that share no key.
func both(a, b map[string]string) map[string]string {
	maps.Copy(b, a)
	return b
}

// Dir is the direction of the writing, as HTML names it.
func (w *words) Dir() string {
	if w.rtl {
		return "rtl"
	}
	return "ltr"
}

// space is what stands between two sentences or parts of one.
func (w *words) space() string {
	if w.solid {
		return ""
	}
	return " "
}

// wordsFor finds the words for a language tag, by its primary subtag.
func wordsFor(lang string) *words {
	primary, _, _ := strings.Cut(strings.ToLower(lang), "-")
	if w, ok := catalogue[primary]; ok {
		return w
	}
	return english
}

// say is the sentence for a key with its places filled from name, value pairs.
// A key that does not exist is a mistake of ours which the tests find; the key
// itself is shown then.
func (w *words) say(key string, pairs ...any) string {
	s, ok := w.sentence[key]
	if !ok {
		return key
	}
	fill := make([]string, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		fill[i] = fmt.Sprintf("{%v}", pairs[i])
		switch v := pairs[i+1].(type) {
		case int:
			fill[i+1] = number(v, 1)
		default:
			fill[i+1] = w.isolate(maskedWhole.Replace(fmt.Sprint(v)))
		}
	}
	// All at once: a value that looks like a place is left as it is.
	return strings.NewReplacer(fill...).Replace(s)
}

// maskedWhole joins what is left of a masked address, "a…@example.com", to its
// domain: a line may end after the ellipsis otherwise (Unicode TR 14, rule LB11).
var maskedWhole = strings.NewReplacer("…@", "…\u2060@")

// isolate keeps text that may run the other way from turning around what stands
// beside it (Unicode TR 9, section 2.4). Elements do that elsewhere; inside a
// sentence, and in attributes, there are none.
func (w *words) isolate(s string) string {
	for _, r := range s {
		if p, _ := bidi.LookupRune(r); foreign(p.Class(), w.rtl) {
			return "\u2068" + s + "\u2069"
		}
	}
	return s
}

// foreign tells of a class of characters that it goes the other way.
func foreign(c bidi.Class, rtl bool) bool {
	switch c {
	case bidi.L:
		return rtl
	case bidi.R, bidi.AL:
		return !rtl
	case bidi.LRE, bidi.LRO, bidi.RLE, bidi.RLO, bidi.PDF, bidi.LRI, bidi.RLI, bidi.FSI, bidi.PDI:
		return true
	}
	return false
}

// methods are the names of ways to prove, as a list in a sentence.
func (w *words) methods(names []string) string {
	said := make([]string, len(names))
	for i, name := range names {
		said[i] = w.say("method." + name)
	}
	switch {
	case w.solid:
		return strings.Join(said, "、")
	case w.rtl:
		return strings.Join(said, "، ")
	}
	return strings.Join(said, ", ")
}

// count is the sentence for a key in the form that n of something needs.
func (w *words) count(key string, n int, pairs ...any) string {
	form := key + "." + w.plural(n)
	if _, ok := w.sentence[form]; !ok {
		form = key + ".other"
	}
	return w.say(form, append(pairs, "n", n)...)
}

// number is n with zeros in front up to a width. Its digits are those of ASCII in
// every language: codes are in them, and people compare.
func number(n, width int) string {
	return fmt.Sprintf("%0*d", width, n)
}

// span is a duration in words, rounded up to what a person needs to know: two
// units at most are worth reading, one is enough.
func (w *words) span(d time.Duration) string {
	if d < 90*time.Second {
		return w.count("span.seconds", max(1, ceil(d, time.Second)))
	}
	return w.long(d)
}

// long is span for what is not told in seconds.
func (w *words) long(d time.Duration) string {
	minutes := ceil(d, time.Minute)
	switch {
	case minutes < 90 && minutes != 60:
		return w.count("span.minutes", minutes)
	case d < 36*time.Hour:
		return w.count("span.hours", ceil(d, time.Hour))
	default:
		return w.count("span.days", ceil(d, 24*time.Hour))
	}
}

// ago is how long before now t was; the zero time was never. What is past is
// rounded down: two hours are not over before they are.
func (w *words) ago(t, now time.Time) string {
	d, unit, key := now.Sub(t), time.Minute, "span.minutes"
	switch {
	case t.IsZero():
		return w.say("time.never")
	case d < time.Minute:
		return w.say("time.just_now")
	case d >= 36*time.Hour:
		unit, key = 24*time.Hour, "span.days"
	case d >= time.Hour:
		unit, key = time.Hour, "span.hours"
	}
	return w.say("time.ago", "span", w.count(key, int(d/unit)))
}

// left is how long after now t will be. What ran out while its page was drawn is
// told as about to: the sentences around it speak of what is still there.
func (w *words) left(t, now time.Time) string { return w.span(t.Sub(now)) }

// date is t to the minute. It names its zone: without a script a page cannot
// know the reader's.
func (w *words) date(t time.Time) string {
	t = t.UTC()
	month := w.months[t.Month()-1]
	if month == "" {
		month = number(int(t.Month()), w.dateWidth)
	}
	return strings.NewReplacer(
		"{day}", number(t.Day(), w.dateWidth), "{month}", month, "{year}", number(t.Year(), 1),
		"{hour}", number(t.Hour(), 2), "{minute}", number(t.Minute(), 2),
	).Replace(w.sentence["time.date"])
}

func ceil(d, unit time.Duration) int {
	return int(math.Ceil(float64(d) / float64(unit)))
}

// oneOther is the plural of English, German and Spanish for whole numbers that
// are counted here: one, or any other.
func oneOther(n int) string {
	if n == 1 {
		return "one"
	}
	return "other"
}
