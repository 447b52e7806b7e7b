package ceremony_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// answers are the errors that mean something else than a failing store.
var answers = []error{ceremony.ErrNoGrant, ceremony.ErrNotFound, ceremony.ErrExpired, ceremony.ErrNotEnrolled, ceremony.ErrVoided, ceremony.ErrInvalidCode,
	ceremony.ErrTooManyAttempts, ceremony.ErrInviteRequired, ceremony.ErrEnrollmentDenied, ceremony.ErrManageRequired, ceremony.ErrMethodNotAccepted,
	ceremony.ErrAuthenticatorTooNew, ceremony.ErrLimit, ceremony.ErrInvalid}

// verbs does everything that p can with what is alice's.
func verbs(ctx context.Context, w *ceremonytest.World, p ceremony.Principal, challenge, pending, token string, id grants.ID, authenticator string) map[string]error {
	errs := make(map[string]error)
	_, errs["Check"] = w.Check(ctx, &p, &view, [32]byte{}, token)
	_, errs["Describe"] = w.Describe(ctx, p, challenge)
	_, errs["Verify"] = w.Verify(ctx, p, challenge, ceremony.Answer{Method: grants.TOTP, Code: "123456"})
	_, errs["Pending"] = w.Pending(ctx, p, pending)
	_, errs["Confirm"] = w.Confirm(ctx, p, pending, "123456", challenge)
	errs["RevokeGrant"] = w.RevokeGrant(ctx, p, ceremony.GrantID(id))
	errs["MayManage"] = w.MayManage(ctx, p, ceremony.AddOp, token)
	_, errs["Rename"] = w.Rename(ctx, p, authenticator, "x", token)
	errs["Remove"] = w.Remove(ctx, p, authenticator, token)
	_, errs["SendCode"] = w.SendCode(ctx, p, challenge, "")
	_, errs["SendFirstCode"] = w.SendFirstCode(ctx, p, pending)
	errs["VerifyGrant"] = w.VerifyGrant(ctx, p, view.Action, nil, token)
	_, errs["RenewRecoveryCodes"] = w.RenewRecoveryCodes(ctx, p, token)
	return errs
}

// Neither nobody nor a failing database ever gets a pass or an answer that means
// something else.
func TestS01NobodyAndAFailingStoreAreRefused(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	won := w.Win(alice, view)
	c := w.Begin(alice.Principal, view)
	ctx := t.Context()
	pending := strings.Repeat("A", 32)
	refused := func(who string, p ceremony.Principal) {
		t.Helper()
		errs := verbs(ctx, w, p, c.ID, pending, won.Token.Text(), won.ID, alice.Authenticator.ID)
		_, errs["Begin"] = w.Service.Begin(ctx, p, ceremony.Ask{Demand: view})
		_, errs["Enroll"] = w.EnrollApp(ctx, p, "", ceremony.Leave{})
		_, errs["Prove"] = w.Prove(ctx, p, view, ceremony.Answer{Method: grants.TOTP, Code: "123456"})
		_, errs["EnrolPhone"] = w.EnrollPhone(ctx, p, "", "+4915123456789", "", ceremony.Leave{})
		_, errs["FirstRecoveryCodes"] = w.FirstRecoveryCodes(ctx, p, ceremony.FirstOnly)
		_, errs["Account"] = w.Account(ctx, p)
		_, errs["Activity"] = w.Activity(ctx, p)
		_, errs["Spend"] = w.Spend(ctx, &p, &ceremony.Pass{ID: won.ID, Grant: won.Grant})
		_, errs["User"] = w.User(ctx, p.Subject)
		_, errs["Revoke"] = w.Revoke(ctx, p.Subject, "")
		errs["MayEnrol"], errs["Reset"], errs["Unlock"] = w.MayEnroll(ctx, p), w.Reset(ctx, p.Subject), w.Unlock(ctx, p.Subject)
		for verb, err := range errs {
			if err == nil {
				t.Errorf("%s, %s: no error", who, verb)
			}
			for _, a := range answers {
				if errors.Is(err, a) {
					t.Errorf("%s, %s: %v", who, verb, err)
				}
			}
		}
	}
	refused("nobody", ceremony.Principal{Session: alice.Session, Browser: alice.Browser, Subject: grants.Subject{Tenant: ceremonytest.Tenant}})
	if _, err := w.FormToken(ctx, ceremony.Principal{}); err == nil {
		t.Error("a form for nobody")
	}
	w.Reopen() // nothing is cached
	if err := w.DB.Close(); err != nil {
		t.Fatal(err)
	}
	refused("closed store", alice.Principal)
	if w.Ping(ctx) == nil {
		t.Error("a closed database answers")
	}
}

