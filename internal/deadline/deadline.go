// Package deadline bounds how long a request's small body may be on its way. What
// sends one that does not end would keep its connection, also after it was refused:
// the server reads on before it answers (S19). It is for requests that are answered
// here, never for those that are passed on.
package deadline

import (
	"net/http"
	"time"
)

// Body is how long that may be.
const Body = 10 * time.Second

// Begin begins that time. Connections that know no deadlines have none.
func Begin(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(Body))
	}
}

// End ends it once the body was read: from here on it would end the request itself.
func End(w http.ResponseWriter) { _ = http.NewResponseController(w).SetReadDeadline(time.Time{}) }
