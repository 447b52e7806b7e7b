package ceremony_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

func server(p ceremony.Principal) ceremony.Principal {
	return ceremony.ServerPrincipal(p.Subject, "key_1", "198.51.100.1")
}

func prove(w *ceremonytest.World, t testing.TB, p ceremony.Principal, d grants.Demand, code string) (string, error) {
	t.Helper()
	won, err := w.Prove(t.Context(), p, d, ceremony.Answer{Method: grants.TOTP, Code: code})
	if err != nil {
		return "", err
	}
	return won.Token.Text(), nil
}

// What a server wins opens a route only where its rule says so, and never
// beyond the rule; what a browser wins proves to a server too.
func TestS02GrantsOfServersAndOfBrowsers(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice, bob := w.Enroll("alice"), w.Enroll("bob")
	token, err := prove(w, t, server(alice.Principal), view, w.NextCode(alice.Key))
	if err != nil {
		t.Fatal(err)
	}
	accepting := view
	accepting.AcceptAPI = true
	want(t, "a rule that does not accept it", check(w, t, alice.Principal, view, token), ceremony.ErrNoGrant)
	want(t, "one that does", check(w, t, alice.Principal, accepting, token), nil)
	want(t, "another session", check(w, t, browserless(alice.Principal), accepting, token), nil)
	want(t, "another subject", check(w, t, bob.Principal, accepting, token), ceremony.ErrNoGrant)
	for name, narrow := range map[string]func(*grants.Demand){
		"another action":     func(d *grants.Demand) { d.Action = withdraw.Action },
		"another grant type": func(d *grants.Demand) { d.Use = grants.OneTimeUse },
		"another method":     func(d *grants.Demand) { d.Methods = grants.Passkey },
	} {
		d := accepting
		narrow(&d)
		want(t, name, check(w, t, alice.Principal, d, token), ceremony.ErrNoGrant)
	}
	bound := [32]byte{1}
	if _, err := w.Check(t.Context(), &alice.Principal, &accepting, bound, token); !errors.Is(err, ceremony.ErrNoGrant) {
		t.Error("a rule that shows the request:", err)
	}
	vouch := func(p ceremony.Principal, action grants.Action, today *grants.Demand, token string) error {
		return w.VerifyGrant(t.Context(), server(p), action, today, token)
	}
	want(t, "over the API", vouch(alice.Principal, view.Action, nil, token), nil)
	want(t, "over the API, another subject", vouch(bob.Principal, view.Action, nil, token), ceremony.ErrNoGrant)
	want(t, "over the API, another action", vouch(alice.Principal, withdraw.Action, nil, token), ceremony.ErrNoGrant)
	short := accepting
	short.TTL = time.Minute
	w.Clock.Advance(time.Minute)
	want(t, "older than demanded", check(w, t, alice.Principal, short, token), ceremony.ErrNoGrant)

	browsers := w.Win(alice, view).Token.Text()
	want(t, "won in a browser", vouch(alice.Principal, view.Action, &view, browsers), nil)
	want(t, "by another method than the rule takes", vouch(alice.Principal, view.Action, &grants.Demand{Action: view.Action, Use: view.Use, TTL: view.TTL, Methods: grants.Passkey}, browsers), ceremony.ErrNoGrant)
	w.Clock.Advance(time.Minute)
	want(t, "older than the rule demands today", vouch(alice.Principal, view.Action, &short, browsers), ceremony.ErrNoGrant)
	w.Clock.Advance(10 * time.Minute)
	want(t, "expired", vouch(alice.Principal, view.Action, nil, browsers), ceremony.ErrNoGrant)
	for _, nonsense := range []string{"", "sug_", token[:40], strings.ToUpper(token)} {
		want(t, "nonsense", vouch(alice.Principal, view.Action, nil, nonsense), ceremony.ErrNoGrant)
	}
}