// Strangers cannot tell whether a subject is unknown, unenrolled, enrolled,
// locked or reset: whatever they try on it gets the same answers.
func TestS18SubjectsLookAlikeToStrangers(t *testing.T) {
	w := ceremonytest.New(t)
	mallory := w.Enroll("mallory")
	probe := func(name, challenge, pending, token string, id grants.ID, authenticator string) string {
		t.Helper()
		var told []string
		for verb, err := range verbs(t.Context(), w, mallory.Principal, challenge, pending, token, id, authenticator) {
			told = append(told, fmt.Sprintf("%s: %v", verb, err))
			if err == nil {
				t.Errorf("%s: %s is done", name, verb)
			}
		}
		c, err := w.Describe(t.Context(), mallory.Principal, w.Begin(mallory.Principal, view).ID)
		if err != nil || c.AttemptsLeft != 60 {
			t.Errorf("%s: mallory's own budget: %d, %v", name, c.AttemptsLeft, err)
		}
		w.Clock.Advance(time.Minute)
		return sorted(told)
	}
	const nothing = "AAAAAAAAAAAAAAAAAAAAAA"
	_, never := grants.Issue(view, grants.Holder{}, grants.Binding{}, grants.TOTP, w.Clock.Now())
	unknown := probe("unknown", nothing, nothing, never.Text(), never.ID(), "AAAAAAAAAAAAAAAA")

	unenrolled := w.Stranger("unenrolled")
	begun, err := w.EnrollApp(t.Context(), unenrolled, "", ceremony.Leave{})
	if err != nil {
		t.Fatal(err)
	}
	same := func(name, got string) {
		t.Helper()
		if got != unknown {
			t.Errorf("%s differs from unknown:\n%s\n--\n%s", name, got, unknown)
		}
	}
	same("unenrolled", probe("unenrolled", w.Begin(unenrolled, view).ID, begun.ID, never.Text(), never.ID(), "AAAAAAAAAAAAAAAA"))
	alice := w.Enroll("alice")
	won := w.Win(alice, view)
	same("enrolled", probe("enrolled", w.Begin(alice.Principal, view).ID, begun.ID, won.Token.Text(), won.ID, alice.Authenticator.ID))
	exhaust(w, t, alice.Principal, alice.Key)
	same("locked", probe("locked", w.Begin(alice.Principal, view).ID, begun.ID, won.Token.Text(), won.ID, alice.Authenticator.ID))
	if err := w.Reset(t.Context(), alice.Subject); err != nil {
		t.Fatal(err)
	}
	same("reset", probe("reset", w.Begin(alice.Principal, view).ID, begun.ID, won.Token.Text(), won.ID, alice.Authenticator.ID))
}

func sorted(lines []string) string {
	for i := range lines {
		for j := range i {
			if lines[i] < lines[j] {
				lines[i], lines[j] = lines[j], lines[i]
			}
		}
	}
	return strings.Join(lines, "\n")
}

