package jwtauth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/jwtauth"
)

const secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestKinds: each kind of key verifies with its usual algorithm, and with those
// that are listed.
func TestKinds(t *testing.T) {
	var c clock
	r := rsaKeys()[0]
	for _, k := range []struct {
		text    string
		private any
		usual   string
		all     []string
	}{
		{secret, []byte(secret), "HS256", []string{"HS256", "HS384", "HS512"}},
		{secret + "\n", []byte(secret), "HS256", []string{"HS256"}},
		{pemOf(t, r.Public()), r, "RS256", []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
		{pemOf(t, ecKeys()["ES256"].Public()), ecKeys()["ES256"], "ES256", []string{"ES256"}},
		{pemOf(t, ecKeys()["ES384"].Public()), ecKeys()["ES384"], "ES384", []string{"ES384"}},
		{pemOf(t, ecKeys()["ES512"].Public()), ecKeys()["ES512"], "ES512", []string{"ES512"}},
		{pemOf(t, edKey().Public()), edKey(), "EdDSA", []string{"EdDSA"}},
	} {
		o := jwtauth.Options{Bearer: true, Keys: []jwtauth.Key{parseKey(t, k.text)}, Issuer: issuerName, Audiences: []string{"other", audience}, Now: c.now}
		usual := verifier(t, o)
		o.Algorithms = k.all
		listed := verifier(t, o)
		for _, a := range k.all {
			token := sign(t, a, k.private, good(c.now(), nil), nil)
			want := jwtauth.Claims{User: "alice", Session: "session-1"}
			if got, err := listed.Identify(bearer(token)); got != want || err != nil {
				t.Errorf("%s: %+v, %v", a, got, err)
			}
			if got, err := usual.Identify(bearer(token)); (err == nil) != (a == k.usual) {
				t.Errorf("%s with the usual algorithm alone: %+v, %v", a, got, err)
			}
		}
	}
}

// TestS01Tokens is the table of tokens that name nobody.
func TestS01Tokens(t *testing.T) {
	var c clock
	now := c.now()
	r, other := rsaKeys()[0], rsaKeys()[1]
	public := pemOf(t, r.Public())
	rs := verifier(t, jwtauth.Options{Bearer: true, Keys: []jwtauth.Key{parseKey(t, public)}, Issuer: issuerName, Audiences: []string{audience}, Now: c.now})
	es := verifier(t, jwtauth.Options{Bearer: true, Keys: []jwtauth.Key{parseKey(t, pemOf(t, ecKeys()["ES384"].Public()))}, Issuer: issuerName, Audiences: []string{audience}, Now: c.now})
	der, err := x509.MarshalPKIXPublicKey(r.Public())
	if err != nil {
		t.Fatal(err)
	}
	accepted := sign(t, "RS256", r, good(now, nil), nil)
	if _, err := rs.Identify(bearer(accepted)); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(accepted, ".")
	encode := base64.RawURLEncoding.EncodeToString
	mine := func(changes map[string]any) string { return sign(t, "RS256", r, good(now, changes), nil) }
	with := func(header map[string]any) string { return sign(t, "RS256", r, good(now, nil), header) }
	for _, c := range []struct {
		name, token string
		v           *jwtauth.Verifier
	}{
		{"none", sign(t, "none", jwt.UnsafeAllowNoneSignatureType, good(now, nil), nil), rs},
		{"none, without a signature", encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", rs},
		{"None", encode([]byte(`{"alg":"None"}`)) + "." + parts[1] + ".", rs},
		{"nothing", encode([]byte(`{}`)) + "." + parts[1] + "." + parts[2], rs},
		{"signature missing", parts[0] + "." + parts[1] + ".", rs},
		{"HS256 with the RSA key's PEM", sign(t, "HS256", []byte(public), good(now, nil), nil), rs},
		{"HS256 with the PEM trimmed", sign(t, "HS256", []byte(strings.TrimSpace(public)), good(now, nil), nil), rs},
		{"HS256 with the RSA key's DER", sign(t, "HS256", der, good(now, nil), nil), rs},
		{"HS256 with nothing", sign(t, "HS256", []byte{}, good(now, nil), nil), rs},
		{"another algorithm of the key", sign(t, "PS256", r, good(now, nil), nil), rs},
		{"ES256 to a P-384 key", sign(t, "ES256", ecKeys()["ES256"], good(now, nil), nil), es},
		{"a key of another kind", sign(t, "EdDSA", edKey(), good(now, nil), nil), rs},
		{"another's key", sign(t, "RS256", other, good(now, nil), nil), rs},
		{"its own key along", sign(t, "RS256", other, good(now, nil), map[string]any{"jwk": jwkOf(t, other.Public(), nil), "jku": "http://localhost/", "x5u": "http://localhost/"}), rs},
		{"changed claims", parts[0] + "." + encode([]byte(`{"sub":"mallory"}`)) + "." + parts[2], rs},
		{"critical extension", with(map[string]any{"crit": []string{"b64"}, "b64": false}), rs},
		{"expired", mine(map[string]any{"exp": now.Add(-31 * time.Second).Unix()}), rs},
		{"no expiry", mine(map[string]any{"exp": nil}), rs},
		{"expiry as text", mine(map[string]any{"exp": "9999999999"}), rs},
		{"not yet", mine(map[string]any{"nbf": now.Add(31 * time.Second).Unix()}), rs},
		{"issued in the future", mine(map[string]any{"iat": now.Add(31 * time.Second).Unix()}), rs},
		{"wrong audience", mine(map[string]any{"aud": "shop"}), rs},
		{"wrong audiences", mine(map[string]any{"aud": []string{"shop", "intranet2"}}), rs},
		{"no audience", mine(map[string]any{"aud": nil}), rs},
		{"wrong issuer", mine(map[string]any{"iss": "https://id.example.com"}), rs},
		{"no issuer", mine(map[string]any{"iss": nil}), rs},
		{"no user", mine(map[string]any{"sub": nil}), rs},
		{"empty user", mine(map[string]any{"sub": " "}), rs},
		{"an object as user", mine(map[string]any{"sub": map[string]any{"name": "alice"}}), rs},
		{"a list as user", mine(map[string]any{"sub": []string{"alice"}}), rs},
		{"two parts", parts[0] + "." + parts[1], rs},
		{"four parts", accepted + "." + parts[2], rs},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], rs},
		{"not base64", "!." + parts[1] + "." + parts[2], rs},
		{"not JSON", encode([]byte("x")) + "." + parts[1] + "." + parts[2], rs},
		{"empty", "", rs},
		{"too large", mine(map[string]any{"x": strings.Repeat("x", 8<<10)}), rs},
	} {
		got, err := c.v.Identify(bearer(c.token))
		if got != (jwtauth.Claims{}) || !errors.Is(err, identity.ErrNobody) {
			t.Errorf("%s: %+v, %v, want nobody", c.name, got, err)
		}
		for _, part := range strings.Split(c.token, ".") {
			if len(part) > 8 && err != nil && strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error quotes the token: %v", c.name, err)
			}
		}
	}
}

