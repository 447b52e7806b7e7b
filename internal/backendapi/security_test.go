package backendapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// A panic, a store that fails and an identity that cannot be told are refusals,
// and tell nothing of what they were about.
func TestS01FailuresAreRefusals(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice")
	grant := w.win(key, "PAY", alice)
	w.serve(func(o *Options) {
		o.Demand = func(string, string) (grants.Demand, bool) { panic("secret " + grant) }
	})
	got := w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant))
	w.mustBe(got, 503, "unavailable")
	if len(w.failed) != 1 || strings.Contains(fmt.Sprint(w.failed, got.text), grant) {
		t.Error(w.failed, got.text)
	}
	// The panic came before the grant was looked at.
	w.serve()
	w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant)), 200)

	w.failed = nil
	broken, err := ceremony.New(ceremony.Options{
		DB:       func(context.Context) (*records.DB, error) { return nil, errors.New("the disk is gone") },
		Settings: ceremony.DefaultSettings(), Factors: []ceremony.Factor{totpapp.Factor{}}, Now: w.Clock.Now,
		Audit: func(context.Context, ceremony.Event) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.serve(func(o *Options) { o.Service = broken })
	for _, path := range []string{verifyTOTPPath, verifyGrantPath, sendPath, verifyPhonePath, enrollPath, verifyPath, backupPath} {
		if got := w.post(path, key, `{}`); got.status != 503 || got.string("error_code")+got.string("error") != "unavailable" {
			t.Error(path, got.status, got.text)
		}
	}
	if got := w.get("/qr/enr_"+strings.Repeat("A", 32)+".png", ""); got.status != 503 {
		t.Error(got.status, got.text)
	}
	if len(w.failed) != 8 {
		t.Error(len(w.failed), "failures were told")
	}
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 003-15: It must match the action_type that was used in either the
//     Verify TOTP Challenge or Send SMS MFA Code APIs.
func TestS02GrantIsGoodForItsUserAndActionOnly(t *testing.T) {
	w := newWorld(t)
	key, alice, bob := w.fullKey(), w.Enroll("alice"), w.Enroll("bob")
	grant := w.win(key, "PAY", alice)
	bobs := w.win(key, "PAY", bob)
	gone := w.win(key, "PAY", alice)
	w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", gone)), 200)
	browser := w.Win(alice, ceremonytest.Demand("PAY", grants.TimeBased, time.Minute)).Token.Text()

	var texts []string
	for _, body := range []string{
		grantBody("PAY", "bob", grant), grantBody("OTHER", "alice", grant), grantBody("PAY", "nobody", grant),
		grantBody("PAY", "alice", bobs), grantBody("PAY", "alice", gone), grantBody("PAY", "alice", "x"),
		grantBody("PAY", "alice", "sug_"+strings.Repeat("A", 43)), grantBody("PAY", "alice", grant+"x"), grantBody("pay", "alice", grant),
		grantBody("OTHER", "alice", browser),
	} {
		got := w.want(w.post(verifyGrantPath, key, body), 400)
		if got.fieldWord("grant") != "grant_not_found" {
			t.Error(got.text)
		}
		texts = append(texts, got.text)
	}
	if len(slices.Compact(texts)) != 1 {
		t.Error("refusals differ:", texts)
	}
	// None of that has used it up.
	w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant)), 200)

	// One that a browser won is good here within what its rule asks today.
	w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", browser)), 200)
	for _, d := range []grants.Demand{
		ceremonytest.Demand("PAY", grants.OneTimeUse, time.Minute),
		ceremonytest.Demand("PAY", grants.TimeBased, time.Minute, grants.Passkey),
	} {
		w.rules[ceremonytest.Tenant+" PAY"] = d
		w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", browser)), 400)
	}
	w.rules["other PAY"] = w.rules[ceremonytest.Tenant+" PAY"] // another tenant's rule is none of this one's
	delete(w.rules, ceremonytest.Tenant+" PAY")
	w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", browser)), 200)

	// The gateway's own are no server's to mint or check.
	manage := w.Manage(alice, ceremony.AddOp)
	if word := w.post(verifyGrantPath, key, grantBody("step_up.manage", "alice", manage)).fieldWord("action_type"); word != "reserved" {
		t.Error(word)
	}
}

