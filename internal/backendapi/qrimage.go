package backendapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"rsc.io/qr"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

// moduleSize is the side of a module in pixels. Cameras read images of a quarter
// of that, but not from every screen.
const moduleSize = 8

// ShowsSecret tells that the target of the request is as good as the secret that
// it shows, so it must not be logged.
func ShowsSecret(r *http.Request) bool { return strings.HasPrefix(r.URL.EscapedPath(), qrPath) }

// qrPath begins the addresses of images.
const qrPath = "/qr/"

// qrImage shows the secret of a pending enrollment as an image, to whoever has the
// enrollment's id: an image in a page is asked for without a key. The id is as good
// as one, with more than 128 random bits, and shows nothing any more once the
// enrollment is confirmed, void or has run out.
func (c *call) qrImage() error {
	id, ok := strings.CutPrefix(c.ids[0], enrollmentPrefix)
	if !ok {
		return errEnrollmentNotFound
	}
	e, err := c.api.o.Service.Begun(c.r.Context(), id)
	if errors.Is(err, ceremony.ErrNotFound) || err == nil && e.URI == "" {
		return errEnrollmentNotFound
	}
	if err != nil {
		return err
	}
	image, err := qrPNG(e.URI)
	if err != nil {
		return err
	}
	return c.send(http.StatusOK, "image/png", image)
}

// qrPNG draws text black on white with the quiet zone of four modules that
// scanners need (ISO/IEC 18004), at error correction level M. It fails where text
// is longer than a QR code can hold.
func qrPNG(text string) ([]byte, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("encoding QR code: %w", err)
	}
	code.Scale = moduleSize
	return code.PNG(), nil
}
