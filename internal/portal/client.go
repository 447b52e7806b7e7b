package portal

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"time"
)

// clientScript is for applications that call their server by fetch or
// XMLHttpRequest; see its first lines. Our own pages have no scripts.
//
//go:embed client.js
var clientScript []byte

var clientTag = func() string {
	sum := sha256.Sum256(clientScript)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}()

// serveClient sends the script, which is the same for everybody: nobody need be
// signed in. It may be kept but is asked for anew each time, so that it is never
// older than the gateway; no other site may load it.
func serveClient(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("ETag", clientTag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(clientScript))
}
