package portal

import (
	"encoding/base32"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

func keyOf(t *testing.T, secret string) totp.Key {
	t.Helper()
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return totp.Key{Secret: raw, Params: totp.Default()}
}

type obj = map[string]string

func TestOpenAPIDocumentIsValidAndNamesEveryCall(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	described := 0
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described++
			p, _ := New(Options{Service: new(ceremony.Service), Identify: nobody, Server: new(cameIn), Now: time.Now, Failed: noReport})
			if serve, _, _ := p.find(true, method, strings.ReplaceAll(strings.TrimPrefix(path, "/"), "{id}", "abc")); serve == nil {
				t.Errorf("%s %s is described and not served", method, path)
			}
		}
	}
	served := 0
	for _, r := range routes() {
		if r.api {
			served++
		}
	}
	if served != described {
		t.Errorf("%d calls are served, %d described", served, described)
	}
}

func TestAPIEnrolsAndPassesChallenges(t *testing.T) {
	s := newSite(t)
	c := s.program("alice")
	me := c.call("GET", "/me", nil).want(t, 200)
	if me.json["enrolled"] != false || me.str("user_id") != "alice" {
		t.Fatalf("me: %v", me.json)
	}
	if got := c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).wantCode(t, 409, "not_enrolled"); got.str("enroll_url") != "/.step-up/enroll" {
		t.Errorf("enroll_url: %v", got.json)
	}
	begun := c.call("POST", "/totp", obj{"label": "Phone"}).want(t, 201)
	key := keyOf(t, begun.str("secret"))
	if !strings.HasPrefix(begun.str("otpauth_uri"), "otpauth://totp/Acme%20Intranet:alice?") {
		t.Errorf("otpauth_uri: %s", begun.str("otpauth_uri"))
	}
	c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": "000000"}).wantCode(t, 422, "invalid_code")
	code, _ := totp.Code(key, s.clock.Now())
	done := c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": code}).want(t, 200)
	if codes, _ := done.json["recovery_codes"].([]any); len(codes) != 10 {
		t.Fatalf("recovery codes: %v", done.json)
	}
	c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": code}).wantCode(t, 404, "not_found")

	challenge := c.call("POST", "/challenges", obj{"action_type": "WITHDRAW_FUNDS"}).want(t, 201)
	id := challenge.str("challenge_id")
	if challenge.str("action_type") != "WITHDRAW_FUNDS" || challenge.str("grant_type") != "ONE_TIME_USE" || challenge.json["max_age"] != 120.0 {
		t.Errorf("challenge: %v", challenge.json)
	}
	if again := c.call("GET", "/challenges/"+id, nil).want(t, 200); again.str("challenge_id") != id {
		t.Errorf("challenge: %v", again.json)
	}
	// The code that confirmed the enrollment is used up.
	wrong := c.call("POST", "/challenges/"+id+"/verify", obj{"method": "totp", "code": code}).wantCode(t, 422, "invalid_code")
	if wrong.json["attempts_left"] != 59.0 {
		t.Errorf("attempts_left: %v", wrong.json)
	}
	won := c.prove(&person{key: key}, id).want(t, 200)
	if won.str("grant_type") != "ONE_TIME_USE" || !strings.HasPrefix(won.str("grant"), "sug_") || won.str("resume_url") != "" {
		t.Errorf("won: %v", won.json)
	}
	if set := won.Header.Get("Set-Cookie"); !strings.Contains(set, "SameSite=Strict") || !strings.Contains(set, "__Host-") || !strings.Contains(set, won.str("grant")) {
		t.Errorf("Set-Cookie: %s", set)
	}
	c.prove(&person{key: key}, id).wantCode(t, 404, "not_found")

	me = c.call("GET", "/me", nil).want(t, 200)
	live, _ := me.json["grants"].([]any)
	if len(live) != 1 {
		t.Fatalf("me: %v", me.json)
	}
	grant := live[0].(map[string]any)["id"].(string)
	c.call("DELETE", "/grants/"+grant, nil).want(t, 204)
	c.call("DELETE", "/grants/"+grant, nil).wantCode(t, 404, "not_found")
}