// A claim that stands twice in a token can be read in two ways.
func TestS21ClaimTwice(t *testing.T) {
	var c clock
	v := verifier(t, jwtauth.Options{Bearer: true, Keys: []jwtauth.Key{parseKey(t, secret)}, Audiences: nil, Now: c.now})
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256"}`)) + "." + encode([]byte(`{"exp":1700000100,"sub":"alice","sub":"mallory"}`))
	signature, err := jwt.SigningMethodHS256.Sign(text, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Identify(bearer(text + "." + encode(signature))); !errors.Is(err, identity.ErrNobody) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestS21TwoTokens: of two tokens, wherever they stand, neither is believed.
func TestS21TwoTokens(t *testing.T) {
	var c clock
	token := func(user string) string {
		return sign(t, "HS256", []byte(secret), good(c.now(), map[string]any{"sub": user}), nil)
	}
	a, m := token("alice"), token("mallory")
	o := jwtauth.Options{Keys: []jwtauth.Key{parseKey(t, secret)}, Issuer: issuerName, Audiences: []string{audience}, Now: c.now}
	make := func(cookie string, bearer bool) *jwtauth.Verifier {
		o.Cookie, o.Bearer = cookie, bearer
		return verifier(t, o)
	}
	both, cookie, header := make("token", true), make("token", false), make("", true)
	for _, k := range []struct {
		name  string
		v     *jwtauth.Verifier
		query string
		auth  []string
		lines []string
		want  string // "" nobody, "!" ambiguous
	}{
		{"both places, the same", both, "", []string{"Bearer " + a}, []string{"token=" + a}, "alice"},
		{"bearer alone", both, "", []string{"bearer " + a}, []string{"x=y"}, "alice"},
		{"cookie alone", both, "", nil, []string{"x=y; token=" + a}, "alice"},
		{"a password beside the cookie", both, "", []string{"Basic YTpi"}, []string{"token=" + a}, "alice"},
		{"both places, different", both, "", []string{"Bearer " + a}, []string{"token=" + m}, "!"},
		{"both places, the other way round", both, "", []string{"Bearer " + m}, []string{"token=" + a}, "!"},
		{"an expired one beside a good one", both, "", []string{"Bearer x"}, []string{"token=" + a}, "!"},
		{"an empty one beside a good one", both, "", []string{"Bearer"}, []string{"token=" + a}, "!"},
		{"two fields", both, "", []string{"Bearer " + a, "Bearer " + m}, nil, "!"},
		{"the same field twice", both, "", []string{"Bearer " + a, "Bearer " + a}, nil, "!"},
		{"two in one field", both, "", []string{"Bearer " + a + ", Bearer " + m}, nil, ""},
		{"two cookies", both, "", nil, []string{"token=" + a + "; token=" + m}, "!"},
		{"two cookies, the other way round", both, "", nil, []string{"token=" + m + "; token=" + a}, "!"},
		{"the same cookie twice", both, "", nil, []string{"token=" + a + "; token=" + a}, "!"},
		{"two lines", both, "", nil, []string{"token=" + a, "token=" + m}, "!"},
		{"two spellings", both, "", nil, []string{"token=" + a + "; Token=" + m}, "!"},
		{"in the URL too", both, "access_token=" + m, []string{"Bearer " + a}, nil, "!"},
		{"in the URL, encoded", both, "x=1;access%5ftoken=" + m, nil, []string{"token=" + a}, "!"},
		{"in the URL alone", both, "access_token=" + a, nil, nil, ""},
		{"bearer where the cookie counts", cookie, "", []string{"Bearer " + a}, nil, ""},
		{"another bearer beside the cookie", cookie, "", []string{"Bearer " + m}, []string{"token=" + a}, "!"},
		{"cookie where the bearer counts", header, "", nil, []string{"token=" + a}, ""},
		{"nothing", both, "", nil, nil, ""},
	} {
		r := httptest.NewRequest("GET", "/?"+k.query, nil)
		r.Header["Authorization"], r.Header["Cookie"] = k.auth, k.lines
		got, err := k.v.Identify(r)
		switch k.want {
		case "!":
			if got.User != "" || !errors.Is(err, identity.ErrAmbiguous) {
				t.Errorf("%s: %+v, %v, want ambiguous", k.name, got, err)
			}
		case "":
			if got.User != "" || !errors.Is(err, identity.ErrNobody) {
				t.Errorf("%s: %+v, %v, want nobody", k.name, got, err)
			}
		default:
			if got.User != k.want || err != nil {
				t.Errorf("%s: %+v, %v, want %s", k.name, got, err, k.want)
			}
		}
	}
}

// TestS17Session: the session is the claim's, and where one was asked for a token
// without it is none.
func TestS17Session(t *testing.T) {
	var c clock
	o := jwtauth.Options{Bearer: true, Keys: []jwtauth.Key{parseKey(t, secret)}, Issuer: issuerName, Audiences: []string{audience}, Now: c.now}
	usual := verifier(t, o)
	o.Session, o.User, o.Tenant = "/login/id", "https://example.com/name", "org"
	asked := verifier(t, o)
	further := map[string]any{"https://example.com/name": "Alice", "org": "acme", "login": map[string]any{"id": 7}}
	for _, k := range []struct {
		v       *jwtauth.Verifier
		changes map[string]any
		want    jwtauth.Claims
	}{
		{usual, nil, jwtauth.Claims{User: "alice", Session: "session-1"}},
		{usual, map[string]any{"sid": "session-2"}, jwtauth.Claims{User: "alice", Session: "session-2"}},
		{usual, map[string]any{"sid": nil, "jti": "x"}, jwtauth.Claims{User: "alice"}},
		{usual, map[string]any{"sid": map[string]any{"a": 1}}, jwtauth.Claims{}},
		{asked, further, jwtauth.Claims{User: "Alice", Tenant: "acme", Session: "7"}},
		{asked, with(further, "login", nil), jwtauth.Claims{}},
		{asked, with(further, "login", map[string]any{"id": ""}), jwtauth.Claims{}},
		{asked, with(further, "org", nil), jwtauth.Claims{}},
		{asked, with(further, "https://example.com/name", nil), jwtauth.Claims{}},
	} {
		got, err := k.v.Identify(bearer(sign(t, "HS256", []byte(secret), good(c.now(), k.changes), nil)))
		if got != k.want || (err == nil) != (k.want.User != "") || err != nil && !errors.Is(err, identity.ErrNobody) {
			t.Errorf("%v: %+v, %v, want %+v", k.changes, got, err, k.want)
		}
	}
}

func with(claims map[string]any, name string, value any) map[string]any {
	claims = maps.Clone(claims)
	claims[name] = value
	return claims
}

// A token within the leeway is good, and with the time it is not, although it was
// good a moment ago. The first request for it need not be the one that finds out.
func TestExpiry(t *testing.T) {
	var c clock
	v := verifier(t, jwtauth.Options{Bearer: true, Keys: []jwtauth.Key{parseKey(t, secret)}, Now: c.now})
	token := sign(t, "HS256", []byte(secret), good(c.now(), map[string]any{"exp": c.now().Add(time.Minute).Unix()}), nil)
	for _, step := range []struct {
		after time.Duration
		ok    bool
	}{{0, true}, {time.Minute, true}, {29 * time.Second, true}, {2 * time.Second, false}} {
		c.advance(step.after)
		for range 2 {
			if _, err := v.Identify(bearer(token)); (err == nil) != step.ok {
				t.Errorf("at %s: %v", c.now(), err)
			}
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(rsaKeys()[0])
	if err != nil {
		t.Fatal(err)
	}
	public := pemOf(t, rsaKeys()[0].Public())
	for name, text := range map[string]string{
		"nothing":      "",
		"short secret": "0123456789abcdef0123456789abcde\n",
		"small RSA":    pemOf(t, small.Public()),
		"private":      string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"two keys":     public + public,
		"cut off":      public[:len(public)/2],
		"not a key":    string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})),
		"another kind": string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")})),
	} {
		if _, err := jwtauth.ParseKey(text); err == nil {
			t.Errorf("%s: accepted", name)
		} else if len(text) > 20 && strings.Contains(err.Error(), text[:20]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	hs, rs := parseKey(t, secret), parseKey(t, pemOf(t, rsaKeys()[0].Public()))
	set, err := jwtauth.NewKeySet(jwtauth.KeySetOptions{URL: "https://id.example.com/keys"})
	if err != nil {
		t.Fatal(err)
	}
	keys := func(k ...jwtauth.Key) []jwtauth.Key { return k }
	for name, o := range map[string]jwtauth.Options{
		"no place":             {Keys: keys(hs)},
		"no key":               {Bearer: true},
		"key and set":          {Bearer: true, Keys: keys(hs), KeySet: set, Issuer: issuerName},
		"set without issuer":   {Bearer: true, KeySet: set},
		"secret in a set":      {Bearer: true, KeySet: set, Issuer: issuerName, Algorithms: []string{"RS256", "HS256"}},
		"none":                 {Bearer: true, Keys: keys(hs), Algorithms: []string{"none"}},
		"unknown algorithm":    {Bearer: true, Keys: keys(hs), Algorithms: []string{"HS1"}},
		"algorithm twice":      {Bearer: true, Keys: keys(hs), Algorithms: []string{"HS256", "HS256"}},
		"HS256 for RSA":        {Bearer: true, Keys: keys(rs), Algorithms: []string{"HS256"}},
		"a key left out":       {Bearer: true, Keys: keys(rs, hs), Algorithms: []string{"HS256"}},
		"secret too short":     {Bearer: true, Keys: keys(parseKey(t, secret[:32])), Algorithms: []string{"HS512"}},
		"leeway too long":      {Bearer: true, Keys: keys(hs), Leeway: 3 * time.Minute},
		"cookie name":          {Cookie: "a b", Keys: keys(hs)},
		"pointer of the claim": {Bearer: true, Keys: keys(hs), User: "/~"},
	} {
		if _, err := jwtauth.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for url, ok := range map[string]bool{
		"https://id.example.com/keys": true, "http://localhost:8080/keys": true, "http://127.0.0.1/keys": true, "http://[::1]/keys": true,
		"http://10.1.2.3/keys": true, "http://keycloak:8080/keys": true,
		"http://id.example.com/keys": false, "http://192.0.2.1/keys": false, "/keys": false, "ftp://localhost/": false, "https://a:b@localhost/": false, "": false,
	} {
		if err := jwtauth.CheckKeySetURL(url); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// Whatever stands in the fields, only a token that was signed names somebody, and
// only its user.
func FuzzIdentify(f *testing.F) {
	var c clock
	token := sign(f, "HS256", []byte(secret), good(c.now(), nil), nil)
	v := verifier(f, jwtauth.Options{Cookie: "token", Bearer: true, Keys: []jwtauth.Key{parseKey(f, secret)}, Issuer: issuerName, Audiences: []string{audience}, Now: c.now})
	f.Add("Bearer "+token, "token="+token, "")
	f.Add("Bearer eyJhbGciOiJub25lIn0.e30.", "a=b; token=x", "access_token=x")
	f.Add("Basic YTpi", `token="`+token+`"`, "a;b")
	f.Fuzz(func(t *testing.T, authorization, cookie, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header["Authorization"], r.Header["Cookie"] = []string{authorization}, []string{cookie}
		got, err := v.Identify(r)
		if err != nil {
			if got != (jwtauth.Claims{}) || !errors.Is(err, identity.ErrNobody) && !errors.Is(err, identity.ErrAmbiguous) {
				t.Errorf("%+v, %v", got, err)
			}
			return
		}
		if got.User != "alice" || !strings.Contains(authorization+cookie, token) {
			t.Errorf("%q and %q named %+v", authorization, cookie, got)
		}
	})
}

// TestEmail: the address is the issuer's, and none where the issuer says that it
// did not verify it.
func TestEmail(t *testing.T) {
	var c clock
	o := jwtauth.Options{Bearer: true, Keys: []jwtauth.Key{parseKey(t, secret)}, Issuer: issuerName, Audiences: []string{audience}, Now: c.now}
	usual := verifier(t, o)
	o.Email = "/contact/mail"
	asked := verifier(t, o)
	const address = "alice@example.com"
	contact := map[string]any{"mail": address}
	for _, k := range []struct {
		v       *jwtauth.Verifier
		changes map[string]any
		want    string
	}{
		{usual, nil, ""},
		{usual, map[string]any{"email": address}, address},
		{usual, map[string]any{"email": address, "email_verified": true}, address},
		{usual, map[string]any{"email": address, "email_verified": "true"}, address},
		{usual, map[string]any{"email": address, "email_verified": false}, ""},
		{usual, map[string]any{"email": address, "email_verified": "false"}, ""},
		{usual, map[string]any{"email": address, "email_verified": 1}, ""},
		{usual, map[string]any{"email": []string{address}}, ""},
		{usual, map[string]any{"email": 17}, ""},
		{usual, map[string]any{"contact": contact}, ""},
		{asked, map[string]any{"email": "other@example.com", "contact": contact}, address},
		{asked, map[string]any{"contact": contact, "email_verified": false}, ""},
		{asked, map[string]any{"email": address}, ""},
	} {
		got, err := k.v.Identify(bearer(sign(t, "HS256", []byte(secret), good(c.now(), k.changes), nil)))
		if got.Email != k.want || got.User != "alice" || err != nil {
			t.Errorf("%v: %+v, %v, want %q", k.changes, got, err, k.want)
		}
	}
}
