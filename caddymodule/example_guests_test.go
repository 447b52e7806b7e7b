package caddymodule_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Ticket is an identity source: users are named by a cookie that another part of
// the server has looked up. In a module of its own it is registered by
// caddy.RegisterModule(Ticket{}), and chosen by `identity ticket`.
type Ticket struct {
	users map[string]string // by ticket
}

func (Ticket) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.identity.ticket", New: func() caddy.Module { return new(Ticket) }}
}

// Identify names the user. It looks at one cookie, so it vouches for that cookie
// alone: a request with another credential beside it is refused by the gateway.
func (t *Ticket) Identify(r *http.Request) (caddymodule.Identity, error) {
	cookies := r.CookiesNamed("ticket")
	switch {
	case len(cookies) > 1:
		return caddymodule.Identity{}, caddymodule.ErrAmbiguous
	case len(cookies) == 0 || t.users[cookies[0].Value] == "":
		return caddymodule.Identity{}, caddymodule.ErrNobody
	}
	session := sha256.Sum256([]byte(cookies[0].Value))
	return caddymodule.Identity{
		Subject: grants.Subject{User: t.users[cookies[0].Value]},
		Session: string(session[:]),
		Vouched: []caddymodule.Credential{{Kind: caddymodule.InCookie, Name: "ticket"}},
	}, nil
}

func ExampleIdentitySource() {
	var source caddymodule.IdentitySource = &Ticket{users: map[string]string{"t-17": "alice"}}
	for _, cookie := range []string{"ticket=t-17", "ticket=t-18", "ticket=t-17; ticket=t-18"} {
		r := httptest.NewRequest("GET", "/pay", nil)
		r.Header.Set("Cookie", cookie)
		who, err := source.Identify(r)
		fmt.Printf("%q %v\n", who.Subject.User, err)
	}
	// Output:
	// "alice" <nil>
	// "" nobody is signed in
	// "" request carries two credentials
}

// Carrier is a sender that posts texts to a provider. In a module of its own it is
// registered by caddy.RegisterModule(Carrier{}), and chosen by `sender carrier`.
type Carrier struct {
	URL    string `json:"url"`
	client *http.Client
}

func (Carrier) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.senders.carrier", New: func() caddy.Module { return new(Carrier) }}
}

// Send posts the text. Its errors say what the provider answered, never the number,
// the text, or the URL, which the errors of net/http quote.
func (c *Carrier) Send(ctx context.Context, to, text string) error {
	r, err := http.NewRequestWithContext(ctx, "POST", c.URL+"?to="+to[1:], strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("the URL of the carrier cannot be read")
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return fmt.Errorf("the carrier could not be reached")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the carrier answered %d", resp.StatusCode)
	}
	return nil
}

func ExampleSender() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		fmt.Printf("+%s: %s\n", r.FormValue("to"), text)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer provider.Close()
	var sender caddymodule.Sender = &Carrier{URL: provider.URL, client: provider.Client()}
	fmt.Println(sender.Send(context.Background(), "+4915112345678", "Your code is 123456."))
	// Output:
	// +4915112345678: Your code is 123456.
	// <nil>
}

// Ledger is a store engine over a database client of somebody's, which implements
// store.Store. Its test runs the suite store/storetest; examples/memorystore is a
// whole one.
type Ledger struct {
	DSN     string `json:"dsn"`
	connect func(dsn string) store.Store
}

func (Ledger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.stores.ledger", New: func() caddy.Module { return new(Ledger) }}
}

// Location is the same for all configurations that mean the same database.
func (l *Ledger) Location() string { return l.DSN }

// Start does not wait for the server: calls fail until it can be reached.
func (l *Ledger) Start() (store.Opening, error) { return store.Steady(l.connect(l.DSN)), nil }

func ExampleStoreEngine() {
	var engine caddymodule.StoreEngine = &Ledger{DSN: "ledger://localhost/step_up", connect: func(string) store.Store { return unreachable{} }}
	opening, err := engine.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = opening.Get(context.Background(), []byte("key"))
	fmt.Println(engine.Location(), opening.Health().Down, err)
	// Output:
	// ledger://localhost/step_up <nil> store is out of use for now
}

// unreachable is a client that reaches no server.
type unreachable struct{ store.Store }

func (unreachable) Get(context.Context, []byte) (store.Entry, error) {
	return store.Entry{}, store.ErrUnavailable
}

// Roster is a directory of users. In a module of its own it is registered by
// caddy.RegisterModule(Roster{}), and chosen by `directory { roster }`.
type Roster struct {
	names []string
}

func (Roster) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.directories.roster", New: func() caddy.Module { return new(Roster) }}
}

// Lookup compares every name. One that could not be read would be an error, by which
// nobody is enrolled.
func (r *Roster) Lookup(_ context.Context, user caddymodule.DirectoryUser) (caddymodule.DirectoryAnswer, error) {
	return caddymodule.DirectoryAnswer{Found: slices.ContainsFunc(r.names, user.Same)}, nil
}

func ExampleDirectory() {
	var directory caddymodule.Directory = &Roster{names: []string{"Alice", "Bob"}}
	for _, id := range []string{"alice", "alcie"} {
		// As the gateway asks for a tenant that compares ids without regard to case.
		answer, err := directory.Lookup(context.Background(), caddymodule.DirectoryUser{
			ID: id, Same: func(other string) bool { return strings.EqualFold(other, id) },
		})
		fmt.Println(id, answer.Found, err)
	}
	// Output:
	// alice true <nil>
	// alcie false <nil>
}
