package backendapi

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEveryRequestIsAnsweredHere(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.Enroll("alice")
	for _, path := range []string{
		"/", "/index.html", "/api", "/api/", "/api/backend/v1/user/", "/api/backend/v1/user//mfa", "/api/backend/v1/user/alice/mfa/",
		"//api/backend/v1/user/alice/mfa", "/api/backend/v1//user/alice/mfa", "/api/backend/v1/./user/alice/mfa", "/x/../api/backend/v1/user/alice/mfa",
		"/api/backend/v1/user/../mfa", "/api/backend/v1/user/%2e%2e/mfa", "/api/backend/v1/user/./mfa", "/api/backend/v1/user/alice%2Fmfa",
		"/api/backend/v1/%75ser/alice/mfa", "/API/backend/v1/user/alice/mfa", "/api/backend/v1/user/alice/mfa;x", "/api/backend/v1/user/alice/mfa%00",
		"/api/backend/v1/user/a/b/mfa", "/v1/mfa", "/v1/mfa/enroll/", "/v1%2fmfa/enroll", "/qr/", "/qr/x.svg", "/.step-up/", "/qr/..png/",
	} {
		r := ask{path: path, key: key}
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions, http.MethodTrace, "PURGE"} {
			r.method = method
			if got := w.do(r); got.status != http.StatusNotFound {
				t.Errorf("%s %s: %d %s", method, path, got.status, got.text)
			}
		}
	}
	// Whatever they lie under, they are told of in a dialect's own words.
	w.mustBe(w.get("/api/backend/v1/nothing", key), 404, "not_found")
	w.isError(w.get("/v1/mfa/nothing", key), 404, "not_found")
	w.isError(w.get("/nothing", ""), 404, "not_found")
}

func TestWrongMethods(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	w.Enroll("alice")
	for path, allow := range map[string]string{
		userPath + "alice/mfa": "GET, HEAD", metadataPath: "GET, HEAD", userPath + "alice/disable_2fa": "POST", verifyTOTPPath: "POST",
		sendPath: "POST", verifyPhonePath: "POST", verifyGrantPath: "POST", enrollPath: "POST", verifyPath: "POST", backupPath: "POST",
		"/qr/enr_x.png": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "get"} {
			got := w.do(ask{method: method, path: path, key: key, body: `{}`})
			if taken := strings.Contains(", "+allow+",", ", "+method+","); taken == (got.status == http.StatusMethodNotAllowed) {
				t.Errorf("%s %s: %d", method, path, got.status)
			} else if !taken && got.header.Get("Allow") != allow {
				t.Errorf("%s %s: %q", method, path, got.header.Get("Allow"))
			}
		}
	}
	// HEAD is GET without the body, and changes nothing about who may.
	got := w.do(ask{method: "HEAD", path: userPath + "alice/mfa", key: key})
	if got.status != 200 || got.text != "" || got.header.Get("Content-Length") == "0" {
		t.Error(got.status, got.text, got.header)
	}
	if got := w.do(ask{method: "HEAD", path: userPath + "alice/mfa"}); got.status != 401 {
		t.Error(got.status)
	}
	// A query changes nothing.
	w.want(w.get(userPath+"alice/mfa?x=/../y", key), 200)
}

// FuzzFind holds the routes to one spelling of each path, ids excepted.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{verifyGrantPath, userPath + "alice%40x/mfa", "/qr/enr_x.png", "/qr/%2e%2e.png", "//", "/users/a/secrets/b/enroll"} {
		f.Add(seed)
	}
	a := &API{routes: routes()}
	f.Fuzz(func(t *testing.T, path string) {
		found, ids, allowed := a.find(http.MethodPost, path)
		if found != nil && len(allowed) == 0 {
			t.Fatal("found, and not allowed")
		}
		if found == nil {
			return
		}
		// Put back where they came from, the ids make a path that is as good.
		again := found.pattern
		for _, id := range ids {
			if id == "" || id == "." || id == ".." {
				t.Fatalf("id %q", id)
			}
			i, j := strings.Index(again, "{"), strings.Index(again, "}")
			again = again[:i] + url.PathEscape(id) + again[j+1:]
		}
		if _, got, _ := a.find(http.MethodPost, again); len(got) != len(ids) && utf8.ValidString(path) {
			t.Fatalf("%q is found and %q is not", path, again)
		}
		if len(ids) == 0 && path != found.pattern {
			t.Fatalf("%q is taken for %q", path, found.pattern)
		}
	})
}
