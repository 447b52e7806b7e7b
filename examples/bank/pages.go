package bank

import (
	"bytes"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recent is how many transfers the overview shows.
const recent = 8

// view is what every template is given.
type view struct {
	Title string
	At    string // which entry of the menu is the present page
	Visit *visit // nil when nobody is signed in
	CSRF  string
	Error string
	Data  any
}

// parsePages reads the compiled-in templates: each page together with the
// layout around it.
func parsePages() map[string]*template.Template {
	funcs := template.FuncMap{
		"day":  func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
		"when": func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04") },
	}
	pages := make(map[string]*template.Template)
	for _, name := range []string{"login", "overview", "transfer", "receipt", "customers", "audit", "message"} {
		pages[name] = template.Must(template.New("layout.html").Funcs(funcs).
			ParseFS(embedded, "templates/layout.html", "templates/"+name+".html"))
	}
	return pages
}

// render writes a page as a whole or, when its template fails, none of it.
func (a *app) render(w http.ResponseWriter, status int, page string, v view) {
	if v.Visit != nil {
		v.CSRF = v.Visit.session.csrf
	}
	var out bytes.Buffer
	if err := a.pages[page].Execute(&out, v); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// A write fails when the browser has gone: nobody is left to be told.
	_, _ = w.Write(out.Bytes())
}

// refuse writes a page with nothing but a message.
func (a *app) refuse(w http.ResponseWriter, v visit, status int, title, text string) {
	a.render(w, status, "message", view{Title: title, Visit: &v, Data: text})
}

func (a *app) notFound(w http.ResponseWriter, _ *http.Request, v visit) {
	a.refuse(w, v, http.StatusNotFound, "Page not found", "There is no such page, or it is not yours to see.")
}

// loginData is what the login form shows.
type loginData struct{ User, Next string }

func (a *app) loginForm(w http.ResponseWriter, r *http.Request) {
	next := localTarget(r.URL.Query().Get("next"))
	if _, ok := a.visitor(r); ok {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	a.render(w, http.StatusOK, "login", view{Title: "Sign in", Data: loginData{Next: next}})
}

func (a *app) login(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	user := strings.ToLower(strings.TrimSpace(r.PostForm.Get("user")))
	next := localTarget(r.PostForm.Get("next"))
	if !a.ledger.authenticate(user, r.PostForm.Get("password"), a.now()) {
		a.render(w, http.StatusUnauthorized, "login", view{
			Title: "Sign in",
			Error: "User name and password do not match.",
			Data:  loginData{User: user, Next: next},
		})
		return
	}
	if old, ok := a.sessions.of(r, a.now()); ok {
		a.sessions.end(old.id)
	}
	setCookie(w, r, a.sessions.begin(user, a.now()).id)
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (a *app) logout(w http.ResponseWriter, r *http.Request, v visit) {
	a.sessions.end(v.session.id)
	a.ledger.record(a.now(), v.Customer.Login, "signed out")
	setCookie(w, r, "")
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (a *app) overview(w http.ResponseWriter, _ *http.Request, v visit) {
	lines := a.ledger.lines(v.Customer.Login)
	slices.Reverse(lines)
	months := statementMonths(lines, a.now())
	lines = lines[:min(len(lines), recent)]
	a.render(w, http.StatusOK, "overview", view{
		Title: "Your account", At: "overview", Visit: &v,
		Data: struct {
			Lines  []line
			Months []time.Time
		}{lines, months},
	})
}

// transferData is the transfer form as it was last filled in.
type transferData struct {
	Payees           []customer
	To, Amount, Note string
}

func (a *app) transferPage(w http.ResponseWriter, status int, v visit, data transferData, problem string) {
	data.Payees = slices.DeleteFunc(a.ledger.everybody(), func(c customer) bool { return c.Login == v.Customer.Login })
	a.render(w, status, "transfer", view{Title: "Transfer money", At: "transfer", Visit: &v, Error: problem, Data: data})
}

func (a *app) transferForm(w http.ResponseWriter, _ *http.Request, v visit) {
	a.transferPage(w, http.StatusOK, v, transferData{}, "")
}

func (a *app) transfer(w http.ResponseWriter, r *http.Request, v visit) {
	data := transferData{To: r.PostForm.Get("to"), Amount: r.PostForm.Get("amount"), Note: r.PostForm.Get("note")}
	amount, err := parseAmount(data.Amount)
	if err == nil {
		var t transfer
		t, err = a.ledger.pay(v.Customer.Login, data.To, amount, data.Note, a.now())
		if err == nil {
			// Not the receipt itself: reloading it would pay again.
			http.Redirect(w, r, "/receipts/"+strconv.Itoa(t.ID), http.StatusSeeOther)
			return
		}
	}
	a.transferPage(w, http.StatusUnprocessableEntity, v, data, sentence(err))
}

func (a *app) receipt(w http.ResponseWriter, r *http.Request, v visit) {
	for _, entry := range a.ledger.lines(v.Customer.Login) {
		if strconv.Itoa(entry.Transfer.ID) == r.PathValue("id") {
			a.render(w, http.StatusOK, "receipt", view{Title: "Receipt", Visit: &v, Data: entry})
			return
		}
	}
	a.notFound(w, r, v)
}

// sentence makes a sentence of an error's text.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