// send is do for many at once: without the checks that end a test.
func (w *world) send(to http.Handler, path, key, body string) int {
	r := httptest.NewRequest(http.MethodPost, "https://api.test"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	to.ServeHTTP(rec, r)
	return rec.Code
}

// atOnce counts the 200s among n concurrent sends, half of them to the API as it
// is after a reload.
func (w *world) atOnce(n int, path, key, body string) int {
	w.Helper()
	apis := []*API{w.API}
	w.Configure()
	w.serve()
	apis = append(apis, w.API)
	var passed, others atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			switch code := w.send(apis[i%2], path, key, body); {
			case code == 200:
				passed.Add(1)
			case code < 400:
				others.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	if others.Load() > 0 {
		w.Errorf("%d answers neither pass nor refuse", others.Load())
	}
	return int(passed.Load())
}

func TestS03OneTimeGrantVerifiesOnce(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice")
	for range 3 {
		grant := w.win(key, "PAY", alice)
		if n := w.atOnce(64, verifyGrantPath, key, grantBody("PAY", "alice", grant)); n != 1 {
			t.Fatalf("%d of 64 passed", n)
		}
		w.Reopen()
		w.Configure()
		w.serve()
		w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant)), 400)
	}
	// Whichever side spends it: the browser's one-time grant too.
	d := ceremonytest.Demand("PAY", grants.OneTimeUse, time.Minute)
	w.rules[ceremonytest.Tenant+" PAY"] = d
	won := w.Win(alice, d).Token.Text()
	w.want(w.post(verifyGrantPath, key, grantBody("PAY", "alice", won)), 200)
	if _, err := w.Check(t.Context(), &alice.Principal, &d, [32]byte{}, won); err == nil {
		t.Error("a grant that a server spent opens a route")
	}
}

func TestS04CodeIsGoodOnce(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice")
	body := totpBody("PAY", "alice", w.NextCode(alice.Key))
	if n := w.atOnce(5, verifyTOTPPath, key, body); n != 1 {
		t.Errorf("a code passed %d times", n)
	}
	w.Reopen()
	w.Configure()
	w.serve()
	w.Clock.Advance(time.Hour)
	w.want(w.post(verifyTOTPPath, key, body), 400)

	_, phone := w.withPhone("bob", phoneNumber)
	challenge := w.want(w.post(sendPath, key, sendBody("PAY", "bob", phone)), 200).string("challenge_id")
	if n := w.atOnce(5, verifyPhonePath, key, phoneBody("bob", challenge, w.lastCode(phoneNumber))); n != 1 {
		t.Errorf("a sent code passed %d times", n)
	}

	id, secret := w.begin(key, "carol")
	if n := w.atOnce(5, verifyPath, key, verifyBody(id, w.Code(secret))); n != 1 {
		t.Errorf("a first code passed %d times", n)
	}
	if n := w.atOnce(5, verifyPath, key, verifyBody(id, w.NextCode(secret))); n != 1 {
		t.Errorf("a code passed %d times", n)
	}
}