func TestAPIRefusesWhatCannotBegin(t *testing.T) {
	s := newSite(t)
	c := s.program("alice")
	c.enroll()
	c.call("POST", "/challenges", obj{"action_type": "NO_SUCH_ACTION"}).wantCode(t, 404, "not_found")
	c.call("POST", "/challenges", obj{"action_type": grants.ManageAction}).wantCode(t, 404, "not_found")
	c.call("POST", "/challenges", obj{"action_type": "PAY"}).wantCode(t, 409, "request_required")
	c.call("POST", "/challenges", obj{}).wantCode(t, 422, "invalid_request")
}

func TestAPIChallengeExpires(t *testing.T) {
	s := newSite(t)
	c := s.program("alice")
	p := c.enroll()
	id := c.call("POST", "/challenges", obj{"action_type": "VIEW_REPORTS"}).want(t, 201).str("challenge_id")
	s.clock.Add(6 * time.Minute)
	c.call("GET", "/challenges/"+id, nil).wantCode(t, 410, "challenge_expired")
	c.prove(p, id).wantCode(t, 410, "challenge_expired")
	pending := c.program2().call("POST", "/totp", obj{}).want(t, 201).str("id")
	s.clock.Add(16 * time.Minute)
	c.program2().call("POST", "/totp/"+pending+"/confirm", obj{"code": "123456"}).wantCode(t, 410, "challenge_expired")
}

// program2 is a program of another person.
func (c *client) program2() *client { return c.site.program("bob") }

func TestAPIWaitsAfterWrongAnswers(t *testing.T) {
	s := newSite(t)
	c := s.program("alice")
	p := c.enroll()
	id := c.call("POST", "/challenges", obj{"action_type": "VIEW_REPORTS"}).want(t, 201).str("challenge_id")
	for range 5 {
		c.call("POST", "/challenges/"+id+"/verify", obj{"method": "totp", "code": "000000"}).wantCode(t, 422, "invalid_code")
	}
	code, _ := totp.Code(p.key, s.clock.Now().Add(totp.Period))
	got := c.call("POST", "/challenges/"+id+"/verify", obj{"method": "totp", "code": code}).wantCode(t, 429, "too_many_attempts")
	if got.Header.Get("Retry-After") != "30" {
		t.Errorf("Retry-After: %q", got.Header.Get("Retry-After"))
	}
	s.clock.Add(30 * time.Second)
	c.prove(p, id).want(t, 200)
}

func TestAPIRecoveryCodePasses(t *testing.T) {
	s := newSite(t)
	c := s.program("alice")
	p := c.enroll()
	for _, want := range []int{200, 422} {
		id := c.call("POST", "/challenges", obj{"action_type": "VIEW_REPORTS"}).want(t, 201).str("challenge_id")
		c.call("POST", "/challenges/"+id+"/verify", obj{"method": "recovery_code", "code": strings.ToUpper(p.codes[0])}).want(t, want)
	}
	if me := c.call("GET", "/me", nil); me.json["recovery_codes_left"] != 9.0 {
		t.Errorf("me: %v", me.json)
	}
}

