package gate_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

const urlencoded = "application/x-www-form-urlencoded"

func showRules(d grants.Demand) func(*gate.Options) {
	return func(o *gate.Options) {
		o.Rules = []gate.Rule{
			{Demand: d, Label: "Pay", Match: below("/pay"), Show: []readings.Field{form("amount"), form("payee"), pointer("/list/0")}, ShowLabels: map[string]string{"amount": "Amount"}},
			{Demand: admin, Match: below("/admin")},
		}
	}
}

// prove passes the very challenge of an answer, as alice in the browser of the
// cookie; empty for a program. It gives the grant's cookie and what was shown.
func (s *site) prove(a answer, d grants.Demand, cookie string) (grant string, shown []ceremony.Shown) {
	s.t.Helper()
	s.token("alice", admin) // enrolls
	who := *s.people["alice"]
	who.Browser, who.Site = [32]byte{}, a.site()
	var problem struct {
		ID string `json:"challenge_id"`
	}
	if cookie != "" {
		who.Browser, _ = cookies.BrowserID(&http.Request{Header: http.Header{"Cookie": {cookie}}}, true)
		_, problem.ID, _ = strings.Cut(a.Header.Get("Location"), "/challenge/")
	} else if err := json.Unmarshal([]byte(a.body), &problem); err != nil {
		s.t.Fatal(a.Status, a.body)
	}
	described, err := s.Describe(s.t.Context(), who.Principal, problem.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return grantCookie(d, s.Pass(&who, described.Challenge).Token.Text()), described.Show
}

// A grant is good for the request that was shown, and for none that differs from
// it in anything.
func TestWhatYouApproveIsWhatYouSee(t *testing.T) {
	for _, d := range []grants.Demand{pay, ceremonytest.Demand("PAY", grants.TimeBased, 10*60e9)} {
		s := newSite(t, showRules(d))
		const body = "amount=10&payee=bob&payee=%65ve"
		ask := func(method, target, body string, headers ...string) answer {
			return s.do(method, target, body, append([]string{"Host", "app.test", "Content-Type", urlencoded}, headers...)...)
		}
		a := ask("POST", "/pay?amount=1", body)
		s.expect(a, 401, false)
		grant, shown := s.prove(a, d, "")
		if want := "[{amount Amount 1 false} {amount Amount 10 false} {payee  bob false} {payee  eve false}]"; fmt.Sprint(shown) != want {
			t.Errorf("shown %v, want %s", shown, want)
		}
		for name, send := range map[string]func() answer{
			"another body":     func() answer { return ask("POST", "/pay?amount=1", "amount=99&payee=bob&payee=eve", "Cookie", grant) },
			"spelled other":    func() answer { return ask("POST", "/pay?amount=1", "amount=10&payee=bob&payee=eve", "Cookie", grant) },
			"more body":        func() answer { return ask("POST", "/pay?amount=1", body+"&x", "Cookie", grant) },
			"no body":          func() answer { return ask("POST", "/pay?amount=1", "", "Cookie", grant) },
			"another query":    func() answer { return ask("POST", "/pay?amount=2", body, "Cookie", grant) },
			"another path":     func() answer { return ask("POST", "/pay/x?amount=1", body, "Cookie", grant) },
			"path spelled":     func() answer { return ask("POST", "/p%61y?amount=1", body, "Cookie", grant) },
			"resume parameter": func() answer { return ask("POST", "/pay?amount=1&step_up_resume=x", body, "Cookie", grant) },
			"another type": func() answer {
				return ask("POST", "/pay?amount=1", body, "Cookie", grant, "Content-Type", urlencoded+";charset=utf-8")
			},
			"another coding": func() answer {
				return ask("POST", "/pay?amount=1", body, "Cookie", grant, "Content-Encoding", "identity")
			},
			"another method": func() answer { return ask("PUT", "/pay?amount=1", body, "Cookie", grant) },
			"overridden": func() answer {
				return ask("POST", "/pay?amount=1", body, "Cookie", grant, "X-HTTP-Method-Override", "DELETE")
			},
			"a destination": func() answer {
				return ask("POST", "/pay?amount=1", body, "Cookie", grant, "Destination", "/pay/other")
			},
			"a SOAP action": func() answer {
				return ask("POST", "/pay?amount=1", body, "Cookie", grant, "SOAPAction", `"urn:pay#all"`)
			},
			"another site": func() answer { return ask("POST", "/pay?amount=1", body, "Cookie", grant, "Host", "evil.test") },
			"plain site":   func() answer { return ask("POST", "/pay?amount=1", body, "Cookie", grant, "X-Plain", "1") },
			"another user": func() answer { return ask("POST", "/pay?amount=1", body, "Cookie", grant, "X-User", "eve") },
		} {
			if a := send(); a.StatusCode != 401 && a.StatusCode != 403 || len(s.takeReached()) > 0 {
				t.Errorf("%s: %s", name, a.Status)
			}
		}
		s.expect(ask("POST", "/pay?amount=1", body, "Cookie", grant, "Accept", "text/csv", "X-Other", "1"), 200, true)
		if again := ask("POST", "/pay?amount=1", body, "Cookie", grant); (again.StatusCode == 200) != (d.Use == grants.TimeBased) {
			t.Error("again:", again.Status)
		}
		s.takeReached()
		// A grant for no request in particular is none for this.
		s.expect(ask("POST", "/pay?amount=1", body, "Cookie", grantCookie(d, s.token("alice", d))), 401, false)
	}
}

// The form that a browser sent is held, and the one that comes back is the one
// that was shown.
func TestShownFormIsResumed(t *testing.T) {
	s := newSite(t, showRules(pay))
	browser := browserCookie()
	const body = `{"list":[{"to":"bob"}],"payee":"x"}`
	a := s.do("POST", "/pay?amount=7", body, with("Cookie", browser, "Host", "app.test", "Origin", "https://app.test", "Content-Type", "text/plain")...)
	s.expect(a, 303, false)
	back := s.challengeOf(a, "alice", browser).ReturnTo
	grant, shown := s.prove(a, pay, browser)
	if want := `[{amount Amount 7 false} {payee  x false} {/list/0  {"to":"bob"} false}]`; fmt.Sprint(shown) != want {
		t.Errorf("shown %v, want %s", shown, want)
	}
	comeBack := []string{"Cookie", browser + "; " + grant, "Host", "app.test", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "document"}
	s.expect(s.do("GET", back, "", comeBack...), 200, true)
	if a := s.do("GET", back, "", comeBack...); a.StatusCode != 303 || len(s.takeReached()) > 0 {
		t.Error("again:", a.Status)
	}
	// A held form is not sent on with a grant for another one.
	first := s.do("POST", "/pay?amount=7", body, with("Cookie", browser, "Host", "app.test", "Origin", "https://app.test")...)
	second := s.do("POST", "/pay?amount=700", body, with("Cookie", browser, "Host", "app.test", "Origin", "https://app.test")...)
	back = s.challengeOf(second, "alice", browser).ReturnTo
	comeBack[1], _ = s.prove(first, pay, browser)
	comeBack[1] += "; " + browser
	a = s.do("GET", back, "", comeBack...)
	s.expect(a, 303, false)
	if d := s.challengeOf(a, "alice", browser); len(d.Show) == 0 || d.Show[0].Value != "700" {
		t.Errorf("%+v", d)
	}
}

// What cannot be shown in full is refused, with a page that says so.
func TestWhatCannotBeShownIsRefused(t *testing.T) {
	s := newSite(t, showRules(pay), func(o *gate.Options) { o.MaxHeld = 1000 })
	long := "amount=1&" + strings.Repeat("x", 1000)
	for _, tt := range []struct {
		body   string
		header []string
		want   int
	}{
		{long[:1000], nil, 401},
		{long, nil, 413},
		{"amount=1", []string{"Content-Encoding", "gzip"}, 400},
		{"amount=1", []string{"Content-Type", urlencoded + ";charset=utf-16"}, 400},
		{`{"amount":1,}`, []string{"Content-Type", "application/json"}, 400},
		{strings.Repeat("amount=1&", 33), nil, 400},
		{"\x89PNG", []string{"Content-Type", "image/png"}, 400},
	} {
		headers := append([]string{"Content-Type", urlencoded}, tt.header...)
		s.expect(s.do("POST", "/pay", tt.body, headers...), tt.want, false)
		if tt.want == 401 {
			continue
		}
		a := s.do("POST", "/pay", tt.body, with(headers...)...)
		s.expect(a, tt.want, false)
		if !strings.Contains(a.body, "cannot be shown") {
			t.Errorf("%.40q: %s", tt.body, a.body)
		}
	}
	s.expect(s.do("POST", "/admin", long, "Content-Type", urlencoded), 401, false)
	r := httptest.NewRequest("POST", "/pay", iotest.ErrReader(io.ErrUnexpectedEOF))
	r.Header.Set("X-User", "alice")
	rec := httptest.NewRecorder()
	if err := s.Gate.ServeHTTP(rec, r, s.application); err != nil || rec.Code != 422 || len(s.takeReached()) > 0 {
		t.Error("an incomplete request:", rec.Code, err)
	}
}

// What is shown cannot hide itself, nor change how the rest reads.
func TestShownTextsAreVisible(t *testing.T) {
	s := newSite(t, showRules(pay))
	for sent, want := range map[string]string{
		"bob":                              "bob",
		"b\u202eob":                        `b\u202eob`,
		"a\u200bb\u00a0c\x00\r\n\t\x7f":    `a\u200bb\u00a0c\u0000\u000d\n\u0009\u007f`,
		"\xff<b>&amp;":                     `\xff<b>&amp;`,
		"Zoë 日本":                           "Zoë 日本",
		"\U000e0041":                       `\U000e0041`,
		strings.Repeat("é", 256):           strings.Repeat("é", 256),
		strings.Repeat("é", 257):           strings.Repeat("é", 256) + " (cut)",
		strings.Repeat("\u202e", 300)[:30]: strings.Repeat(`\u202e`, 10),
	} {
		a := s.do("POST", "/pay", "--B\r\nContent-Disposition: form-data; name=\"payee\"\r\n\r\n"+sent+"\r\n--B--\r\n", "Content-Type", "multipart/form-data; boundary=B")
		s.expect(a, 401, false)
		_, shown := s.prove(a, pay, "")
		got := ""
		for _, one := range shown {
			got += one.Value
			if one.Cut {
				got += " (cut)"
			}
		}
		if got != want {
			t.Errorf("%q is shown as %q, want %q", sent, got, want)
		}
	}
}

// A grant for one Destination or SOAPAction is none for another, nor for none.
func TestS23ShownRequestHasOneDestination(t *testing.T) {
	for _, name := range []string{"Destination", "SOAPAction", "Overwrite"} {
		s := newSite(t, showRules(pay))
		move := func(value string, more ...string) answer {
			headers := append([]string{"Host", "app.test", "Content-Type", urlencoded}, more...)
			if value != "" {
				headers = append(headers, name, value)
			}
			return s.do("POST", "/pay", "amount=1", headers...)
		}
		a := move("/pay/a")
		s.expect(a, 401, false)
		grant, _ := s.prove(a, pay, "")
		for _, other := range []string{"/pay/b", ""} {
			if a := move(other, "Cookie", grant); a.StatusCode != 401 || len(s.takeReached()) > 0 {
				t.Errorf("%s %q: %s", name, other, a.Status)
			}
		}
		s.expect(move("/pay/a", "Cookie", grant), 200, true)
	}
}
