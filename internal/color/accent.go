package color

import "fmt"

// What an accent stands on: the page, and tinted boxes on it. They are the
// style sheet's own; a test of the pages holds the two together.
var (
	White     = RGB{0xff, 0xff, 0xff}
	Black     = RGB{0, 0, 0}
	LightPage = RGB{0xff, 0xff, 0xff}
	LightTint = RGB{0xf2, 0xf5, 0xf9}
	DarkPage  = RGB{0x17, 0x1b, 0x21}
	DarkTint  = RGB{0x1f, 0x25, 0x2d}
)

// Contrasts that WCAG 2.2 asks for at level AA.
const (
	MinText  = 4.5 // text on its ground (1.4.3)
	MinShape = 3.0 // a button or focus ring on the page (1.4.11)
)

// Scheme is an accent as one of the two color schemes uses it.
type Scheme struct {
	Accent   RGB // the ground of buttons, and focus rings: MinShape on the page
	OnAccent RGB // text on Accent: MinText
	Link     RGB // text on the page and on tinted boxes: MinText
}

// Accents is an accent in both schemes.
type Accents struct{ Light, Dark Scheme }

// FaintError refuses an accent that cannot be told from a light page.
type FaintError struct {
	Accent  RGB
	Ratio   float64 // its contrast to the page
	Nearest RGB     // the same color, as much darker as it must be
}

func (e *FaintError) Error() string {
	return fmt.Sprintf("%s has a contrast of %.2f:1 to the light page, and buttons need %.0f:1 (WCAG 2.2, 1.4.11): the nearest shade that has it is %s", e.Accent, e.Ratio, MinShape, e.Nearest)
}

// NewAccents derives both schemes from one color. In the light one buttons have
// the very color; links are darker where text has to be. In the dark one both
// are lighter where they have to be. It fails with a *FaintError.
func NewAccents(c RGB) (Accents, error) {
	if r := Contrast(c, LightPage); r < MinShape {
		return Accents{}, &FaintError{Accent: c, Ratio: r, Nearest: c.darker(below(LightPage, MinShape))}
	}
	dark := c.lighter(above(DarkTint, MinText))
	return Accents{
		Light: Scheme{Accent: c, OnAccent: textOn(c), Link: c.darker(below(LightTint, MinText))},
		Dark:  Scheme{Accent: dark, OnAccent: textOn(dark), Link: dark},
	}, nil
}

// textOn is the better of white and black. One of them always has MinText: where
// both contrasts are the same they are the root of 21.
func textOn(c RGB) RGB {
	if Contrast(c, White) >= Contrast(c, Black) {
		return White
	}
	return Black
}

// below is the luminance at which a darker color has the contrast r to ground.
func below(ground RGB, r float64) float64 { return (ground.luminance()+0.05)/r - 0.05 }

// above is the luminance at which a lighter color has the contrast r to ground.
func above(ground RGB, r float64) float64 { return (ground.luminance()+0.05)*r - 0.05 }
