// Package bank is a sample of the kind of application that the gateway is
// made for: a small internal bank that has its own login form, its own session
// cookie and its own CSRF tokens, that renders its pages on the server, and
// that nobody is going to change. It knows nothing of step-ups, imports
// nothing of this module, and works the same with or without a gateway in front.
//
// [New] gives the whole bank as one handler with a ledger of its own. State is
// in memory and lasts as long as the handler; two handlers share nothing. With
// the same clock, two new banks hold the same customers, balances and history.
//
// Two endpoints are of the kind that single-sign-on proxies of its day wanted:
//
//	GET /auth     200 and X-Bank-User for a session, else 302 to /login
//	GET /session  200 and {"user": "alice"} or {"user": null}
//
// It is a sample, not an example of banking: passwords are printed on the login
// page, guesses are not counted, and a restart forgets every transfer.
package bank

import (
	"crypto/subtle"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

// maxBody bounds a request body, in bytes: the largest form is far smaller.
const maxBody = 16 << 10

//go:embed templates assets
var embedded embed.FS

// Options are what a bank can be told. The zero value is a bank on the wall
// clock.
type Options struct {
	// Now tells the time: the history a new bank starts with is laid out
	// before it, sessions and transfers follow it. Nil is [time.Now].
	Now func() time.Time
}

// app is one bank behind its handler.
type app struct {
	now      func() time.Time
	ledger   *ledger
	sessions *sessions
	pages    map[string]*template.Template
}

// New returns a bank with its sample customers and three months of history. The
// handler is safe for concurrent use. It expects to be served at the root of
// its host.
func New(opts Options) http.Handler {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a := &app{
		now:      opts.Now,
		ledger:   seed(opts.Now()),
		sessions: &sessions{byID: make(map[string]session)},
		pages:    parsePages(),
	}
	assets, err := fs.Sub(embedded, "assets")
	if err != nil {
		panic(err) // unreachable: the directory is compiled in
	}

	mux := http.NewServeMux()
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(assets)))
	mux.HandleFunc("GET /login", a.loginForm)
	// There is no session yet that a token could be bound to, so a login from
	// somebody else's page is told by the browser's own headers instead.
	mux.Handle("POST /login", http.NewCrossOriginProtection().Handler(http.HandlerFunc(a.login)))
	mux.HandleFunc("POST /logout", a.form(a.logout))

	mux.HandleFunc("GET /{$}", a.page(a.overview))
	mux.HandleFunc("GET /transfer", a.page(a.transferForm))
	mux.HandleFunc("POST /transfer", a.form(a.transfer))
	mux.HandleFunc("GET /receipts/{id}", a.page(a.receipt))
	mux.HandleFunc("GET /statements/{file}", a.page(a.statement))

	mux.HandleFunc("GET /admin/{$}", a.page(a.adminOnly(a.customers)))
	mux.HandleFunc("GET /admin/audit", a.page(a.adminOnly(a.audit)))
	mux.HandleFunc("POST /admin/freeze", a.form(a.adminOnly(a.freeze)))
	mux.HandleFunc("/admin/", a.page(a.adminOnly(a.notFound)))

	mux.HandleFunc("GET /api/balance", a.api(a.apiBalance))
	mux.HandleFunc("POST /api/transfer", a.api(a.apiTransfer))
	mux.HandleFunc("/api/", a.api(a.apiNotFound))
	mux.HandleFunc("GET /session", a.whoami)
	mux.HandleFunc("GET /auth", a.auth)

	mux.HandleFunc("/", a.page(a.notFound))
	return headers(http.MaxBytesHandler(mux, maxBody))
}

// headers sets what every answer carries.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// visit is one request of somebody who is signed in.
type visit struct {
	session  session
	Customer customer
}

// handler serves a visit.
type handler func(http.ResponseWriter, *http.Request, visit)

// visitor tells who is asking; false is nobody.
func (a *app) visitor(r *http.Request) (visit, bool) {
	s, ok := a.sessions.of(r, a.now())
	if !ok {
		return visit{}, false
	}
	c, ok := a.ledger.customer(s.user)
	return visit{session: s, Customer: c}, ok
}

// page serves visitors and sends everybody else to the login form.
func (a *app) page(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := a.visitor(r)
		if !ok {
			back := ""
			if r.Method == http.MethodGet {
				back = r.URL.RequestURI()
			}
			http.Redirect(w, r, loginURL(back), http.StatusFound)
			return
		}
		next(w, r, v)
	}
}

// form serves visitors who posted a form of ours: one that carries the token of
// their session.
func (a *app) form(next handler) http.HandlerFunc {
	return a.page(func(w http.ResponseWriter, r *http.Request, v visit) {
		if !readForm(w, r) {
			return
		}
		// PostForm, not Form: a token in a URL would be in logs and histories.
		if subtle.ConstantTimeCompare([]byte(r.PostForm.Get("csrf")), []byte(v.session.csrf)) != 1 {
			a.refuse(w, v, http.StatusForbidden, "This form is out of date",
				"It was not sent from your present session. Go back, reload the page and send it again.")
			return
		}
		next(w, r, v)
	})
}

// readForm parses a posted form, or answers and reports false.
func readForm(w http.ResponseWriter, r *http.Request) bool {
	err := r.ParseForm()
	if err == nil {
		return true
	}
	status := http.StatusBadRequest
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, http.StatusText(status), status)
	return false
}
