package cookies

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

func TestS12CookieAttributes(t *testing.T) {
	_, token := grants.Issue(grants.Demand{Action: grants.MustAction("A"), Use: grants.OneTimeUse, TTL: time.Minute}, grants.Holder{}, grants.Binding{}, grants.TOTP, time.Now())
	for _, c := range []struct {
		use    grants.Use
		secure bool
		want   []string
		not    []string
	}{
		{grants.OneTimeUse, true, []string{"__Host-step_up_", "Secure", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=60"}, []string{"Domain"}},
		{grants.TimeBased, true, []string{"__Host-step_up_", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"}, []string{"Domain"}},
		{grants.TimeBased, false, []string{"step_up_", "HttpOnly", "SameSite=Lax"}, []string{"__Host-", "Secure"}},
	} {
		w := httptest.NewRecorder()
		SetGrant(w, Grant("t", "WITHDRAW_FUNDS"), token, c.use, time.Minute, c.secure)
		got := w.Header().Get("Set-Cookie")
		for _, s := range c.want {
			if !strings.Contains(got, s) {
				t.Errorf("%v secure=%v: %q lacks %q", c.use, c.secure, got, s)
			}
		}
		for _, s := range append(c.not, "WITHDRAW") {
			if strings.Contains(got, s) {
				t.Errorf("%v secure=%v: %q has %q", c.use, c.secure, got, s)
			}
		}
	}
	if a, b := Grant("t", "A"), Grant("t", "B"); a == b || Grant("u", "A") == a {
		t.Error("two action types or tenants share a cookie")
	}
}

func TestGet(t *testing.T) {
	for _, c := range []struct {
		header []string
		want   string
		ok     bool
	}{
		{[]string{"a=1; n=2; b=3"}, "2", true},
		{[]string{"n=2"}, "2", true},
		{[]string{"xn=1;n=2 ; nn=3"}, "2", true},
		{[]string{"a=1", "n=2"}, "2", true},
		{[]string{"n=1; n=2"}, "1", true},
		{[]string{"n"}, "", false},
		{[]string{"a=n=2"}, "", false},
		{nil, "", false},
		{[]string{";;; n="}, "", true},
		{[]string{strings.Repeat("x", maxCookieHeader) + ";n=1"}, "", false},
	} {
		h := http.Header{"Cookie": c.header}
		if got, ok := Get(h, "n"); got != c.want || ok != c.ok {
			t.Errorf("%.40q: got %q, %v", c.header, got, ok)
		}
		if n := testing.AllocsPerRun(10, func() { Get(h, "n") }); n != 0 {
			t.Errorf("%.40q: %v allocations", c.header, n)
		}
	}
}

func TestS08StripLeavesOthersAlone(t *testing.T) {
	for in, want := range map[string]string{
		"a=1; b=2":                                    "a=1; b=2",
		"a=1; __Host-step_up_browser=x; b=2":          "a=1; b=2",
		"__Host-step_up_0011=x; a=1":                  "a=1",
		"a=1;step_up_0011=x;b=\"q;r\"":                "a=1;b=\"q;r\"",
		"__Host-step_up_a=1; step_up_b=2":             "",
		"a=1; b=2; step_up_c=3; d=4;step_up_e=5; f=6": "a=1; b=2; d=4; f=6",
		"mystep_up_a=1; note=step_up_x; step_up=":     "mystep_up_a=1; note=step_up_x; step_up=",
	} {
		h := http.Header{"Cookie": {in}}
		Strip(h)
		if got := strings.Join(h["Cookie"], "|"); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestBrowserCookie(t *testing.T) {
	w := httptest.NewRecorder()
	id := NewBrowser(w, true)
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	if got, ok := BrowserID(r, true); !ok || got != id {
		t.Error("the browser's id does not come back")
	}
	if _, ok := BrowserID(r, false); ok {
		t.Error("a secure cookie was read as a plain one")
	}
}

func FuzzGetAndStrip(f *testing.F) {
	f.Add("a=1; __Host-step_up_browser=x; b=2")
	f.Add("step_up_;=;;step_up_=")
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		Get(h, "__Host-step_up_browser")
		Strip(h)
		for _, l := range h["Cookie"] {
			for pair := range strings.SplitSeq(l, ";") {
				pair = strings.TrimLeft(pair, " \t")
				if strings.HasPrefix(pair, "step_up_") || strings.HasPrefix(pair, "__Host-step_up_") {
					t.Errorf("%q still holds %q", line, pair)
				}
			}
		}
	})
}

func BenchmarkGetAndStrip(b *testing.B) {
	line := "session=0123456789abcdef; theme=dark; __Host-step_up_browser=" + strings.Repeat("x", 43) + "; __Host-step_up_0123456789abcdef=sug_" + strings.Repeat("x", 43)
	lines := []string{line}
	h := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		lines[0] = line
		h["Cookie"] = lines
		Get(h, "__Host-step_up_0123456789abcdef")
		Strip(h)
	}
}