func TestAPIInviteAndDenyPolicies(t *testing.T) {
	s := newSite(t, func(set *ceremony.Settings, _ *Options, _ *cameIn) { set.Enrollment = ceremony.ByInvite })
	c := s.program("alice")
	c.call("POST", "/totp", nil).wantCode(t, 403, "forbidden")
	c.call("POST", "/totp", obj{"invite": "sui_wrong"}).wantCode(t, 403, "forbidden")
	invite, hash := invite.New()
	if err := s.service.Invite(t.Context(), grants.Subject{Tenant: "staff", User: "alice"}, hash, s.clock.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s.program("mallory").call("POST", "/totp", obj{"invite": invite}).wantCode(t, 403, "forbidden")
	first, second := c.call("POST", "/totp", obj{"invite": invite}).want(t, 201), c.call("POST", "/totp", obj{"invite": invite}).want(t, 201)
	for i, want := range []int{200, 409} {
		begun := []answer{first, second}[i]
		code, _ := totp.Code(keyOf(t, begun.str("secret")), s.clock.Now())
		c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": code}).want(t, want)
	}

	s = newSite(t, func(set *ceremony.Settings, _ *Options, _ *cameIn) { set.Enrollment = ceremony.Deny })
	s.program("alice").call("POST", "/totp", obj{}).wantCode(t, 403, "forbidden")
}

func TestS14ManagingNeedsAGrantBoundToTheOperation(t *testing.T) {
	s := newSite(t)
	c := s.program("alice")
	p := c.enroll()
	s.clock.Add(48 * time.Hour)
	type op struct {
		method, path string
		in           any
		done         int
	}
	ops := []op{
		{"PATCH", "/authenticators/" + p.id, obj{"label": "Old phone"}, 200},
		{"POST", "/totp", obj{"label": "Tablet"}, 201},
		{"POST", "/recovery-codes", nil, 201},
		{"DELETE", "/authenticators/" + p.id, nil, 204},
	}
	for i, o := range ops {
		refused := c.call(o.method, o.path, o.in).wantCode(t, 401, "insufficient_user_authentication")
		if got := refused.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_user_authentication"`) || !strings.Contains(got, "max_age=120") {
			t.Errorf("WWW-Authenticate: %s", got)
		}
		id := refused.str("challenge_id")
		if refused.str("verify_url") != "/.step-up/challenge/"+id || refused.str("api_url") != "/.step-up/api/challenges/"+id {
			t.Errorf("urls: %v", refused.json)
		}
		methods, _ := refused.json["methods"].([]any)
		if wantBoth := o.path == "/totp"; (len(methods) == 2) != wantBoth {
			t.Errorf("%s %s may be proved with %v", o.method, o.path, methods)
		}
		c.prove(p, id).want(t, 200)
		// The grant is for this operation and for no other.
		for j, other := range ops {
			if j != i && other.path != o.path {
				c.call(other.method, other.path, other.in).wantCode(t, 401, "insufficient_user_authentication")
			}
		}
		c.call(o.method, o.path, o.in).want(t, o.done)
		if o.method != "DELETE" { // after which nothing is left to ask about
			c.call(o.method, o.path, o.in).wantCode(t, 401, "insufficient_user_authentication")
		}
	}
	c.call("DELETE", "/authenticators/"+p.id, nil).wantCode(t, 404, "not_found")
	c.call("POST", "/recovery-codes", nil).wantCode(t, 409, "not_enrolled")
	// The last one is gone: an invite is demanded, whatever the policy.
	c.call("POST", "/totp", nil).wantCode(t, 403, "forbidden")
}

func TestS14RecoveryCodeOnlyAdds(t *testing.T) {
	s := newSite(t)
	c := s.program("alice")
	p := c.enroll()
	s.clock.Add(48 * time.Hour)
	id := c.call("DELETE", "/authenticators/"+p.id, nil).wantCode(t, 401, "insufficient_user_authentication").str("challenge_id")
	c.call("POST", "/challenges/"+id+"/verify", obj{"method": "recovery_code", "code": p.codes[0]}).wantCode(t, 422, "invalid_request")
	id = c.call("POST", "/totp", obj{}).wantCode(t, 401, "insufficient_user_authentication").str("challenge_id")
	c.call("POST", "/challenges/"+id+"/verify", obj{"method": "recovery_code", "code": p.codes[0]}).want(t, 200)
	begun := c.call("POST", "/totp", obj{"label": "New"}).want(t, 201)
	fresh := &person{key: keyOf(t, begun.str("secret"))}
	c.call("POST", "/totp/"+begun.str("id")+"/confirm", obj{"code": fresh.code(c)}).want(t, 200)
	// The new one cannot remove the old one for a day.
	id = c.call("DELETE", "/authenticators/"+p.id, nil).want(t, 401).str("challenge_id")
	c.prove(fresh, id).wantCode(t, 403, "forbidden")
}

