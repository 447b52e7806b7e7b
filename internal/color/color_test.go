package color

import (
	"errors"
	"math"
	"testing"
)

func parse(t *testing.T, s string) RGB {
	t.Helper()
	c, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParse(t *testing.T) {
	for _, s := range []string{"#000000", "#1a56c4", "#ffffff"} {
		if got := parse(t, s).String(); got != s {
			t.Errorf("%s becomes %s", s, got)
		}
	}
	for _, s := range []string{"", "#fff", "1a56c4", "#1a56c4ff", "#1a56cg", "#+a56c4", "#-a56c4", "#1_56c4", "rgb(0,0,0)", "#1A56C4;"} {
		if c, err := Parse(s); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q is read as %v, %v", s, c, err)
		}
	}
}

// The pairs are computed by hand, or well known from writing about WCAG.
func TestContrast(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"#000000", "#ffffff", 21}, {"#777777", "#ffffff", 4.48}, {"#767676", "#ffffff", 4.54}, {"#ff0000", "#ffffff", 4.00}, {"#0000ff", "#ffffff", 8.59}, {"#123456", "#123456", 1},
	} {
		got := Contrast(parse(t, c.a), parse(t, c.b))
		if math.Abs(got-c.want) > 0.005 || got != Contrast(parse(t, c.b), parse(t, c.a)) {
			t.Errorf("%s on %s: %.3f, want %.2f", c.a, c.b, got, c.want)
		}
	}
}

// TestAccentsAreReadable goes through a grid of all colors: each is either used
// with all the contrasts it needs, or refused with one beside it that is used.
func TestAccentsAreReadable(t *testing.T) {
	const step = 15
	used := 0
	for r := 0; r < 256; r += step {
		for g := 0; g < 256; g += step {
			for b := 0; b < 256; b += step {
				c := RGB{uint8(r), uint8(g), uint8(b)}
				a, err := NewAccents(c)
				if faint := (*FaintError)(nil); errors.As(err, &faint) {
					if faint.Ratio >= MinShape || faint.Accent != c {
						t.Fatalf("%s: refused with %v", c, err)
					}
					if a, err = NewAccents(faint.Nearest); err != nil {
						t.Fatalf("%s: the suggestion is refused too: %v", c, err)
					}
					if Contrast(faint.Nearest, LightPage) > MinShape+0.15 {
						t.Errorf("%s: %s is further away than it need be", c, faint.Nearest)
					}
					c = faint.Nearest
				} else if err != nil {
					t.Fatal(err)
				} else {
					used++
				}
				if a.Light.Accent != c {
					t.Errorf("%s becomes %s", c, a.Light.Accent)
				}
				hold := func(what string, one, other RGB, least float64) {
					if got := Contrast(one, other); got < least {
						t.Errorf("%s: %s: %s on %s has %.3f, and needs %v", c, what, one, other, got, least)
					}
				}
				hold("button", a.Light.Accent, LightPage, MinShape)
				hold("button's text", a.Light.OnAccent, a.Light.Accent, MinText)
				hold("link", a.Light.Link, LightPage, MinText)
				hold("link in a box", a.Light.Link, LightTint, MinText)
				hold("dark button", a.Dark.Accent, DarkPage, MinShape)
				hold("dark button's text", a.Dark.OnAccent, a.Dark.Accent, MinText)
				hold("dark link", a.Dark.Link, DarkPage, MinText)
				hold("dark link in a box", a.Dark.Link, DarkTint, MinText)
			}
		}
	}
	if used < 1000 {
		t.Errorf("only %d colours are used", used)
	}
}

func TestAFaintAccentIsRefusedWithASuggestion(t *testing.T) {
	_, err := NewAccents(parse(t, "#ffd400"))
	const want = "#ffd400 has a contrast of 1.43:1 to the light page, and buttons need 3:1 (WCAG 2.2, 1.4.11): the nearest shade that has it is #b09200"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
