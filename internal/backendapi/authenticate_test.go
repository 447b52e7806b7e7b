package backendapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

func TestAuthorization(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.Enroll("alice")
	with := func(values ...string) int {
		h := http.Header{}
		if len(values) > 0 {
			h["Authorization"] = values
		}
		w.Clock.Advance(badInterval) // so that bad ones are forgotten
		return w.do(ask{method: http.MethodGet, path: userPath + "alice/mfa", header: h}).status
	}
	for _, good := range []string{"Bearer " + key, "bearer " + key, "BEARER " + key, "Bearer  " + key} {
		if got := with(good); got != 200 {
			t.Errorf("%q: %d", good, got)
		}
	}
	for _, bad := range [][]string{
		{}, {""}, {"Bearer"}, {"Bearer "}, {key}, {"Basic " + key}, {"jwt " + key}, {"Bearer " + key, "Bearer " + key},
		{"Bearer " + key + "x"}, {"Bearer " + key[:len(key)-1]}, {"Bearer " + strings.ToUpper(key)}, {"Bearer " + key + " x"},
		{"Bearer " + key + ", Bearer " + key}, {"Bearer suk_"}, {"Bearer sug_" + key[4:]},
	} {
		if got := with(bad...); got != 401 {
			t.Errorf("%q: %d", bad, got)
		}
	}

	// A key is good until it is revoked or runs out.
	keys, err := w.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeKey(t.Context(), keys[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := with("Bearer " + key); got != 401 {
		t.Error(got)
	}
	text, hash := apikeys.NewKey()
	if _, err := w.CreateKey(t.Context(), hash, apikeys.Key{Tenant: ceremonytest.Tenant, Scopes: []apikeys.Scope{apikeys.ScopeRead}, Expires: w.Clock.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if got := with("Bearer " + text); got != 200 {
		t.Error(got)
	}
	w.Clock.Advance(time.Hour)
	if got := with("Bearer " + text); got != 401 {
		t.Error(got)
	}
}

// Statements of the documents, as docs/api.md numbers them:
//
//   - 000-1: All requests require an Authorization header containing your
//     Bearer Token.
//   - 000-11: Bearer Token is missing or invalid
func TestEachDialectTellsABadKeyInItsOwnWay(t *testing.T) {
	w := newWorld(t)
	got := w.post(verifyGrantPath, "suk_wrong", `{}`)
	w.mustBe(got, 401, "invalid_api_key")
	if got.header.Get("WWW-Authenticate") != "Bearer" {
		t.Error(got.header)
	}
	got = w.post(verifyPath, "suk_wrong", `{}`)
	w.isError(got, 401, "invalid_token")
	if got.body["verified"] != false {
		t.Error(got.text)
	}
}

// Scopes and action types, as policy: who may call what.
func TestScopes(t *testing.T) {
	w := newWorld(t)
	w.Enroll("alice")
	calls := map[string]ask{
		"mfa":     {method: "GET", path: userPath + "alice/mfa"},
		"disable": {method: "POST", path: userPath + "nobody/disable_2fa"},
		"totp":    {method: "POST", path: verifyTOTPPath, body: totpBody("PAY", "alice", "123456")},
		"send":    {method: "POST", path: sendPath, body: sendBody("PAY", "alice", "x")},
		"phone":   {method: "POST", path: verifyPhonePath, body: phoneBody("alice", "x", "123456")},
		"grant":   {method: "POST", path: verifyGrantPath, body: grantBody("PAY", "alice", "x")},
		"enroll":  {method: "POST", path: enrollPath, body: enrollBody("alice")},
		"verify":  {method: "POST", path: verifyPath, body: verifyBody("enr_x", "123456")},
		"backup":  {method: "POST", path: backupPath, body: backupBody("nobody")},
	}
	pay, any, other := []string{"PAY"}, []string{apikeys.AnyAction}, []string{"OTHER", "pay", "PAY2"}
	for _, test := range []struct {
		scope   apikeys.Scope
		actions []string
		may     string
	}{
		{apikeys.ScopeRead, nil, "mfa"},
		{apikeys.ScopeReset, nil, "disable backup"},
		{apikeys.ScopeGrants, nil, "grant"},
		{apikeys.ScopeEnroll, nil, "enroll verify backup"},
		{apikeys.ScopeVerify, pay, "totp send phone verify"},
		{apikeys.ScopeVerify, any, "totp send phone verify"},
		{apikeys.ScopeVerify, other, "phone verify"}, // which find nothing
	} {
		key := w.key(ceremonytest.Tenant, test.actions, test.scope)
		for name, call := range calls {
			call.key = key
			got := w.do(call)
			may := strings.Contains(" "+test.may+" ", " "+name+" ")
			if may == (got.status == 403) {
				t.Errorf("%s %v: %s gives %d %s", test.scope, test.actions, name, got.status, got.text)
			}
		}
	}
}

// A challenge that another key began for an action type that is not this one's.
func TestKeyMintsForItsOwnActionTypesOnly(t *testing.T) {
	w := newWorld(t)
	pay := w.key(ceremonytest.Tenant, []string{"PAY"}, apikeys.ScopeVerify)
	other := w.key(ceremonytest.Tenant, []string{"OTHER"}, apikeys.ScopeVerify)
	_, phone := w.withPhone("bob", phoneNumber)
	challenge := w.want(w.post(sendPath, pay, sendBody("PAY", "bob", phone)), 200).string("challenge_id")
	body := phoneBody("bob", challenge, w.lastCode(phoneNumber))
	w.mustBe(w.post(verifyPhonePath, other, body), 403, "forbidden")
	w.want(w.post(verifyPhonePath, pay, body), 200)
}

func TestTenantHeader(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.Enroll("alice")
	id := ceremony.TenantUUID(ceremonytest.Tenant).String()
	for _, test := range []struct {
		header []string
		status int
	}{
		{nil, 200}, {[]string{"test"}, 200}, {[]string{id}, 200}, {[]string{strings.ToUpper(id)}, 200},
		{[]string{"other"}, 403}, {[]string{"Test"}, 403}, {[]string{ceremony.TenantUUID("other").String()}, 403},
	} {
		h := http.Header{}
		if test.header != nil {
			h["X-Tenant-Id"] = test.header
		}
		for _, call := range []ask{
			{method: "GET", path: userPath + "alice/mfa"},
			{method: "POST", path: backupPath, body: backupBody("alice")},
		} {
			call.key, call.header = key, h
			got := w.do(call)
			if got.status != test.status {
				t.Errorf("%q: %s", test.header, got.text)
			}
			if got.status == 403 && got.string("error_code")+got.string("error") != "tenant_mismatch" {
				t.Error(got.text)
			}
		}
	}
	for _, bad := range [][]string{{""}, {"test", "test"}, {"test", "other"}} {
		if got := w.do(ask{method: "GET", path: userPath + "alice/mfa", key: key, header: http.Header{"X-Tenant-Id": bad}}); got.status < 400 {
			t.Errorf("%q: %d", bad, got.status)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.Enroll("alice")
	call := ask{method: "GET", path: userPath + "alice/mfa", key: key, plain: true}
	w.mustBe(w.do(call), 403, "https_required")
	w.serve(func(o *Options) { o.PlainHTTP = true })
	w.want(w.do(call), 200)
	got := w.want(w.do(ask{method: "POST", path: enrollPath, key: key, plain: true, body: enrollBody("bob")}), 200)
	if !strings.HasPrefix(got.string("qr_code_url"), "http://api.test/qr/enr_") {
		t.Error(got.text)
	}
}

func TestBadKeysAreLimitedByAddress(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.Enroll("alice")
	with := func(key, from string) answer {
		return w.do(ask{method: "GET", path: userPath + "alice/mfa", key: key, from: from})
	}
	const here, neighbour = "[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1"
	// Good ones and none at all are not counted.
	for range 30 {
		w.want(with(key, here), 200)
		w.want(with("", here), 401)
	}
	for i := range badBurst {
		w.want(with("suk_wrong", fmt.Sprintf("[2001:db8:1:2::%x]:1", i)), 401)
	}
	// The address is not listened to, not even with a good one that was not seen
	// before.
	for _, k := range []string{"suk_wrong", w.fullKey()} {
		got := with(k, "[2001:db8:1:2:ffff::9]:80")
		w.mustBe(got, 429, "too_many_requests")
		if got.header.Get("Retry-After") != "3" {
			t.Error(got.header)
		}
	}
	w.want(with(key, neighbour), 200)
	w.want(with(key, "192.0.2.1:5"), 200)
	w.isError(w.do(ask{method: "POST", path: verifyPath, key: "suk_wrong", from: here, body: `{}`}), 429, "too_many_requests")
	// One more in each interval.
	w.Clock.Advance(badInterval)
	w.want(with("suk_wrong", here), 401)
	w.want(with("suk_wrong", here), 429)
	w.Clock.Advance(badInterval)
	w.want(with(key, here), 200)
}

// Whoever shares an address with a server, such as all clients of a proxy that the
// gateway was not told of, cannot silence it with bad keys.
func TestS05BadKeysDoNotSilenceGoodOnes(t *testing.T) {
	w := newWorld(t)
	key, old := w.fullKey(), w.fullKey()
	w.Enroll("alice")
	with := func(key string) answer { return w.do(ask{method: "GET", path: userPath + "alice/mfa", key: key}) }
	w.want(with(key), 200)
	w.want(with(old), 200)
	flood := func() {
		t.Helper()
		for range badBurst {
			with("suk_wrong")
		}
		w.want(with("suk_wrong"), 429)
	}
	flood()
	w.want(with(key), 200)
	w.serve() // a reload in the midst of it
	flood()
	w.want(with(key), 200)
	// One that is none any more is a bad key like others.
	keys, err := w.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.RevokeKey(t.Context(), keys[1].ID); err != nil {
		t.Fatal(err)
	}
	statuses := func() map[int]int { return map[int]int{with(key).status: 1, with(old).status: 2} }
	if got := statuses(); got[200] == 0 || got[401] == 0 {
		t.Error(got)
	}
	if got := statuses(); got[200] == 0 || got[429] == 0 {
		t.Error(got)
	}
}

func TestGoodKeysNeedBoundedMemory(t *testing.T) {
	g := goodKeys{seen: make(map[[32]byte]struct{})}
	for i := range maxGoodKeys + 10 {
		g.add(fmt.Sprint(i))
	}
	if len(g.seen) > maxGoodKeys || !g.has(fmt.Sprint(maxGoodKeys+9)) {
		t.Error(len(g.seen))
	}
}

func TestBadKeysNeedBoundedMemory(t *testing.T) {
	b, now := newBadKeys(), time.Date(2027, 1, 15, 12, 0, 0, 0, time.UTC)
	for i := range maxBadAddresses + 1000 {
		b.count(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now)
	}
	if len(b.clear) != maxBadAddresses {
		t.Error(len(b.clear))
	}
	// The latest is among them.
	for range badBurst {
		b.count("192.0.2.1", now)
	}
	if wait := b.wait("192.0.2.1", now); wait != badInterval {
		t.Error(wait)
	}
	for _, same := range [][2]string{{"192.0.2.1:80", "::ffff:192.0.2.1"}, {"2001:db8::1", "[2001:db8::2]:5"}, {"fe80::1%eth0", "fe80::2%eth1"}, {"x", "x"}} {
		if originOf(same[0]) != originOf(same[1]) {
			t.Error(same)
		}
	}
	for _, other := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"}, {"x", "y"}, {"::192.0.2.1", "192.0.2.1"}} {
		if originOf(other[0]) == originOf(other[1]) {
			t.Error(other)
		}
	}
}

// A user's own token may be a cookie: what another site has a browser send is
// refused before anybody is identified.
func TestS10UsersAreNotIdentifiedForOtherSites(t *testing.T) {
	asked := 0
	w := newWorld(t, func(o *Options) {
		o.Identify = func(*http.Request) (grants.Subject, error) {
			asked++
			return grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}, nil
		}
	})
	enroll := func(header http.Header) answer {
		header["X-Tenant-Id"] = []string{ceremonytest.Tenant}
		return w.do(ask{method: "POST", path: "/v1/users/me/mfa/totp", header: header})
	}
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}}, {"Origin": {"https://evil.example"}}, {"Origin": {"null"}},
	} {
		if got := enroll(header); got.status != 403 || got.string("code") != "cross_origin" {
			t.Errorf("%v: %d %s", header, got.status, got.text)
		}
	}
	if asked != 0 {
		t.Error("somebody was identified")
	}
	w.want(enroll(http.Header{}), 201)
}
