package bank

import "net/http"

// adminOnly shows everybody else the door. The address of an admin page is no
// secret, so it is 403 and not 404.
func (a *app) adminOnly(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, v visit) {
		if !v.Customer.Admin {
			a.refuse(w, v, http.StatusForbidden, "For administrators only", "Your account does not open this page.")
			return
		}
		next(w, r, v)
	}
}

func (a *app) customers(w http.ResponseWriter, _ *http.Request, v visit) {
	a.render(w, http.StatusOK, "customers", view{Title: "Customers", At: "customers", Visit: &v, Data: a.ledger.everybody()})
}

func (a *app) audit(w http.ResponseWriter, _ *http.Request, v visit) {
	a.render(w, http.StatusOK, "audit", view{Title: "Audit list", At: "audit", Visit: &v, Data: a.ledger.latestEvents()})
}

// freeze takes the fields user, and frozen: "yes" (also when absent) or "no".
func (a *app) freeze(w http.ResponseWriter, r *http.Request, v visit) {
	var frozen bool
	switch r.PostForm.Get("frozen") {
	case "", "yes":
		frozen = true
	case "no":
	default:
		a.refuse(w, v, http.StatusUnprocessableEntity, "Nothing was changed", "Say yes or no.")
		return
	}
	if err := a.ledger.setFrozen(v.Customer.Login, r.PostForm.Get("user"), frozen, a.now()); err != nil {
		a.refuse(w, v, http.StatusUnprocessableEntity, "Nothing was changed", sentence(err))
		return
	}
	http.Redirect(w, r, "/admin/", http.StatusSeeOther)
}
