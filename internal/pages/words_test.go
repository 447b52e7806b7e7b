package pages

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryKeyHasWords(t *testing.T) {
	for of, parts := range map[string][]string{
		"MessageKind": {".title", ".text", ".next"}, "ConfirmKind": {".title", ".text", ".submit"},
		"FieldError": {""}, "ActivityKind": {""}, "Change": {""}, "Done": {""},
	} {
		for _, key := range Constants(t, of) {
			for _, part := range parts {
				if english.sentence[key+part] == "" {
					t.Errorf("no words for %s%s", key, part)
				}
			}
		}
	}
	for _, m := range []string{MethodTOTP, MethodPasskey, MethodSMS, MethodRecovery} {
		for _, key := range []string{"method.", "challenge.instead."} {
			if english.sentence[key+m] == "" {
				t.Errorf("no words for %s%s", key, m)
			}
		}
		if m == MethodRecovery {
			continue
		}
		for _, key := range []string{"label.", "enroll.title.", "enroll.what.", "enroll.pick.", "codes.added."} {
			if english.sentence[key+m] == "" {
				t.Errorf("no words for %s%s", key, m)
			}
		}
	}
}

var now = time.Date(2026, 3, 14, 9, 26, 0, 0, time.UTC)

func TestSpans(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "1\u00a0second"}, {time.Second, "1\u00a0second"}, {30 * time.Second, "30\u00a0seconds"}, {2 * time.Minute, "2\u00a0minutes"},
		{9*time.Minute + time.Second, "10\u00a0minutes"}, {time.Hour, "1\u00a0hour"}, {59*time.Minute + time.Second, "1\u00a0hour"}, {61 * time.Minute, "61\u00a0minutes"}, {2 * time.Hour, "2\u00a0hours"}, {24 * time.Hour, "24\u00a0hours"}, {72 * time.Hour, "3\u00a0days"},
	} {
		if got := english.span(c.d); got != c.want {
			t.Errorf("span(%v) = %q, want %q", c.d, got, c.want)
		}
	}
	if got := english.ago(now.Add(-119*time.Second), now); got != "1\u00a0minute\u00a0ago" {
		t.Errorf("ago = %q", got)
	}
	for d, want := range map[time.Duration]string{
		59 * time.Minute: "59\u00a0minutes\u00a0ago", time.Hour: "1\u00a0hour\u00a0ago", 119 * time.Minute: "1\u00a0hour\u00a0ago",
		30*time.Hour + 59*time.Minute: "30\u00a0hours\u00a0ago", 40 * time.Hour: "1\u00a0day\u00a0ago", 49 * time.Hour: "2\u00a0days\u00a0ago",
	} {
		if got := english.ago(now.Add(-d), now); got != want {
			t.Errorf("ago(%v) = %q, want %q", d, got, want)
		}
	}
	for _, d := range []time.Duration{0, -time.Hour} {
		if got := english.left(now.Add(d), now); got != "1\u00a0second" {
			t.Errorf("left(%v) = %q", d, got)
		}
	}
}

func TestUnknownLanguagesFallBack(t *testing.T) {
	for _, lang := range []string{"", "tlh", "en-GB", "EN", "-", strings.Repeat("x", 1000)} {
		if w := wordsFor(lang); w != english {
			t.Errorf("wordsFor(%q) is %s", lang, w.lang)
		}
	}
}

// forms are the endings of keys that count.
var forms = regexp.MustCompile(`\.(zero|one|two|few|many|other)$`)

