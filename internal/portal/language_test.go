package portal

import (
	"net/url"
	"strings"
	"testing"
)

func TestPeopleChooseTheirLanguage(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.enroll()
	id := c.begin(withdraw, "/transfer")
	page := c.get(Prefix+"challenge/"+id, "Accept-Language", "tlh;q=1, en-GB;q=0.5").wantPage(t, 200, "Confirm it’s you")
	if !strings.Contains(page.body, `<html lang="en" dir="ltr">`) || page.Header.Get("Content-Language") != "en" {
		t.Errorf("the page is in %s", page.Header.Get("Content-Language"))
	}
	path := "challenge/" + id + "?method=recovery_code"
	changed := c.post(Prefix+"language", url.Values{"lang": {"en"}, "path": {path}})
	if to := changed.to(t); to != Prefix+path {
		t.Errorf("sent to %s", to)
	}
	set := changed.Header.Get("Set-Cookie")
	for _, want := range []string{"__Host-step_up_lang=en", "Path=/", "Max-Age=31536000", "HttpOnly", "Secure", "SameSite=Lax"} {
		if !strings.Contains(set, want) {
			t.Errorf("%s is not in %s", want, set)
		}
	}
	for _, lang := range []string{"", "tlh", "EN", "en; Domain=x", strings.Repeat("x", 1000)} {
		if a := c.post(Prefix+"language", url.Values{"lang": {lang}, "path": {""}}).want(t, 422); a.Header.Get("Set-Cookie") != "" {
			t.Errorf("the language %.20q is remembered", lang)
		}
	}
	c.post(Prefix+"language", url.Values{"lang": {"en"}, "csrf_token": {"x"}}).wantPage(t, 403, "This form is out of date")
	c.get(Prefix+"language").want(t, 405)
}

// TestS09TheLanguageLeadsToOurOwnPagesOnly sends addresses that a page of ours
// would never put into its form.
func TestS09TheLanguageLeadsToOurOwnPagesOnly(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.enroll()
	c.get(Prefix + "challenge/" + c.begin(withdraw, "/"))
	for path, want := range map[string]string{
		"": "", "enroll": "enroll", "enroll?challenge=abc": "enroll?challenge=abc", "challenge/abc?method=totp&x=y#z": "challenge/abc?method=totp",
		"//evil.example": "", "https://evil.example/": "", "../transfer": "", "enroll/../../transfer": "", "/transfer": "", `\evil`: "",
		"grants/abc/revoke": "", "language": "", "api/me": "", "client.js": "", "challenge/abc/cancel": "", "enroll?challenge=//evil": "enroll",
		"enroll?%zz": "enroll", "enroll\r\nX: y": "", "enroll%2f": "",
	} {
		if to := c.post(Prefix+"language", url.Values{"lang": {"en"}, "path": {path}}).to(t); to != Prefix+want {
			t.Errorf("%q leads to %q, want %q", path, to, Prefix+want)
		}
	}
}

func TestCancelLeadsBackToWhereOneCameFrom(t *testing.T) {
	s := newSite(t)
	c := s.browser("alice")
	c.enroll()
	for referer, want := range map[string]string{
		s.origin + "/transfer?to=bob": "/transfer?to=bob", s.origin + "/a#b": "/a", s.origin + "//evil.example/x": "/.//evil.example/x",
		"": "", "https://evil.example/transfer": "", s.origin + ".evil.example/": "", s.origin + Prefix: "", s.origin + "/%2estep-up/enroll": "",
		s.origin + "/x?step_up_resume=abc": "", s.origin + "/" + strings.Repeat("x", 5000): "", s.origin: "", "/transfer": "",
	} {
		id := c.begin(withdraw, "/transfer")
		page := c.get(Prefix+"challenge/"+id, "Referer", referer).want(t, 200)
		hidden := `<input type="hidden" name="from" value="` + want + `">`
		if n := strings.Count(page.body, `name="from"`); (want != "") != strings.Contains(page.body, hidden) || want == "" && n != 0 {
			t.Errorf("from %.60q: the page carries %d fields, want %q", referer, n, want)
		}
		form := url.Values{}
		if want != "" {
			form.Set("from", want)
			// A wrong answer does not lose it.
			again := c.post(Prefix+"challenge/"+id, url.Values{"method": {"totp"}, "code": {"x"}, "from": {want}}).want(t, 422)
			if !strings.Contains(again.body, hidden) {
				t.Errorf("from %q: forgotten after a wrong answer", referer)
			}
		}
		done := c.post(Prefix+"challenge/"+id+"/cancel", form)
		if want == "" {
			if to := done.to(t); to != Prefix+"?done=cancelled" {
				t.Errorf("from %.60q: sent to %s", referer, to)
			}
			continue
		}
		if to := strings.TrimPrefix(done.wantPage(t, 200, "Canceled").Header.Get("Refresh"), "0;url="); to != want {
			t.Errorf("from %q: sent to %q", referer, to)
		}
	}
	for _, from := range []string{"https://evil.example/", "javascript:alert(1)", "x", "/\r\nSet-Cookie: a=b", Prefix + "grants"} {
		id := c.begin(withdraw, "/transfer")
		c.get(Prefix + "challenge/" + id)
		if to := c.post(Prefix+"challenge/"+id+"/cancel", url.Values{"from": {from}}).to(t); to != Prefix+"?done=cancelled" {
			t.Errorf("a form that says %q: sent to %s", from, to)
		}
	}
}

// FuzzOwnPage sends addresses to lead to; each must stay one of our own pages.
func FuzzOwnPage(f *testing.F) {
	for _, s := range []string{"", "enroll?challenge=a", "challenge/abc?method=totp&x=y", "//evil", "..%2f", "enroll?%zz", "challenge/a/../b"} {
		f.Add(s)
	}
	p := &Portal{routes: routes()}
	f.Fuzz(func(t *testing.T, address string) {
		got := p.ownPage(address)
		path, query, _ := strings.Cut(got, "?")
		if serve, _, _ := p.find(false, "GET", path); serve == nil {
			t.Errorf("%q leads to %q", address, got)
		}
		if strings.ContainsAny(got, "\r\n\t \\\"<>#") || strings.Contains(query, "/") {
			t.Errorf("%q leads to %q", address, got)
		}
	})
}