func TestS19InputsHaveLimits(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	p, ctx := alice.Principal, t.Context()
	c := w.Begin(p, view)
	field := func(name string, err error, wanted string) {
		t.Helper()
		var f *ceremony.Field
		if !errors.As(err, &f) || f.Name != wanted || len(err.Error()) > 120 {
			t.Errorf("%s: got %v, want what is wrong with %s", name, err, wanted)
		}
	}
	for _, code := range []string{"", strings.Repeat("1", 129)} {
		_, err := w.Verify(ctx, p, c.ID, ceremony.Answer{Method: grants.TOTP, Code: code})
		field("code", err, "code")
	}
	d, err := w.Describe(ctx, p, c.ID)
	if err != nil || d.AttemptsLeft != 60 {
		t.Error("answers out of form were counted:", d.AttemptsLeft, err)
	}
	for _, label := range []string{strings.Repeat("ä", 65), "a\nb", "a\x00", "\xff", "a\u202eb", "a\u2066b", "a\u0085b", "a\u2028b"} {
		_, err := w.EnrollApp(ctx, p, label, ceremony.Leave{})
		field(fmt.Sprintf("label %q", label), err, "label")
		_, err = w.Rename(ctx, p, alice.Authenticator.ID, label, "")
		field(fmt.Sprintf("label %q", label), err, "label")
	}
	_, err = w.Rename(ctx, p, alice.Authenticator.ID, "  ", "")
	field("no label", err, "label")
	_, err = w.Service.Begin(ctx, p, ceremony.Ask{Demand: view, ReturnTo: "/" + strings.Repeat("x", ceremony.MaxReturnTo)})
	field("return target", err, "return_to")
	for _, op := range []ceremony.Operation{"", "x", "remove:", "rename:", "remove:" + ceremony.Operation(strings.Repeat("x", 64)), "remove:\n"} {
		_, err = w.BeginManage(ctx, p, op, "", "", "")
		field(fmt.Sprintf("operation %q", op), err, "operation")
	}
	for _, user := range []string{strings.Repeat("x", 257), "a\x00b", "a\nb", "\xff"} {
		s := w.Stranger(user)
		_, err = w.Service.Begin(ctx, s, ceremony.Ask{Demand: view})
		field("user id", err, "user_id")
		field("user id", w.Reset(ctx, s.Subject), "user_id")
		field("user id", w.Invite(ctx, s.Subject, [32]byte{}, w.Clock.Now().Add(1)), "user_id")
	}
	field("invite", w.Invite(ctx, p.Subject, [32]byte{}, w.Clock.Now()), "expires")
	for _, id := range []string{"", c.ID + "=", c.ID[:10] + "\n" + c.ID[10:], c.ID[:21], strings.Repeat("A", 1<<20), c.ID[:21] + "_"} {
		_, err := w.Describe(ctx, p, id)
		want(t, "challenge id", err, ceremony.ErrNotFound)
		_, err = w.Pending(ctx, p, id)
		want(t, "enrollment id", err, ceremony.ErrNotFound)
	}
	if _, err := w.Service.Begin(ctx, p, ceremony.Ask{}); err == nil {
		t.Error("a challenge for no action was begun")
	}
}