// TestLanguagesAreComplete holds every language against English: the same
// sentences, in the forms that its own plural takes, with the same places to fill.
func TestLanguagesAreComplete(t *testing.T) {
	places := regexp.MustCompile(`\{[a-z]+\}`)
	of := func(s string) string {
		found := places.FindAllString(s, -1)
		slices.Sort(found)
		return strings.Join(slices.Compact(found), " ")
	}
	for lang, w := range catalogue {
		if w.lang != lang || w.name == "" || w.plural == nil {
			t.Errorf("%s: the language is called %q, %q", lang, w.lang, w.name)
		}
		want := map[string]bool{}
		for key, sentence := range english.sentence {
			if !forms.MatchString(key) {
				want[key] = true
				if got := of(w.sentence[key]); got != of(sentence) {
					t.Errorf("%s: %s has the places %q, and needs %q", lang, key, got, of(sentence))
				}
				if (w.sentence[key] == "") != (sentence == "") {
					t.Errorf("%s: no words for %s", lang, key)
				}
				continue
			}
			base := forms.ReplaceAllString(key, "")
			want[base+".other"] = true
			for n := range 1000 {
				want[base+"."+w.plural(n)] = true
			}
		}
		for key := range want {
			if s, ok := w.sentence[key]; !ok {
				t.Errorf("%s: no words for %s", lang, key)
			} else if forms.MatchString(key) && places.MatchString(s) && of(s) != "{n}" {
				t.Errorf("%s: %s has the places %q", lang, key, of(s))
			}
		}
		for key := range maps.Keys(w.sentence) {
			if !want[key] {
				t.Errorf("%s: nothing is called %s", lang, key)
			}
		}
	}
}

func TestPlacesAreFilledOnce(t *testing.T) {
	if got := english.say("codes.print", "user", "{host}", "host", "{date}", "date", "today"); got != "Recovery codes for {host} at {date}, generated today. Each works once." {
		t.Error(got)
	}
}

func TestTextOfTheOtherDirectionIsIsolated(t *testing.T) {
	rtl := &words{rtl: true, sentence: map[string]string{"a": "X {v} Y"}}
	ltr := &words{sentence: rtl.sentence}
	for _, c := range []struct {
		w         *words
		give, got string
	}{
		{ltr, "alice", "X alice Y"}, {ltr, "\u05d0\u05d1", "X \u2068\u05d0\u05d1\u2069 Y"}, {ltr, "12", "X 12 Y"},
		{rtl, "alice", "X \u2068alice\u2069 Y"}, {rtl, "\u0627", "X \u0627 Y"}, {ltr, "a\u202eb", "X \u2068a\u202eb\u2069 Y"},
	} {
		if got := c.w.say("a", "v", c.give); got != c.got {
			t.Errorf("%q between: %q, want %q", c.give, got, c.got)
		}
	}
}

func TestNumbersAndDatesFollowTheLanguage(t *testing.T) {
	if got := english.date(now); got != "14 March 2026, 09:26\u00a0UTC" {
		t.Error(got)
	}
	other := &words{
		dateWidth: 2, plural: func(n int) string { return []string{"zero", "one", "two", "few"}[min(n, 3)] },
		sentence: map[string]string{"time.date": "{year}/{month}/{day} {hour}:{minute}", "a.two": "both", "a.other": "{n} of them"},
	}
	if got := other.date(now); got != "2026/03/14 09:26" {
		t.Error(got)
	}
	for n, want := range map[int]string{2: "both", 10: "10 of them"} {
		if got := other.count("a", n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct{ chosen, accept, want string }{
		{"", "", "en"}, {"en", "de", "en"}, {"tlh", "tlh", "en"}, {"", "tlh, en-GB;q=0.5", "en"}, {"", ";;;", "en"},
		{"../..", strings.Repeat("en,", 1000), "en"},
	} {
		if got := Choose(c.chosen, c.accept); got != c.want {
			t.Errorf("Choose(%q, %.20q) = %q, want %q", c.chosen, c.accept, got, c.want)
		}
	}
	for _, l := range languages {
		if got := Choose("", l.Tag+"-XX, en;q=0.1"); got != l.Tag {
			t.Errorf("Accept-Language %s-XX gives %s", l.Tag, got)
		}
		if got := Choose(l.Tag, ""); got != l.Tag {
			t.Errorf("%s chosen gives %s", l.Tag, got)
		}
	}
}

// FuzzChoose sends headers that browsers do not.
func FuzzChoose(f *testing.F) {
	f.Add("", "de-CH, fr;q=0.9, en;q=0.8, *;q=0.5")
	f.Add("en", "x")
	f.Add("\x00", "zh-Hant-TW-x-a;q=1.000000, ;;q=,")
	f.Fuzz(func(t *testing.T, chosen, accept string) {
		if got := Choose(chosen, accept); !IsLanguage(got) {
			t.Errorf("Choose(%q, %q) = %q", chosen, accept, got)
		}
	})
}