// Servers that guess lock out each other, since guesses must not grow with the
// number of keys, and never the person's browser.
//
// Statements of the documents, as docs/api.md numbers them:
//
//   - 000-15: Review rate limits in the full API Reference.
func TestS05BudgetIsOneForAllKeys(t *testing.T) {
	w := newWorld(t)
	key, other, alice := w.fullKey(), w.fullKey(), w.Enroll("alice")
	wrong := func() answer { return w.post(verifyTOTPPath, key, totpBody("PAY", "alice", w.WrongCode(alice.Key))) }
	for range 5 {
		w.mustBe(wrong(), 400, "incorrect_mfa_code")
	}
	got := w.post(verifyTOTPPath, key, totpBody("PAY", "alice", w.Code(alice.Key)))
	w.mustBe(got, 429, "too_many_attempts")
	if got.header.Get("Retry-After") != "30" {
		t.Error(got.header)
	}
	// Other challenges, other calls and restarts begin no other budget.
	w.Reopen()
	w.Configure()
	w.serve()
	w.mustBe(wrong(), 429, "too_many_attempts")

	w.mustBe(w.post(verifyTOTPPath, other, totpBody("PAY", "alice", w.Code(alice.Key))), 429, "too_many_attempts")
	w.Win(alice, ceremonytest.Demand("PAY", grants.TimeBased, time.Minute))
	for range 15 {
		w.Clock.Advance(time.Hour)
		w.mustBe(wrong(), 400, "incorrect_mfa_code")
	}
	w.Clock.Advance(24 * time.Hour)
	got = w.post(verifyTOTPPath, key, totpBody("PAY", "alice", w.Code(alice.Key)))
	w.mustBe(got, 429, "too_many_attempts")
	if got.header.Get("Retry-After") != "86400" {
		t.Error(got.header)
	}
	w.mustBe(w.post(verifyTOTPPath, other, totpBody("PAY", "alice", w.Code(alice.Key))), 429, "too_many_attempts")
	w.Win(alice, ceremonytest.Demand("PAY", grants.TimeBased, time.Minute))

	// The quickstart's verify counts on the same budget.
	id, secret := w.enrolled(key, "bob")
	for range 5 {
		w.isError(w.post(verifyPath, key, verifyBody(id, w.WrongCode(secret))), 401, "invalid_totp_code")
	}
	got = w.post(verifyPath, key, verifyBody(id, w.Code(secret)))
	w.isError(got, 429, "too_many_attempts")
	if got.body["verified"] != false || got.header.Get("Retry-After") == "" {
		t.Error(got.text, got.header)
	}
	// Nor is a code sent while none would be looked at.
	_, phone := w.withPhone("carol", phoneNumber)
	challenge := w.want(w.post(sendPath, key, sendBody("PAY", "carol", phone)), 200).string("challenge_id")
	for range 5 {
		w.post(verifyPhonePath, key, phoneBody("carol", challenge, "ABC123"))
	}
	w.mustBe(w.post(verifyPhonePath, key, phoneBody("carol", challenge, w.lastCode(phoneNumber))), 429, "too_many_attempts")
	w.mustBe(w.post(sendPath, key, sendBody("PAY", "carol", phone)), 429, "too_many_attempts")
}

// What was sent and what was given is in no error, event or failure.
func TestS13NothingSecretInAnswersThatRefuse(t *testing.T) {
	w := newWorld(t)
	key, alice := w.fullKey(), w.Enroll("alice")
	_, phone := w.withPhone("bob", phoneNumber)
	var told bytes.Buffer
	note := func(a answer) answer {
		if a.status >= 400 {
			fmt.Fprintln(&told, a.text, a.header)
		}
		return a
	}
	code := w.NextCode(alice.Key)
	grant := note(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", code))).string("step_up_grant")
	note(w.post(verifyTOTPPath, key, totpBody("PAY", "alice", code)))
	note(w.post(verifyGrantPath, key, grantBody("OTHER", "alice", grant)))
	note(w.post(verifyGrantPath, key[:len(key)-1], grantBody("PAY", "alice", grant)))
	note(w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant)))
	note(w.post(verifyGrantPath, key, grantBody("PAY", "alice", grant)))
	challenge := note(w.post(sendPath, key, sendBody("PAY", "bob", phone))).string("challenge_id")
	sent := w.lastCode(phoneNumber)
	note(w.post(verifyPhonePath, key, phoneBody("bob", challenge, sent)))
	note(w.post(verifyPhonePath, key, phoneBody("bob", challenge, sent)))
	note(w.post(sendPath, key, sendBody("PAY", "bob", phone)))
	id, secret := w.begin(key, "carol")
	note(w.post(enrollPath, key, enrollBody("alice")))
	first := w.Code(secret)
	session := note(w.post(verifyPath, key, verifyBody(id, first))).string("session_token")
	note(w.post(verifyPath, key, verifyBody(id, first)))
	note(w.get("/qr/"+id+".png", ""))
	codes := note(w.post(backupPath, key, backupBody("carol"))).body["backup_codes"].([]any)
	note(w.post(backupPath, w.key(ceremonytest.Tenant, nil, apikeys.ScopeEnroll), backupBody("carol")))
	for _, e := range w.Events() {
		fmt.Fprintf(&told, "%+v\n", e)
	}
	fmt.Fprintln(&told, w.failed)

	for name, s := range map[string]string{
		"key": key, "code": code, "grant": grant, "sent code": sent, "first code": first, "session": session,
		"recovery code": codes[0].(string), "phone": strings.TrimPrefix(phoneNumber, "+"), "secret": string(secret.Secret), "enrollment's id": strings.TrimPrefix(id, enrollmentPrefix),
	} {
		for _, form := range []string{s, url.QueryEscape(s), base64.StdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s))} {
			if form == "" || strings.Contains(told.String(), form) {
				t.Errorf("the %s is told as %q", name, form)
			}
		}
	}
}

