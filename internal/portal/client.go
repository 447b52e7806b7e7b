package portal

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/pages"
)

// clientScript is for applications that call their server by fetch or
// XMLHttpRequest; see its first lines. Our own pages do not use it.
//
//go:embed client.js
var clientScript []byte

// servedScript is the script as one portal serves it.
type servedScript struct {
	script []byte
	tag    string
}

// newClient fills in the words of the dialog, in every language, and its brand.
func newClient(issuer string, b *pages.Brand) servedScript {
	c := servedScript{script: clientScript}
	for place, value := range map[string]any{"/*words*/{}": pages.DialogWords(), "/*brand*/{}": pages.DialogBrand(issuer, b)} {
		// Strings, of which json.Marshal writes nothing that ends a script.
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		c.script = bytes.Replace(c.script, []byte(place), text, 1)
	}
	sum := sha256.Sum256(c.script)
	c.tag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return c
}

// ClientScript is the script that a portal with the issuer and the brand serves to
// applications.
func ClientScript(issuer string, b *pages.Brand) []byte { return newClient(issuer, b).script }

// serve sends the script, which is the same for everybody: nobody need be
// signed in. It may be kept but is asked for anew each time, so that it is never
// older than the gateway; no other site may load it.
func (c *servedScript) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("ETag", c.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(c.script))
}
