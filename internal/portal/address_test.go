package portal

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

func TestReadable(t *testing.T) {
	long := strings.Repeat("x", 500)
	for target, want := range map[string]string{
		"/transfer?to=mallory&amount=1000":                         "/transfer?to=mallory&amount=1000",
		"/%74ransfer?%74o=%6d%61llory":                             "/transfer?to=mallory",
		"/a%2fb%3f?x=%26y%3d1%20%0a+%00":                           "/a%2fb%3f?x=%26y%3d1%20%0a+%00",
		"/caf%C3%A9?name=J%c3%bcrgen%E2%80%AE%ff":                  "/café?name=Jürgen%E2%80%AE%ff",
		"/?a=%E3%85%A4%EF%B8%8F%E2%80%8B":                          "/?a=%E3%85%A4%EF%B8%8F%E2%80%8B",
		"/?to=%D9%85%D8%AD&amount=1":                               "/?to=\u2068مح\u2069&amount=1",
		"/%?%4=%zz":                                                "/%?%4=%zz",
		"/?iban=DE89370400440532013000&memo=" + long:               "/?iban=DE89370400440532013000&memo=" + long,
		"/?a=" + long + "&to=mallory&b=" + strings.Repeat(long, 4): "/?a=" + long[:200] + "…" + long[:50] + "&to=mallory&b=" + long[:200] + "…" + long[:50],
	} {
		if got := readable(target); got != want {
			t.Errorf("%q is shown as\n%q, want\n%q", target, got, want)
		}
	}
}

// The page says where a proof leads, and that another site sent the person; then
// it leads there by one more click and not by itself.
func TestS09PageSaysWhereTheProofLeads(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	p := c.enroll()
	const target = "/transfer?to=mallory&amount=1000&memo=<b>"
	for from, wants := range map[string][]string{
		"":                     nil,
		"https://evil.example": {"evil.example sent you to this page"},
		"unknown":              {"Another site sent you to this page"},
	} {
		ask := ceremony.Ask{Demand: withdraw, Label: "Withdraw funds", Site: s.origin, ReturnTo: target, Foreign: from != "", From: strings.TrimPrefix(from, "unknown")}
		path := Prefix + "challenge/" + c.beginAsk(ask)
		page := strings.ReplaceAll(html.UnescapeString(c.get(path).want(t, 200).body), "&lt;", "<")
		for _, want := range append(wants, s.origin+target) {
			if !strings.Contains(page, want) {
				t.Errorf("sent by %q: the page lacks %q\n%s", from, want, strip(page))
			}
		}
		won := c.post(path, url.Values{"method": {"totp"}, "code": {p.code(c)}}).want(t, http.StatusOK)
		if got := won.Header.Get("Refresh") != ""; got != (from == "") {
			t.Errorf("sent by %q: leads on by itself: %t", from, got)
		}
		if from != "" && (link(t, won.body, "Continue") == "" || !strings.Contains(html.UnescapeString(won.body), target)) {
			t.Errorf("sent by %q: no way on in\n%s", from, strip(won.body))
		}
	}
	// Programs are sent on by a redirect, but not where another site sent them.
	program := s.program("alice")
	path := Prefix + "challenge/" + program.beginAsk(ceremony.Ask{Demand: withdraw, Site: s.origin, ReturnTo: target, Foreign: true})
	program.get(path)
	program.post(path, url.Values{"method": {"totp"}, "code": {p.code(program)}}).want(t, http.StatusOK)
}