// A grant that is bound to one request proves nothing to a server, which sees
// none; nor does one for managing authenticators.
func TestS02BoundGrantsProveNothingToServers(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	c, err := w.Service.Begin(t.Context(), alice.Principal, ceremony.Ask{Demand: withdraw, Request: [32]byte{1}, Site: "https://app.test"})
	if err != nil {
		t.Fatal(err)
	}
	token := w.Pass(alice, c).Token.Text()
	want(t, "bound to a request", w.VerifyGrant(t.Context(), server(alice.Principal), withdraw.Action, nil, token), ceremony.ErrNoGrant)
	manage := w.Manage(alice, ceremony.AddOp)
	want(t, "step_up.manage", w.VerifyGrant(t.Context(), server(alice.Principal), grants.MustAction(grants.ManageAction), nil, manage), ceremony.ErrNoGrant)
	want(t, "and is not spent by it", w.MayManage(t.Context(), alice.Principal, ceremony.AddOp, manage), nil)
}

// Half of 64 use a one-time grant over the API, half at the route: one does.
func TestS03OneTimeIsOnceForServersAndBrowsersTogether(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	d := withdraw
	d.AcceptAPI = true
	for _, mint := range []func() string{
		func() string { return w.Win(alice, d).Token.Text() },
		func() string {
			token, err := prove(w, t, server(alice.Principal), d, w.NextCode(alice.Key))
			if err != nil {
				t.Fatal(err)
			}
			return token
		},
	} {
		token := mint()
		var used atomic.Int64
		atOnce(64, func(i int) {
			if i%2 == 0 {
				if err := w.VerifyGrant(t.Context(), server(alice.Principal), d.Action, &d, token); err == nil {
					used.Add(1)
				} else if !errors.Is(err, ceremony.ErrNoGrant) {
					t.Error(err)
				}
				return
			}
			pass, err := w.Check(t.Context(), &alice.Principal, &d, [32]byte{}, token)
			if err == nil {
				_, err = w.Spend(t.Context(), &alice.Principal, &pass)
			}
			if err == nil {
				used.Add(1)
			} else if !errors.Is(err, ceremony.ErrNoGrant) {
				t.Error(err)
			}
		})
		if used.Load() != 1 {
			t.Error(used.Load(), "uses of a one-time grant")
		}
	}
}

func TestS04CodeIsAcceptedOnceByServersAndBrowsersTogether(t *testing.T) {
	w := ceremonytest.New(t, lax, func(s *ceremony.Settings) { s.Budgets.API = 1000 })
	alice := w.Enroll("alice")
	code := w.NextCode(alice.Key)
	var passed atomic.Int64
	atOnce(64, func(i int) {
		var err error
		if i%2 == 0 {
			_, err = prove(w, t, server(alice.Principal), view, code)
		} else {
			err = answer(w, t, browser(alice.Principal, i), grants.TOTP, code)
		}
		if err == nil {
			passed.Add(1)
		} else if !errors.Is(err, ceremony.ErrInvalidCode) {
			t.Error(err)
		}
	})
	if passed.Load() != 1 {
		t.Error(passed.Load(), "passed with one code")
	}
}

func TestProveTellsWhatIsMissing(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	_, err := prove(w, t, server(w.Stranger("nobody")), view, "123456")
	want(t, "unknown", err, ceremony.ErrNotFound)
	if err := w.Reset(t.Context(), alice.Subject); err != nil {
		t.Fatal(err)
	}
	_, err = prove(w, t, server(alice.Principal), view, "123456")
	want(t, "reset", err, ceremony.ErrNotEnrolled)
	bob := withPhone(w, t, "bob", number)
	_, err = prove(w, t, server(bob), view, "123456")
	want(t, "no app", err, ceremony.ErrMethodNotAccepted)
}

