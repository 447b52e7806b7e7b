package pages

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"rsc.io/qr"
)

// quietZone is the white margin a scanner needs, in modules (ISO/IEC 18004).
const quietZone = 4

// QR is a QR code as an inline SVG. Only NewQR makes one that shows anything,
// so the markup that reaches a page unescaped is always our own.
type QR struct{ svg string }

// NewQR draws text with error correction level M, black on white whatever the
// page's colors are: many scanners do not read inverted codes. It fails where
// text is longer than a QR code can hold.
func NewQR(text string) (QR, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return QR{}, fmt.Errorf("encoding QR code: %w", err)
	}
	side := strconv.Itoa(code.Size + 2*quietZone)
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + side + ` ` + side +
		`" role="img" aria-label="QR code" shape-rendering="crispEdges">` +
		`<rect width="` + side + `" height="` + side + `" fill="#fff"/><path stroke="#000" d="`)
	// One stroke for each run of black modules: a third of the size of squares.
	for y := range code.Size {
		pen := -1 // where the pen stands in this row; below zero: not in it yet
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			run := 1
			for code.Black(x+run, y) {
				run++
			}
			if pen < 0 {
				fmt.Fprintf(&b, "M%d %d.5", x+quietZone, y+quietZone)
			} else {
				fmt.Fprintf(&b, "m%d 0", x-pen)
			}
			fmt.Fprintf(&b, "h%d", run)
			x += run
			pen = x
		}
	}
	b.WriteString(`"/></svg>`)
	return QR{svg: b.String()}, nil
}

// SVG is the code as an SVG element that can stand in a document or alone.
func (q QR) SVG() string { return q.svg }

// HTML is the code for the template.
func (q QR) HTML() template.HTML { return template.HTML(q.svg) }
