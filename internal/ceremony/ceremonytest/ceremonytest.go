// Package ceremonytest gives tests a ceremony.Service over a real database and
// a clock that stands still, and people who enroll in it.
//
//	w := ceremonytest.New(t)
//	alice := w.Enroll("alice")
//	won := w.Win(alice, demand)
//	w.Clock.Advance(11 * time.Minute)
//
// Everything is closed by t.Cleanup. What goes wrong in a helper ends the test.
package ceremonytest

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/passkey"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/recovery"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// Tenant is the tenant of all subjects that this package names.
const Tenant = "test"

// World is a service with all that is under it.
type World struct {
	*ceremony.Service
	DB    *records.DB
	Clock *Clock
	// Dir has the database's files, Mark is their mark, Key seals them.
	Dir, Mark string
	Key       seal.Key

	t         testing.TB
	store     store.Store
	settings  ceremony.Settings
	mu        sync.Mutex
	events    []ceremony.Event
	deaf      bool // events are not kept
	phones    phones
	also      []ceremony.Factor
	directory func(context.Context, grants.Subject) (ceremony.Listing, error)
}

// New makes a service over an empty database. Unlike the defaults everybody may
// enroll at the first use; the edits change that and other settings.
func New(t testing.TB, edits ...func(*ceremony.Settings)) *World {
	t.Helper()
	w := &World{
		Dir: t.TempDir(), Mark: filepath.Join(t.TempDir(), "mark"), Key: seal.GenerateKey(), t: t, settings: ceremony.DefaultSettings(),
		Clock: &Clock{at: time.Date(2027, 1, 15, 12, 0, 5, 0, time.UTC)},
	}
	w.settings.Enrollment = ceremony.FirstUse
	w.settings.Issuer = "Test"
	w.openStore()
	if err := records.Create(t.Context(), w.store, w.Key); err != nil {
		t.Fatal(err)
	}
	w.openDB()
	w.Configure(edits...)
	t.Cleanup(func() { w.store.Close() })
	return w
}