func TestS10APITakesOnlyJSONFromTheSiteItself(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	for _, h := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		c.call("POST", "/totp", obj{}, h...).wantCode(t, 403, "cross_origin")
		c.call("DELETE", "/grants/abc", nil, h...).wantCode(t, 403, "cross_origin")
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "application/jsonp"} {
		for _, path := range []string{"/totp", "/recovery-codes", "/challenges"} {
			a := c.send("POST", Prefix+"api"+path, contentType, "", "Content-Type", contentType)
			a.wantCode(t, 415, "unsupported_media_type")
			c.conforms("POST", path, a)
		}
	}
	c.call("POST", "/totp", obj{}, "Content-Encoding", "gzip").wantCode(t, 415, "unsupported_media_type")
	c.call("POST", "/totp", obj{}).want(t, 201)
}

func TestS19APIBodiesAreLimitedAndUnmistakable(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.call("POST", "/totp", `{"label":"`+strings.Repeat("a", maxBody)+`"}`).wantCode(t, 413, "request_too_large")
	c.call("DELETE", "/grants/abc", strings.Repeat("a", maxBody+1)).wantCode(t, 413, "request_too_large")
	c.call("DELETE", "/grants/abc", "{}").wantCode(t, 422, "invalid_request")
	for _, body := range []string{
		`{"label":"a","label":"b"}`, `{"Label":"a"}`, `{"label":"a"} {}`, `{"label":"a"}x`, `{"label":1}`, `{"label":null}`, `{"label":["a"]}`,
		`{"label":{}}`, `[]`, `"a"`, `null`, `{`, `{"label":"a",}`, `{"label":"a" "invite":"b"}`, "\ufeff{}", "{\"label\":\"\xff\"}", `{"other":"a"}`,
		`{"label":"` + strings.Repeat("ä", 65) + `"}`, `{"label":"a\u0000"}`, strings.Repeat("[", 10000),
	} {
		got := c.call("POST", "/totp", body).wantCode(t, 422, "invalid_request")
		if errors, _ := got.json["errors"].([]any); len(errors) != 1 {
			t.Errorf("%.40q: %v", body, got.json)
		}
	}
	p := c.enroll()
	id := c.call("POST", "/challenges", obj{"action_type": "VIEW_REPORTS"}).want(t, 201).str("challenge_id")
	for _, in := range []obj{{}, {"method": "totp"}, {"code": "1"}, {"method": "sms", "code": "1"}, {"method": "totp", "code": strings.Repeat("1", 129)}} {
		c.call("POST", "/challenges/"+id+"/verify", in).wantCode(t, 422, "invalid_request")
	}
	for _, label := range []string{"", "  ", strings.Repeat("a", 65)} {
		c.call("PATCH", "/authenticators/"+p.id, obj{"label": label}).wantCode(t, 422, "invalid_request")
	}
}

func TestUnknownPathsAndMethodsAreAnsweredHere(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	for _, path := range []string{"", "/", "/nope", "/me/", "/ME", "/challenges/a/b/c", "/challenges//verify", "/challenges/a%2fb", "/authenticators/" + strings.Repeat("a", 65), "/../me", "/openapi.yaml"} {
		c.send("GET", Prefix+"api"+path, "", "").wantCode(t, 404, "not_found")
	}
	for _, path := range []string{"nope", "enroll/", "challenge/a/b", "challenge/", "challenge/..", "%61pi/me", "API/me", "authenticators/x"} {
		c.get(Prefix+path).wantPage(t, 404, "Not found")
	}
	got := c.call("PUT", "/me", nil).wantCode(t, 405, "method_not_allowed")
	if got.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %q", got.Header.Get("Allow"))
	}
	if got := c.call("GET", "/authenticators/abc", nil).wantCode(t, 405, "method_not_allowed"); got.Header.Get("Allow") != "DELETE, PATCH" {
		t.Errorf("Allow: %q", got.Header.Get("Allow"))
	}
	if got := c.get(Prefix+"grants/abc/revoke").wantPage(t, 405, "That cannot be done here"); got.Header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", got.Header.Get("Allow"))
	}
	if got := c.send(http.MethodHead, Prefix, "", "").want(t, 200); got.body != "" {
		t.Error("HEAD has a body")
	}
}
