package portal

import (
	"net/http"
	"strings"
	"testing"
)

// The script is for everybody, small, kept by browsers only until it changes, and
// for the site's own pages only.
func TestClientScript(t *testing.T) {
	s := newSite(t)
	script, clientTag := newClient("Acme Intranet", nil).script, newClient("Acme Intranet", nil).tag
	if n := len(script); n >= 11<<10 {
		t.Errorf("the script has %d bytes", n)
	}
	for _, want := range []string{`"Acme Intranet"`, `"de":{`, "Confirm it’s you", `["#1a56c4","#8db7ff"]`} {
		if !strings.Contains(string(script), want) {
			t.Errorf("the script lacks %s", want)
		}
	}
	if strings.Contains(string(script), "/*words*/") || strings.Contains(string(script), "/*brand*/") {
		t.Error("the script lacks its words or its brand")
	}
	get := func(method, path, tag string) *http.Response {
		t.Helper()
		r, err := http.NewRequest(method, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Dest", "script")
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		resp, err := s.server.Client().Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	resp := get("GET", Prefix+"client.js", "")
	for name, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache", "ETag": clientTag,
		"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Set-Cookie": "",
		"Content-Security-Policy": "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
	} {
		if got := strings.Join(resp.Header[http.CanonicalHeaderKey(name)], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, c := range []struct {
		method, path, tag string
		want              int
	}{
		{"GET", "client.js", "", 200}, {"HEAD", "client.js", "", 200}, {"GET", "client.js", clientTag, 304}, {"GET", "client.js", `"old"`, 200},
		{"POST", "client.js", "", 404}, {"GET", "client.js/", "", 404}, {"GET", "api/client.js", "", 404},
	} {
		if resp := get(c.method, Prefix+c.path, c.tag); resp.StatusCode != c.want {
			t.Errorf("%s %s %s: %d, want %d", c.method, c.path, c.tag, resp.StatusCode, c.want)
		}
	}
}
