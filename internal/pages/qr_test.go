package pages

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestQRIsReadBackFromItsRuns(t *testing.T) {
	q, err := NewQR("otpauth://totp/A:b?secret=JBSWY3DPEHPK3PXP")
	if err != nil {
		t.Fatal(err)
	}
	side, black := paint(t, q.SVG())
	// The three finder patterns are what a scanner looks for first.
	n := side - 2*quietZone
	for _, corner := range [][2]int{{0, 0}, {n - 7, 0}, {0, n - 7}} {
		for i := range 7 {
			for _, at := range [][2]int{{i, 0}, {i, 6}, {0, i}, {6, i}} {
				if !black[[2]int{corner[0] + at[0] + quietZone, corner[1] + at[1] + quietZone}] {
					t.Fatalf("finder pattern at %v is broken", corner)
				}
			}
		}
	}
	for at := range black {
		if at[0] < quietZone || at[1] < quietZone || at[0] >= side-quietZone || at[1] >= side-quietZone {
			t.Fatalf("module %v in the quiet zone", at)
		}
	}
	if _, err := NewQR(strings.Repeat("x", 4000)); err == nil {
		t.Error("text of 4000 bytes encoded")
	}
}

// paint reads the path of a QR code back into modules.
func paint(t *testing.T, svg string) (side int, black map[[2]int]bool) {
	t.Helper()
	if _, err := fmt.Sscanf(svg[strings.Index(svg, "viewBox="):], `viewBox="0 0 %d`, &side); err != nil {
		t.Fatal(err)
	}
	black = map[[2]int]bool{}
	x, y := 0, 0
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)\.5|m(\d+) 0|h(\d+)`).FindAllString(svg, -1) {
		var n int
		switch m[0] {
		case 'M':
			_, _ = fmt.Sscanf(m, "M%d %d.5", &x, &y)
		case 'm':
			_, _ = fmt.Sscanf(m, "m%d 0", &n)
			x += n
		case 'h':
			_, _ = fmt.Sscanf(m, "h%d", &n)
			for i := range n {
				black[[2]int{x + i, y}] = true
			}
			x += n
		}
	}
	return side, black
}
