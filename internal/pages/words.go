package pages

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// words is one language. Sentences carry named places in braces, such as
// {action}: translators can move them, and what fills them is escaped by the
// template like all other text.
type words struct {
	lang     string
	sentence map[string]string
	// plural names the form for n, one of the suffixes of the sentences that
	// count ("one", "other").
	plural func(n int) string
}

// catalogue holds every language there is, by its BCP 47 tag.
var catalogue = map[string]*words{"en": english}

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
	for i := 0; i+1 < len(pairs); i += 2 {
		s = strings.ReplaceAll(s, fmt.Sprintf("{%v}", pairs[i]), fmt.Sprint(pairs[i+1]))
	}
	return s
}

// count is the sentence for a key in the form that n of something needs.
func (w *words) count(key string, n int, pairs ...any) string {
	return w.say(key+"."+w.plural(n), append(pairs, "n", n)...)
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
	switch {
	case d < 90*time.Minute:
		return w.count("span.minutes", ceil(d, time.Minute))
	case d < 36*time.Hour:
		return w.count("span.hours", ceil(d, time.Hour))
	default:
		return w.count("span.days", ceil(d, 24*time.Hour))
	}
}

// ago is how long before now t was; the zero time was never. What is past is
// rounded down: two hours are not over before they are.
func (w *words) ago(t, now time.Time) string {
	d, unit := now.Sub(t), time.Minute
	switch {
	case t.IsZero():
		return w.say("time.never")
	case d < time.Minute:
		return w.say("time.just_now")
	case d >= 36*time.Hour:
		unit = 24 * time.Hour
	case d >= 90*time.Minute:
		unit = time.Hour
	}
	return w.say("time.ago", "span", w.long(d.Truncate(unit)))
}

// left is how long after now t will be.
func (w *words) left(t, now time.Time) string {
	if d := t.Sub(now); d > 0 {
		return w.span(d)
	}
	return w.say("time.over")
}

// date is t to the minute, for the datetime and title attributes. It names its
// zone: without a script a page cannot know the reader's.
func (w *words) date(t time.Time) string {
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func ceil(d, unit time.Duration) int {
	return int(math.Ceil(float64(d) / float64(unit)))
}

// onePlural is the rule of English: one, or any other number.
func onePlural(n int) string {
	if n == 1 {
		return "one"
	}
	return "other"
}