// Two tenants with the same user id: nothing of one is visible to the other's key,
// not even that it exists.
func TestS18TenantsSeeNothingOfEachOther(t *testing.T) {
	w := newWorld(t)
	own := w.fullKey()
	foreign := w.key("other", []string{apikeys.AnyAction}, apikeys.Scopes()...)
	alice := w.Enroll("alice")
	alias := ceremony.UserUUID(alice.Subject)
	grant := w.win(own, "PAY", alice)
	bob, phone := w.withPhone("bob", phoneNumber)
	challenge := w.want(w.post(sendPath, own, sendBody("PAY", "bob", phone)), 200).string("challenge_id")
	sent := w.lastCode(phoneNumber)
	pending, secret := w.begin(own, "carol")
	enrolled, other := w.enrolled(own, "dave")
	header := http.Header{"X-Tenant-Id": {ceremonytest.Tenant}}

	// Each attempt goes with one about somebody who is nobody anywhere: the answers
	// must be the same.
	w.Clock.Advance(time.Minute)
	code := w.Code(alice.Key)
	nowhere := "enr_" + strings.Repeat("B", 32)
	attempts := []struct{ one, none ask }{
		{ask{method: "GET", path: userPath + "alice/mfa"}, ask{method: "GET", path: userPath + "nobody/mfa"}},
		{ask{method: "GET", path: userPath + alias + "/mfa"}, ask{method: "GET", path: userPath + "nobody/mfa"}},
		{ask{path: userPath + "alice/disable_2fa"}, ask{path: userPath + "nobody/disable_2fa"}},
		{ask{path: userPath + alias + "/disable_2fa"}, ask{path: userPath + "nobody/disable_2fa"}},
		{ask{path: verifyTOTPPath, body: totpBody("PAY", "alice", code)}, ask{path: verifyTOTPPath, body: totpBody("PAY", "nobody", code)}},
		{ask{path: verifyTOTPPath, body: totpBody("PAY", alias, code)}, ask{path: verifyTOTPPath, body: totpBody("PAY", "nobody", code)}},
		{ask{path: verifyGrantPath, body: grantBody("PAY", "alice", grant)}, ask{path: verifyGrantPath, body: grantBody("PAY", "nobody", grant)}},
		{ask{path: verifyGrantPath, body: grantBody("PAY", alias, grant)}, ask{path: verifyGrantPath, body: grantBody("PAY", "nobody", grant)}},
		{ask{path: sendPath, body: sendBody("PAY", "bob", phone)}, ask{path: sendPath, body: sendBody("PAY", "nobody", phone)}},
		{ask{path: sendPath, body: sendBody("PAY", ceremony.UserUUID(bob.Subject), phone)}, ask{path: sendPath, body: sendBody("PAY", "nobody", phone)}},
		{ask{path: verifyPhonePath, body: phoneBody("bob", challenge, sent)}, ask{path: verifyPhonePath, body: phoneBody("nobody", challenge, sent)}},
		{ask{path: verifyPhonePath, body: phoneBody(ceremony.UserUUID(bob.Subject), challenge, sent)}, ask{path: verifyPhonePath, body: phoneBody("nobody", challenge, sent)}},
		{ask{path: verifyPath, body: verifyBody(pending, w.Code(secret))}, ask{path: verifyPath, body: verifyBody(nowhere, "123456")}},
		{ask{path: verifyPath, body: verifyBody(enrolled, w.Code(other))}, ask{path: verifyPath, body: verifyBody(nowhere, "123456")}},
		{ask{path: backupPath, body: backupBody("alice")}, ask{path: backupPath, body: backupBody("nobody")}},
		{ask{path: backupPath, body: backupBody(alias)}, ask{path: backupPath, body: backupBody("nobody")}},
		{ask{method: "GET", path: userPath + "alice/mfa", header: header}, ask{method: "GET", path: userPath + "nobody/mfa", header: header}},
		{ask{path: verifyGrantPath, body: grantBody("PAY", "alice", grant), header: header}, ask{path: verifyGrantPath, body: grantBody("PAY", "nobody", grant), header: header}},
		{ask{path: verifyPath, body: verifyBody(pending, w.Code(secret)), header: header}, ask{path: verifyPath, body: verifyBody(nowhere, "123456"), header: header}},
		{ask{path: enrollPath, body: enrollBody("alice"), header: header}, ask{path: enrollPath, body: enrollBody("nobody"), header: header}},
	}
	if len(attempts) != 20 {
		t.Fatal(len(attempts))
	}
	for _, a := range attempts {
		var got [2]answer
		for i, q := range []ask{a.one, a.none} {
			if q.method == "" {
				q.method = http.MethodPost
			}
			q.key = foreign
			got[i] = w.do(q)
		}
		if got[0].status < 400 {
			t.Errorf("%s succeeds: %s", a.one.path, got[0].text)
		}
		if got[0].status != got[1].status || got[0].text != got[1].text {
			t.Errorf("%s tells:\n%d %s\n%d %s", a.one.path, got[0].status, got[0].text, got[1].status, got[1].text)
		}
	}

	// The same name in the other tenant is somebody else, with an alias of its own,
	// and nothing that was tried has cost the first one anything.
	theirs, key := w.begin(foreign, "alice")
	w.want(w.post(verifyPath, foreign, verifyBody(theirs, w.Code(key))), 200)
	if got := w.get(userPath+ceremony.UserUUID(grants.Subject{Tenant: "other", User: "alice"})+"/mfa", own); got.status != 404 {
		t.Error(got.status, got.text)
	}
	w.want(w.post(userPath+"alice/disable_2fa", foreign, ""), 200)
	w.want(w.post(verifyTOTPPath, own, totpBody("PAY", "alice", code)), 200)
	w.want(w.post(verifyGrantPath, own, grantBody("PAY", "alice", grant)), 200)
	w.want(w.post(verifyPhonePath, own, phoneBody("bob", challenge, sent)), 200)
	w.want(w.post(verifyPath, own, verifyBody(pending, w.Code(secret))), 200)
}

