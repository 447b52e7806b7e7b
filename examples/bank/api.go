package bank

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"
)

// userHeader names the user of a session to the proxy that asks.
const userHeader = "X-Bank-User"

// api serves visitors and answers everybody else 401.
func (a *app) api(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := a.visitor(r)
		if !ok {
			writeProblem(w, http.StatusUnauthorized, "sign in first")
			return
		}
		next(w, r, v)
	}
}

func (a *app) apiNotFound(w http.ResponseWriter, _ *http.Request, _ visit) {
	writeProblem(w, http.StatusNotFound, "no such call")
}

// apiBalance serves GET /api/balance.
func (a *app) apiBalance(w http.ResponseWriter, _ *http.Request, v visit) {
	writeJSON(w, http.StatusOK, struct {
		User    string `json:"user"`
		Account string `json:"account"`
		Balance string `json:"balance"` // euros, with two decimals
		Frozen  bool   `json:"frozen"`
	}{v.Customer.Login, v.Customer.Number, v.Customer.Balance.String(), v.Customer.Frozen})
}

// apiTransfer serves POST /api/transfer. It asks for the JSON content type,
// which a form on somebody else's page cannot send, in place of a token.
func (a *app) apiTransfer(w http.ResponseWriter, r *http.Request, v visit) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		writeProblem(w, http.StatusUnsupportedMediaType, "send application/json")
		return
	}
	var order struct {
		To     string `json:"to"`
		Amount string `json:"amount"`
		Note   string `json:"note"`
	}
	body := json.NewDecoder(r.Body)
	body.DisallowUnknownFields()
	if err := body.Decode(&order); err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			writeProblem(w, http.StatusRequestEntityTooLarge, "the body is too large")
			return
		}
		writeProblem(w, http.StatusBadRequest, `send {"to": "bob", "amount": "12.50", "note": ""}`)
		return
	}
	amount, err := parseAmount(order.Amount)
	if err != nil {
		writeProblem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	t, err := a.ledger.pay(v.Customer.Login, order.To, amount, order.Note, a.now())
	if err != nil {
		writeProblem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		ID     int       `json:"id"`
		At     time.Time `json:"at"`
		From   string    `json:"from"`
		To     string    `json:"to"`
		Amount string    `json:"amount"`
		Note   string    `json:"note"`
	}{t.ID, t.At.UTC(), t.From, t.To, t.Amount.String(), t.Note})
}

// whoami serves GET /session: who the session belongs to. To a program nobody
// is an answer like any other; a person is sent to sign in.
func (a *app) whoami(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept, Cookie")
	var answer struct {
		User *string `json:"user"`
	}
	if v, ok := a.visitor(r); ok {
		w.Header().Set(userHeader, v.Customer.Login)
		answer.User = &v.Customer.Login
	} else if !strings.Contains(r.Header.Get("Accept"), "json") {
		http.Redirect(w, r, "/login", http.StatusFound)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// auth serves GET /auth, which a proxy asks before it lets a request through.
// Its answer to nobody is handed to the browser as it is, so it leads to the
// login form and from there back to the page that was asked for.
func (a *app) auth(w http.ResponseWriter, r *http.Request) {
	v, ok := a.visitor(r)
	if !ok {
		back := ""
		if r.Header.Get("X-Forwarded-Method") == http.MethodGet {
			back = r.Header.Get("X-Forwarded-Uri")
		}
		http.Redirect(w, r, loginURL(back), http.StatusFound)
		return
	}
	w.Header().Set(userHeader, v.Customer.Login)
	w.WriteHeader(http.StatusOK)
}

func writeProblem(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A write fails when the client has gone: nobody is left to be told.
	_ = json.NewEncoder(w).Encode(value)
}