func (w *World) openStore() {
	w.t.Helper()
	s, err := badgerstore.Open(badgerstore.Options{Dir: w.Dir, Mark: w.Mark, Now: w.Clock.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store = s
}

func (w *World) openDB() {
	w.t.Helper()
	db, err := records.Open(w.t.Context(), w.store, w.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.DB = db
}

// Reopen closes the database and opens it from its files, as a restart does.
func (w *World) Reopen() {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.openStore()
	w.openDB()
}

// Copy copies the database's directory, as a backup of the stopped gateway does.
func (w *World) Copy() (dir string) {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	dir = w.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(w.Dir)); err != nil {
		w.t.Fatal(err)
	}
	w.openStore()
	w.openDB()
	return dir
}

// PutBack puts a copy in the place of the database, while it is closed. The mark
// stays as it is.
func (w *World) PutBack(dir string) {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.Dir = w.t.TempDir()
	if err := os.CopyFS(w.Dir, os.DirFS(dir)); err != nil {
		w.t.Fatal(err)
	}
	w.openStore()
	w.openDB()
}

// Under puts a store that may refuse what the database would take between the
// service and its database, from now on.
func (w *World) Under(wrap func(store.Store) store.Store) {
	w.t.Helper()
	w.store = wrap(w.store)
	w.openDB()
}

// Configure changes the settings, as a reload does. The service is another one
// afterwards.
func (w *World) Configure(edits ...func(*ceremony.Settings)) {
	w.t.Helper()
	for _, edit := range edits {
		edit(&w.settings)
	}
	s, err := ceremony.New(ceremony.Options{
		DB:       func(ctx context.Context) (*records.DB, error) { return w.DB.View(ctx) },
		Settings: w.settings,
		Factors: slices.Concat([]ceremony.Factor{passkey.Factor{Name: w.settings.Issuer}, totpapp.Factor{Issuer: w.settings.Issuer, Params: w.settings.TOTP},
			w.phones.factor(w.settings.Issuer), recovery.Factor{}}, w.also),
		Now:       w.Clock.Now,
		Directory: w.directory,
		Audit: func(_ context.Context, e ceremony.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if !w.deaf {
				w.events = append(w.events, e)
			}
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Service = s
}

// IgnoreEvents keeps none that is reported from now on, for those who measure.
func (w *World) IgnoreEvents() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = true
}

// Events are all that were reported so far.
func (w *World) Events() []ceremony.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]ceremony.Event(nil), w.events...)
}

// Person is a subject in a browser, with one authenticator in hand: an app, a
// device with a passkey, or a phone.
type Person struct {
	ceremony.Principal
	Authenticator ceremony.Authenticator
	Key           totp.Key // the app's
	Device        *Device  // nil for others
	Number        string   // the phone's; empty for others
	RecoveryCodes []string
}

// Stranger is a subject of the name in a browser and session of its own, who
// has not enrolled.
func (w *World) Stranger(name string) ceremony.Principal {
	return ceremony.Principal{
		Subject: grants.Subject{Tenant: Tenant, User: name},
		Session: sha256.Sum256([]byte("session of " + name)),
		Browser: sha256.Sum256([]byte("browser of " + name)),
		Address: "192.0.2.1",
		Site:    Site,
	}
}

// Enroll enrolls the subject of the name, whom the policy must let in.
func (w *World) Enroll(name string) *Person {
	w.t.Helper()
	return w.EnrollAs(w.Stranger(name), ceremony.Leave{})
}

// setup is p in another browser, in which their authenticators are set up: the
// browser in which one is confirmed is a known one from then on.
func setup(p ceremony.Principal) ceremony.Principal {
	p.Browser = sha256.Sum256(append([]byte("set up in "), p.Browser[:]...))
	return p
}

// EnrollAs enrolls an authenticator app for p, in another browser than p's.
func (w *World) EnrollAs(p ceremony.Principal, leave ceremony.Leave) *Person {
	w.t.Helper()
	begun, err := w.EnrollApp(w.t.Context(), setup(p), "phone", leave)
	if err != nil {
		w.t.Fatal("enrolling:", err)
	}
	done, err := w.Service.Confirm(w.t.Context(), setup(p), begun.ID, w.Code(begun.Key), "")
	if err != nil {
		w.t.Fatal("confirming:", err)
	}
	return &Person{Principal: p, Authenticator: done.Authenticator, Key: begun.Key, RecoveryCodes: done.RecoveryCodes}
}

// EnrollApp begins to enroll an authenticator app for p.
func (w *World) EnrollApp(ctx context.Context, p ceremony.Principal, label string, leave ceremony.Leave) (ceremony.Enrollment, error) {
	return w.Service.Enroll(ctx, p, ceremony.Setup{Kind: grants.TOTP, Label: label}, leave)
}

// Code is what the app shows now.
func (w *World) Code(k totp.Key) string {
	w.t.Helper()
	code, err := totp.Code(k, w.Clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// NextCode waits for the app's next code, which was not used yet.
func (w *World) NextCode(k totp.Key) string {
	w.t.Helper()
	w.Clock.Advance(totp.Period)
	return w.Code(k)
}

// WrongCode is one that the app shows neither now nor in any step near now.
func (w *World) WrongCode(k totp.Key) string {
	w.t.Helper()
	for _, code := range []string{"271828", "314159", "161803", "141421", "173205", "223606", "577215", "693147"} {
		if _, err := totp.Match(totp.Key{Secret: k.Secret, Params: totp.Params{Algorithm: k.Algorithm, Digits: 6, Skew: 2}},
			code, w.Clock.Now(), 0); errors.Is(err, totp.ErrMismatch) {
			return code
		}
	}
	w.t.Fatal("no wrong code found")
	return ""
}

// Begin begins a challenge.
func (w *World) Begin(p ceremony.Principal, d grants.Demand) ceremony.Challenge {
	w.t.Helper()
	c, err := w.Service.Begin(w.t.Context(), p, ceremony.Ask{Demand: d, Site: Site, ReturnTo: "/"})
	if err != nil {
		w.t.Fatal("beginning a challenge:", err)
	}
	return c
}

// Answer is the person's right answer to the challenge, by the authenticator in
// hand.
func (w *World) Answer(who *Person, c ceremony.Challenge) ceremony.Answer {
	w.t.Helper()
	switch {
	case who.Device != nil:
		return ceremony.Answer{Method: grants.Passkey, Code: who.Device.Answer(w.Asked(who.Principal, c))}
	case who.Number != "":
		return ceremony.Answer{Method: grants.SMS, Code: w.sendCode(who, c)}
	}
	return ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(who.Key)}
}

// Win passes a challenge for the demand with the person's next answer.
func (w *World) Win(who *Person, d grants.Demand) ceremony.Won {
	w.t.Helper()
	w.Rest(who)
	return w.Pass(who, w.Begin(who.Principal, d))
}

// Pass passes a challenge with the person's next answer.
func (w *World) Pass(who *Person, c ceremony.Challenge) ceremony.Won {
	w.t.Helper()
	won, err := w.Verify(w.t.Context(), who.Principal, c.ID, w.Answer(who, c))
	if err != nil {
		w.t.Fatal("verifying:", err)
	}
	return won
}

// Manage wins the grant for an operation on the person's authenticators and
// gives its token.
func (w *World) Manage(who *Person, op ceremony.Operation) string {
	w.t.Helper()
	w.Rest(who)
	c, err := w.BeginManage(w.t.Context(), who.Principal, op, "", Site, "/.step-up/")
	if err != nil {
		w.t.Fatal("beginning a challenge:", err)
	}
	return w.Pass(who, c).Token.Text()
}

// Demand is what a rule asks; zero methods take any.
func Demand(action string, use grants.Use, ttl time.Duration, methods ...grants.Methods) grants.Demand {
	d := grants.Demand{Action: grants.MustAction(action), Use: use, TTL: ttl}
	for _, m := range methods {
		d.Methods |= m
	}
	return d
}
