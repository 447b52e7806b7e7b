// Package color finds the shades of a page's accent that can be read on its ground
// (WCAG 2.2, relative luminance and contrast ratio).
//
// It promises that what [NewAccents] gives holds the contrasts that it names. It
// knows nothing of pages but the grounds on which the accent stands.
package color

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// RGB is an opaque color in sRGB.
type RGB struct{ R, G, B uint8 }

// ErrSyntax refuses what is not written as #rrggbb.
var ErrSyntax = errors.New("a color is written as #rrggbb, such as #1a56c4")

// Parse reads #rrggbb.
func Parse(s string) (RGB, error) {
	if len(s) != 7 || s[0] != '#' || s[1] == '+' || s[1] == '-' {
		return RGB{}, ErrSyntax
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return RGB{}, ErrSyntax
	}
	return RGB{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

// String is the color as #rrggbb.
func (c RGB) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// linear undoes the transfer function of sRGB (WCAG 2.2, relative luminance).
func linear(v uint8) float64 {
	s := float64(v) / 255
	if s <= 0.04045 {
		return s / 12.92
	}
	return math.Pow((s+0.055)/1.055, 2.4)
}

// encode is linear backwards.
func encode(l float64) float64 {
	if l <= 0.0031308 {
		return l * 12.92 * 255
	}
	return (1.055*math.Pow(l, 1/2.4) - 0.055) * 255
}

// luminance is the relative luminance, 0 for black and 1 for white.
func (c RGB) luminance() float64 {
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// Contrast is the contrast ratio of two colors, from 1 to 21.
func Contrast(a, b RGB) float64 { return ratio(a.luminance(), b.luminance()) }

func ratio(a, b float64) float64 { return (max(a, b) + 0.05) / (min(a, b) + 0.05) }

// darker is c in a shade that has at most the given luminance: light of the
// same mixture, and less of it.
func (c RGB) darker(luminance float64) RGB {
	from := c.luminance()
	if from <= luminance {
		return c
	}
	k := luminance / from
	down := func(v uint8) uint8 { return uint8(math.Floor(encode(linear(v) * k))) }
	return RGB{down(c.R), down(c.G), down(c.B)}
}

// lighter is c in a shade that has at least the given luminance: the lightness of
// HSL is raised (CSS Color 4, section 7), which keeps more of the color than white
// mixed into it.
func (c RGB) lighter(luminance float64) RGB {
	if c.luminance() >= luminance {
		return c
	}
	r, g, b := float64(c.R)/255, float64(c.G)/255, float64(c.B)/255
	high, low := max(r, g, b), min(r, g, b)
	lightness, saturation := (high+low)/2, 0.0
	if high > low {
		saturation = (high - low) / (1 - math.Abs(2*lightness-1))
	}
	// at is c with another lightness: each part keeps its place between the lowest
	// and the highest.
	at := func(l float64) RGB {
		spread := saturation * (1 - math.Abs(2*l-1))
		part := func(v float64) uint8 {
			place := 0.0
			if high > low {
				place = (v - low) / (high - low)
			}
			return uint8(math.Round(255 * min(1, max(0, l-spread/2+place*spread))))
		}
		return RGB{part(r), part(g), part(b)}
	}
	for l := lightness; l < 1; l += 1.0 / 512 {
		if shade := at(l); shade.luminance() >= luminance {
			return shade
		}
	}
	return White
}
