package typed

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestCodesAsTyped(t *testing.T) {
	for _, c := range []struct{ give, want string }{
		{"123456", "123456"}, {"123 456", "123456"}, {"12-34-56\t", "123456"}, {"123\u00a0456", "123456"}, {"123\u3000456", "123456"},
		{"١٢٣٤٥٦", "123456"}, {"۱۲۳ ۴۵۶", "123456"}, {"１２３４５６", "123456"}, {"१२३४५६", "123456"}, {"𝟏𝟚𝟥𝟰𝟻6", "123456"},
		{"\u2068123456\u2069", "123456"}, {"\u200f١٢٣\u200e456", "123456"}, {"123–456", "123456"}, {"123−456", "123456"}, {"123－456", "123456"},
		{"ＡＢＣＤＥ－ｆｇｈｊｋ", "ABCDEfghjk"}, {"abcde-fghjk", "abcdefghjk"}, {"", ""}, {"－", ""},
		{"½²①Ⅳ", "½²①Ⅳ"}, {"12.34", "12.34"}, {"\x00\n", "\x00\n"}, {"\xff1", "\ufffd1"},
	} {
		if got := Code(c.give); got != c.want {
			t.Errorf("%q is read as %q, want %q", c.give, got, c.want)
		}
	}
}

// TestDigitsOfEveryScript relies on nothing but that each script has ten: every
// tenth begins anew, and where Unicode knows the digit by another name it agrees.
func TestDigitsOfEveryScript(t *testing.T) {
	var count [10]int
	for r := rune(0); r <= unicode.MaxRune; r++ {
		got := asciiDigit(r)
		if !unicode.Is(unicode.Nd, r) {
			if got != r {
				t.Fatalf("%U is no digit, and is read as %q", r, got)
			}
			continue
		}
		if got < '0' || got > '9' {
			t.Fatalf("%U is read as %q", r, got)
		}
		count[got-'0']++
		if plain, _ := utf8.DecodeRuneInString(norm.NFKC.String(string(r))); plain < utf8.RuneSelf && plain != got {
			t.Errorf("%U is read as %q, and is %q", r, got, plain)
		}
	}
	for d := range count {
		if count[d] != count[0] || count[d] < 50 {
			t.Errorf("%d occurs %d times", d, count[d])
		}
	}
}

func FuzzTyped(f *testing.F) {
	f.Add("１２３\u2068 ٤٥٦-ａｂｃ")
	f.Fuzz(func(t *testing.T, code string) {
		once := Code(code)
		if again := Code(once); again != once {
			t.Errorf("%q is read as %q, and that as %q", code, once, again)
		}
	})
}
