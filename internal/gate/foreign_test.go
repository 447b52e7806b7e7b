package gate_test

import "testing"

// A challenge knows which site sent the person, so that its page can say so.
func TestS09ChallengeKnowsWhoSentThePerson(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct {
		name, site, referer string
		foreign             bool
		from                string
	}{
		{"the site's own link", "same-origin", "https://app.test/list", false, ""},
		{"typed or bookmarked", "none", "", false, ""},
		{"another site's link", "cross-site", "https://evil.example/page", true, "https://evil.example"},
		{"another site that does not say", "cross-site", "", true, ""},
		{"another host of the same site", "same-site", "https://Blog.app.test:8443/", true, "https://blog.app.test:8443"},
		{"another site by way of ours", "cross-site", "https://app.test/redirect", true, ""},
		{"a browser that tells nothing", "", "", false, ""},
		{"a browser that tells the page only", "", "http://evil.example/", true, "http://evil.example"},
		{"the same host without encryption", "", "http://app.test/", true, "http://app.test"},
		{"a page of ours, told only by its address", "", "https://app.test/list", false, ""},
		{"a referer that is no page", "cross-site", "javascript:alert(1)", true, ""},
		{"a word that browsers do not say", "friendly", "", true, ""},
	} {
		headers := []string{"Cookie", browserCookie(), "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html", "Host", "app.test"}
		if c.site != "" {
			headers = append(headers, "Sec-Fetch-Site", c.site)
		}
		if c.referer != "" {
			headers = append(headers, "Referer", c.referer)
		}
		a := s.do("GET", "/admin/transfer?to=mallory&amount=1000", "", headers...)
		s.expect(a, 303, false)
		d := s.challengeOf(a, "alice", headers[1])
		if d.Foreign != c.foreign || d.From != c.from {
			t.Errorf("%s: foreign %t from %q, want %t from %q", c.name, d.Foreign, d.From, c.foreign, c.from)
		}
	}
	// Nobody else's link is taken for the person's own, also for the same address.
	browser := browserCookie()
	own := s.do("GET", "/admin/x", "", with("Cookie", browser, "Host", "app.test")...)
	sent := s.do("GET", "/admin/x", "", with("Cookie", browser, "Host", "app.test", "Sec-Fetch-Site", "cross-site")...)
	if own.Header.Get("Location") == sent.Header.Get("Location") {
		t.Error("one challenge for both")
	}
}