// enrollOverAPI enrolls an app through a server.
func enrollOverAPI(w *ceremonytest.World, t *testing.T, p ceremony.Principal, codes ceremony.GiveCodes) (ceremony.Enrollment, ceremony.Confirmed, totp.Key) {
	t.Helper()
	e, err := w.EnrollApp(t.Context(), p, "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.ConfirmFor(t.Context(), p, e.ID, w.Code(e.Key), &view, codes)
	if err != nil {
		t.Fatal(err)
	}
	return e, done, e.Key
}

func TestS15KeyIsLeaveForAFirstEnrolment(t *testing.T) {
	w := ceremonytest.New(t, policy(ceremony.ByInvite))
	alice := server(w.Stranger("alice"))
	e, done, key := enrollOverAPI(w, t, alice, ceremony.CodesLater)
	if len(done.RecoveryCodes) != 0 || done.Won == nil || !done.Won.Grant.API {
		t.Fatalf("%+v", done)
	}
	_, err := w.EnrollApp(t.Context(), alice, "", ceremony.Leave{})
	want(t, "again", err, ceremony.ErrEnrolled)
	_, err = w.EnrollPhone(t.Context(), alice, "", number, "", ceremony.Leave{})
	want(t, "a phone too", err, ceremony.ErrEnrolled)

	// What it began it goes on to name, in both forms.
	for _, id := range []string{e.ID, ceremony.EnrollmentUUID(e.ID)} {
		who, full, err := w.Enrolled(t.Context(), ceremonytest.Tenant, id)
		if err != nil || who != alice.Subject || full != e.ID {
			t.Error(id, who, full, err)
		}
		_, _, err = w.Enrolled(t.Context(), "another", id)
		want(t, "another tenant", err, ceremony.ErrNotFound)
	}
	if u, err := uuid.Parse(ceremony.EnrollmentUUID(e.ID)); err != nil || u.Version() != 4 {
		t.Error(u, err)
	}
	won, err := w.ProveWith(t.Context(), alice, view, e.ID, ceremony.Answer{Method: grants.TOTP, Code: w.NextCode(key)})
	if err != nil || won.Token.Text() == "" {
		t.Error(err)
	}
	_, err = w.ProveWith(t.Context(), alice, view, e.ID, ceremony.Answer{Method: grants.TOTP, Code: w.Code(key)})
	want(t, "a used code", err, ceremony.ErrInvalidCode)

	first, err := w.FirstRecoveryCodes(t.Context(), alice, ceremony.FirstOnly)
	if err != nil || len(first) != 10 {
		t.Fatal(first, err)
	}
	_, err = w.FirstRecoveryCodes(t.Context(), alice, ceremony.FirstOnly)
	want(t, "a second time", err, ceremony.ErrHasCodes)
	second, err := w.FirstRecoveryCodes(t.Context(), alice, ceremony.Renew)
	if err != nil || second[0] == first[0] {
		t.Error("renewal", err)
	}
	want(t, "an old code", answer(w, t, w.Stranger("alice"), grants.RecoveryCode, first[0]), ceremony.ErrInvalidCode)
	want(t, "a new code", answer(w, t, w.Stranger("alice"), grants.RecoveryCode, second[0]), nil)

	if err := w.Reset(t.Context(), alice.Subject); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.Enrolled(t.Context(), ceremonytest.Tenant, e.ID)
	want(t, "after a reset", err, ceremony.ErrNotFound)
	enrollOverAPI(w, t, alice, ceremony.CodesNow)

	w.Configure(policy(ceremony.Deny))
	_, err = w.EnrollApp(t.Context(), server(w.Stranger("bob")), "", ceremony.Leave{})
	want(t, "deny", err, ceremony.ErrEnrollmentDenied)
}

// A key that may enroll gives recovery codes to whom it enrolled. Somebody who did so
// in a browser, while nobody was given any, has none either, and is not the key's.
func TestS14FirstCodesAreForWhomAServerEnrolled(t *testing.T) {
	w := ceremonytest.New(t, func(s *ceremony.Settings) { s.RecoveryCodes = 0 })
	alice := w.Enroll("alice")
	w.Configure(func(s *ceremony.Settings) { s.RecoveryCodes = 10 })
	_, err := w.FirstRecoveryCodes(t.Context(), server(alice.Principal), ceremony.FirstOnly)
	want(t, "of who enrolled in a browser", err, ceremony.ErrManageRequired)
	_, err = w.FirstRecoveryCodes(t.Context(), server(alice.Principal), ceremony.Renew)
	want(t, "by a key that may reset", err, nil)
}

// A subject's own token is no key: the policy holds.
func TestS15OwnTokenIsNoLeave(t *testing.T) {
	w := ceremonytest.New(t, policy(ceremony.ByInvite))
	alice := ceremony.ServerPrincipal(w.Stranger("alice").Subject, ceremony.UserClient, "")
	_, err := w.EnrollApp(t.Context(), alice, "", ceremony.Leave{})
	want(t, "own token", err, ceremony.ErrInviteRequired)
	// Nor does what a server began do without it.
	e, err := w.EnrollApp(t.Context(), server(alice), "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Confirm(t.Context(), alice, e.ID, w.Code(e.Key), "")
	want(t, "confirming a server's", err, ceremony.ErrInviteRequired)
	_, err = w.Confirm(t.Context(), w.Stranger("alice"), e.ID, w.Code(e.Key), "")
	want(t, "from a browser", err, ceremony.ErrNotFound)
}

// Whoever may choose their own user id must not be taken for another whose alias
// they chose.
func TestS02AliasIsNotShadowed(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	alias := ceremony.UserUUID(alice.Subject)
	mallory := w.Enroll(alias)
	for id, wanted := range map[string]grants.Subject{
		alias: alice.Subject, strings.ToUpper(alias): alice.Subject, "alice": alice.Subject,
		uuid.NewString()[:35]: {}, "{" + alias + "}": {},
	} {
		named := grants.Subject{Tenant: ceremonytest.Tenant, User: id}
		got, err := w.Resolve(t.Context(), named)
		if wanted.IsZero() {
			wanted = named
		}
		if err != nil || got != wanted {
			t.Error(id, got, err)
		}
	}
	if got, err := w.Resolve(t.Context(), grants.Subject{Tenant: "another", User: alias}); err != nil || got.Tenant != "another" || got.User != alias {
		t.Error("another tenant:", got, err)
	}
	token := w.Win(mallory, view).Token.Text()
	who, err := w.Resolve(t.Context(), mallory.Subject)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "mallory's grant for the alias", w.VerifyGrant(t.Context(), ceremony.ServerPrincipal(who, "key_1", ""), view.Action, nil, token), ceremony.ErrNoGrant)
}

// A code that a server sends is good for as long as it says: the challenge that it
// answers is a new one.
func TestServersBeginAnew(t *testing.T) {
	w := ceremonytest.New(t)
	alice := withPhone(w, t, "alice", number)
	first := w.Begin(server(alice), view)
	w.Clock.Advance(3 * time.Minute)
	if second := w.Begin(server(alice), view); second.ID == first.ID || !second.Expires.After(first.Expires) {
		t.Error("a server is given the challenge of before")
	}
	if one, two := w.Begin(alice, view), w.Begin(alice, view); one.ID != two.ID {
		t.Error("a browser is given another challenge for the same")
	}
}

// Without a race too: what was verified once opens nothing any more, on either side.
func TestS03VerifiedOneTimeGrantIsUsedUp(t *testing.T) {
	w := ceremonytest.New(t, lax)
	alice := w.Enroll("alice")
	d := withdraw
	d.AcceptAPI = true
	token, err := prove(w, t, server(alice.Principal), d, w.NextCode(alice.Key))
	if err != nil {
		t.Fatal(err)
	}
	verify := func() error { return w.VerifyGrant(t.Context(), server(alice.Principal), d.Action, &d, token) }
	want(t, "once", verify(), nil)
	want(t, "twice", verify(), ceremony.ErrNoGrant)
	want(t, "at a route", check(w, t, alice.Principal, d, token), ceremony.ErrNoGrant)
	w.Reopen()
	want(t, "after a restart", verify(), ceremony.ErrNoGrant)
}
