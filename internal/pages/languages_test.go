package pages

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// TestPluralsFollowCLDR holds every language's plural against the rules of the
// Unicode CLDR, as golang.org/x/text has them.
func TestPluralsFollowCLDR(t *testing.T) {
	names := map[plural.Form]string{
		plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many", plural.Other: "other",
	}
	for tag, w := range catalogue {
		for n := range 201 {
			want := names[plural.Cardinal.MatchPlural(language.MustParse(tag), n, 0, 0, 0, 0)]
			if got := w.plural(n); got != want {
				t.Errorf("%s: %d is %q, want %q", tag, n, got, want)
			}
		}
	}
}

// TestFormsTellTheirNumber: only a form that stands for one number alone may
// leave it out.
func TestFormsTellTheirNumber(t *testing.T) {
	for tag, w := range catalogue {
		stands := map[string]int{}
		for n := range 201 {
			stands[w.plural(n)]++
		}
		for key, sentence := range w.sentence {
			form := forms.FindString(key)
			if form != "" && stands[form[1:]] > 1 && strings.Count(sentence, "{n}") != 1 {
				t.Errorf("%s: %s does not tell its number once: %q", tag, key, sentence)
			}
		}
	}
}

// TestSentencesAreTranslated finds what was copied and left in English. These
// are the same on purpose.
func TestSentencesAreTranslated(t *testing.T) {
	same := map[string][]string{
		"de": {"method.passkey", "label.passkey", "security.activity_of"},
		"fr": {"span.minutes.other"},
		"es": {"layout.title_error", "security.activity_of"},
		"ja": {"codes.file"},
		"ar": {"codes.file", "security.activity_of"},
	}
	for tag, w := range catalogue {
		if w == english {
			continue
		}
		for key, sentence := range w.sentence {
			intended := slices.Contains(same[tag], key)
			if equal := sentence == english.sentence[key]; equal != intended && sentence != "" {
				t.Errorf("%s: %s is %q, as in English: %v", tag, key, sentence, equal)
			}
		}
	}
}

// TestSentencesAreWellFormed finds slips of writing that a machine can see.
func TestSentencesAreWellFormed(t *testing.T) {
	slips := regexp.MustCompile(`^\s|\s$|  |\{ |\{\w*$|[<>&"]|'`)
	letters := regexp.MustCompile(`[A-Za-z]{2,}`)
	isolated := regexp.MustCompile("\u2066[^\u2066\u2069]*\u2069")
	turned := regexp.MustCompile(`https://|\+\d|\b\d[A-Za-z]|[A-Za-z]-[A-Za-z]`)
	for tag, w := range catalogue {
		for key, sentence := range w.sentence {
			if m := slips.FindString(sentence); m != "" {
				t.Errorf("%s: %s has %q: %q", tag, key, m, sentence)
			}
			if strings.Count(sentence, "\u2066") != strings.Count(sentence, "\u2069") {
				t.Errorf("%s: %s isolates without an end: %q", tag, key, sentence)
			}
			if !w.rtl || key == "codes.file" {
				continue
			}
			if m := turned.FindString(isolated.ReplaceAllString(sentence, "")); m != "" {
				t.Errorf("%s: %s has %q, which would turn around: %q", tag, key, m, sentence)
			}
		}
		for _, key := range []string{"challenge.title", "enroll.what.totp", "message.unavailable.text"} {
			if w.rtl != regexp.MustCompile(`\p{Arabic}|\p{Hebrew}`).MatchString(w.sentence[key]) {
				t.Errorf("%s: the direction is not that of the writing: %q", tag, w.sentence[key])
			}
		}
		// A name for a file is made of it.
		if file := w.sentence["codes.file"]; !regexp.MustCompile(`^[a-z-]+$`).MatchString(file) || !letters.MatchString(file) {
			t.Errorf("%s: codes.file is %q", tag, file)
		}
	}
}

func TestTimesInEveryLanguage(t *testing.T) {
	at := time.Date(2026, 3, 4, 7, 5, 0, 0, time.UTC)
	for tag, want := range map[string]string{
		"en": "4 March 2026, 07:05\u00a0UTC", "de": "04.03.2026, 07:05\u00a0UTC", "fr": "04/03/2026 à\u00a007:05\u00a0UTC", "es": "4/3/2026, 07:05\u00a0UTC",
		"ja": "2026/03/04\u00a007:05\u00a0UTC", "ar": "4\u200f/3\u200f/2026 07:05 UTC",
	} {
		if got := catalogue[tag].date(at); got != want {
			t.Errorf("%s: %q, want %q", tag, got, want)
		}
	}
	for _, c := range []struct {
		tag  string
		d    time.Duration
		want string
	}{
		{"de", time.Minute, "vor 1\u00a0Minute"}, {"de", 72 * time.Hour, "vor 3\u00a0Tagen"},
		{"fr", time.Minute, "il\u00a0y\u00a0a\u00a01\u00a0minute"}, {"es", 48 * time.Hour, "hace\u00a02\u00a0días"}, {"ja", 5 * time.Hour, "5\u2060時間前"},
		{"ar", time.Minute, "قبل دقيقة واحدة"}, {"ar", 2 * time.Minute, "قبل دقيقتين"}, {"ar", 5 * time.Minute, "قبل 5 دقائق"},
		{"ar", 11 * time.Minute, "قبل 11 دقيقة"}, {"ar", 100 * 24 * time.Hour, "قبل 100 يوم"}, {"ar", 30 * time.Second, "الآن"},
	} {
		if got := catalogue[c.tag].ago(at.Add(-c.d), at); got != c.want {
			t.Errorf("%s: %v ago is %q, want %q", c.tag, c.d, got, c.want)
		}
	}
}

func TestLanguageIsChosenByTheBrowser(t *testing.T) {
	for _, c := range []struct{ accept, want string }{
		{"de-CH, fr-CH;q=0.9", "de"}, {"fr-CA", "fr"}, {"es-419,es;q=0.9,en;q=0.8", "es"}, {"es-MX", "es"},
		{"ja-JP-u-ca-japanese", "ja"}, {"ar-EG, en;q=0.5", "ar"}, {"ar-MA-u-nu-latn", "ar"}, {"DE", "de"}, {"en-US,de;q=0.9", "en"},
		{"de;q=0.2, ja;q=0.7, ar;q=0.5", "ja"}, {"de;q=0, fr;q=0.1", "fr"}, {"tlh, xx;q=0.9, fr;q=0.1", "fr"},
		{"tlh", "en"}, {"*", "en"}, {"zh-CN", "en"}, {"he", "en"}, {"fa", "en"}, {"", "en"},
		{";;;", "en"}, {"de;q=garbage", "en"}, {"\x00\xff", "en"}, {"../../etc/passwd", "en"}, {"ه", "en"},
		{strings.Repeat("de,", 64<<10/3), "en"}, {strings.Repeat("x", 64<<10), "en"}, {"de" + strings.Repeat(" ", 64<<10), "en"},
	} {
		if got := Choose("", c.accept); got != c.want {
			t.Errorf("Accept-Language %.40q gives %s, want %s", c.accept, got, c.want)
		}
		if got := Choose("ja", c.accept); got != "ja" {
			t.Errorf("ja is chosen, and Accept-Language %.40q gives %s", c.accept, got)
		}
	}
}