// Nobody fills the disk: old challenges and pending enrollments make room for new
// ones, browsers are forgotten, and of the rest there is no more at some point.
func TestS19RecordsOfASubjectAreBounded(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	ctx, h := t.Context(), w.DB.Holder(alice.Subject)
	ask := func(p ceremony.Principal, n int) string {
		c, err := w.Service.Begin(ctx, p, ceremony.Ask{Demand: view, ReturnTo: fmt.Sprintf("/%d", n)})
		if err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Millisecond)
		return c.ID
	}
	first := ask(alice.Principal, 0)
	if ask(alice.Principal, 0) != first {
		t.Error("the live challenge was not used again")
	}
	for n := range 30 {
		ask(alice.Principal, n+1)
	}
	_, err := w.Describe(ctx, alice.Principal, first)
	want(t, "the oldest challenge", err, ceremony.ErrNotFound)
	count := func() int {
		rows, err := w.DB.Challenges.List(ctx, h, nil, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	if count() != 20 {
		t.Errorf("%d challenges in a browser", count())
	}
	for n := range 230 {
		ask(browser(alice.Principal, n), n)
	}
	if count() != 200 {
		t.Errorf("%d challenges in all browsers", count())
	}
	// At once, each may find room for one more; the next makes up for it.
	atOnce(32, func(i int) {
		w.Service.Begin(ctx, alice.Principal, ceremony.Ask{Demand: view, ReturnTo: fmt.Sprintf("/at-once/%d", i)})
	})
	for n := range 5 {
		ask(alice.Principal, 1000+n)
	}
	if count() > 200 {
		t.Errorf("%d challenges after a rush", count())
	}

	bob := w.Stranger("bob")
	for range 30 {
		if _, err := w.EnrollApp(ctx, bob, "", ceremony.Leave{}); err != nil {
			t.Fatal(err)
		}
	}
	if rows, err := w.DB.Pendings.List(ctx, w.DB.Holder(bob.Subject), nil, 1000); err != nil || len(rows) != 20 {
		t.Error("pending enrollments:", len(rows), err)
	}

	for n := range 60 {
		p := *alice
		p.Principal = browser(alice.Principal, n)
		w.Win(&p, view)
	}
	if rows, err := w.DB.Devices.List(ctx, h, nil, 1000); err != nil || len(rows) != 50 {
		t.Error("remembered browsers:", len(rows), err)
	}
	if account, err := w.Account(ctx, alice.Principal); err != nil || len(account.Grants) == 0 {
		t.Error(len(account.Grants), err)
	}

	for n := range 20 {
		if err := w.Invite(ctx, alice.Subject, [32]byte{byte(n)}, w.Clock.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "invites", w.Invite(ctx, alice.Subject, [32]byte{99}, w.Clock.Now().Add(time.Hour)), ceremony.ErrLimit)
	w.Clock.Advance(time.Hour)
	want(t, "after they ended", w.Invite(ctx, alice.Subject, [32]byte{99}, w.Clock.Now().Add(time.Hour)), nil)
	want(t, "the same again", w.Invite(ctx, alice.Subject, [32]byte{99}, w.Clock.Now().Add(time.Hour)), ceremony.ErrInvalid)

	for range 9 {
		add(w, t, alice)
	}
	_, err = w.EnrollApp(ctx, alice.Principal, "", ceremony.Leave{Manage: w.Manage(alice, ceremony.AddOp)})
	want(t, "authenticators", err, ceremony.ErrLimit)
}

func TestUsersArePaged(t *testing.T) {
	w := ceremonytest.New(t)
	for i := range 7 {
		w.Enroll(fmt.Sprint("user", i))
	}
	other := w.Stranger("elsewhere")
	other.Tenant = "other"
	w.EnrollAs(other, ceremony.Leave{})
	for tenant, wanted := range map[string]int{"": 8, ceremonytest.Tenant: 7, "other": 1, "none": 0} {
		seen := make(map[grants.Subject]bool)
		for cursor, pages := []byte(nil), 0; ; pages++ {
			users, next, err := w.Users(t.Context(), tenant, cursor, 3)
			if err != nil || len(users) > 3 || pages > 4 {
				t.Fatal(len(users), pages, err)
			}
			for _, u := range users {
				seen[u.Subject] = true
			}
			if cursor = next; len(cursor) == 0 {
				break
			}
		}
		if len(seen) != wanted {
			t.Errorf("tenant %q: %d users, want %d", tenant, len(seen), wanted)
		}
	}
	if users, _, err := w.Users(t.Context(), "", nil, -5); err != nil || len(users) != 1 {
		t.Error("limit out of range:", len(users), err)
	}
	_, err := w.User(t.Context(), w.Stranger("unknown").Subject)
	want(t, "unknown user", err, ceremony.ErrNotFound)
}

// Whoever has the password, and ever new browsers, cannot end the challenge that
// the person is about to pass in a browser of their own.
func TestS05StrangersDoNotCrowdOutTheOwner(t *testing.T) {
	w := ceremonytest.New(t)
	alice := w.Enroll("alice")
	w.Win(alice, view) // so that the browser is known
	c := w.Begin(alice.Principal, withdraw)
	for n := range 450 {
		w.Clock.Advance(time.Millisecond)
		w.Begin(browser(alice.Principal, n), view)
	}
	rows, err := w.DB.Challenges.List(t.Context(), w.DB.Holder(alice.Subject), nil, 10_000)
	if err != nil || len(rows) != 200 {
		t.Error(len(rows), "challenges", err)
	}
	w.Pass(alice, c)
	// Where all browsers are known, the oldest go as before.
	for n := range 15 {
		p := *alice
		p.Principal = browser(alice.Principal, n)
		w.Win(&p, view)
		for i := range 20 {
			w.Clock.Advance(time.Millisecond)
			if _, err := w.Service.Begin(t.Context(), p.Principal, ceremony.Ask{Demand: view, ReturnTo: fmt.Sprint("/", i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rows, err = w.DB.Challenges.List(t.Context(), w.DB.Holder(alice.Subject), nil, 10_000); err != nil || len(rows) > 200 {
		t.Error(len(rows), "challenges in known browsers", err)
	}
}