func TestS19EveryInputHasALimit(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.Enroll("alice")
	large := `{"action_type":"PAY","user_id":"alice","grant":"x","more":"` + strings.Repeat("x", 64<<10) + `"}`
	deep := `{"more":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`
	w.mustBe(w.post(verifyGrantPath, key, large), 413, "request_too_large")
	w.isError(w.post(verifyPath, key, large), 413, "request_too_large")
	w.mustBe(w.post(verifyGrantPath, key, deep), 400, "invalid_request")
	for _, test := range []struct{ body, field string }{
		{grantBody("PAY", "alice", strings.Repeat("g", 257)), "grant"},
		{grantBody("PAY", strings.Repeat("u", 257), "g"), "user_id"},
		{grantBody(strings.Repeat("A", 257), "alice", "g"), "action_type"},
	} {
		if word := w.post(verifyGrantPath, key, test.body).fieldWord(test.field); word != "too_long" {
			t.Error(test.field, word)
		}
	}
	for _, test := range []struct{ path, body, field string }{
		{sendPath, sendBody("PAY", "alice", strings.Repeat("p", 65)), "mfa_phone_id"},
		{verifyPhonePath, phoneBody("alice", strings.Repeat("c", 65), "1"), "challenge_id"},
		{verifyPhonePath, phoneBody("alice", "c", strings.Repeat("1", 129)), "code"},
	} {
		if word := w.post(test.path, key, test.body).fieldWord(test.field); word != "too_long" {
			t.Error(test.path, word)
		}
	}
	w.isError(w.post(verifyPath, key, verifyBody(strings.Repeat("e", 65), "1")), 400, "invalid_request")
	w.isError(w.post(enrollPath, key, enrollBody(strings.Repeat("u", 257))), 400, "invalid_request")
	w.want(w.get(userPath+strings.Repeat("u", 257)+"/mfa", key), 400)
	w.want(w.get(userPath+strings.Repeat("u", 5000)+"/mfa", key), 404)
	w.want(w.get(userPath+"alice/mfa", "suk_"+strings.Repeat("k", 5000)), 401)
}

// Codes that are asked for too soon take nothing from the one that was sent.
func TestS19RefusedSendsLeaveTheChallenge(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	_, phone := w.withPhone("bob", phoneNumber)
	challenge := w.want(w.post(sendPath, key, sendBody("PAY", "bob", phone)), 200).string("challenge_id")
	for range 25 {
		w.mustBe(w.post(sendPath, key, sendBody("PAY", "bob", phone)), 429, "too_many_sends")
		w.Clock.Advance(time.Second / 2)
	}
	w.want(w.post(verifyPhonePath, key, phoneBody("bob", challenge, w.lastCode(phoneNumber))), 200)
}
