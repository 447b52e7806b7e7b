package pages

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

var now = time.Date(2026, 3, 14, 9, 26, 0, 0, time.UTC)

// sample is one state of one page, as the tests look at it.
type sample struct {
	name string
	view View
}

// samples is every page in every state that changes what is drawn. text fills
// each field that may come from a request, a person or the operator.
func samples(t testing.TB, text string) []sample {
	t.Helper()
	p := Page{
		Issuer: "Acme Intranet", Host: "intranet.example.com", User: text,
		HomeURL: "/.step-up/", CSRF: "mWJ0c3JmLXRva2Vu", Now: now,
	}
	uri := "otpauth://totp/Acme%20Intranet:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Acme%20Intranet&algorithm=SHA1&digits=6&period=30"
	code, err := NewQR(uri)
	if err != nil {
		t.Fatal(err)
	}
	challenge := Challenge{
		Page: p, Action: text, OneTime: true, Hold: 2 * time.Minute, AttemptsLeft: -1,
		Methods: []Method{
			{MethodTOTP, "/.step-up/challenge/abc?method=totp", true},
			{MethodRecovery, "/.step-up/challenge/abc?method=recovery_code", false},
		},
		FormURL: "/.step-up/challenge/abc", CancelURL: "/.step-up/challenge/abc/cancel",
	}
	wrong := challenge
	wrong.Error, wrong.AttemptsLeft, wrong.OneTime, wrong.Hold = WrongCode, 3, false, 10*time.Minute
	locked := challenge
	locked.RetryAfter = 4 * time.Minute
	shown := challenge
	shown.Show = []Shown{{text, text, false}, {"payee", "", false}, {"note", strings.Repeat("long ", 50), true}}
	recovery := challenge
	recovery.Methods = []Method{{MethodTOTP, "/a", false}, {MethodRecovery, "/b", true}}
	recovery.Error = WrongRecovery
	manage := challenge
	manage.Change = ChangeRemove
	start := EnrolStart{Page: p, First: true, For: text, FormURL: "/.step-up/enroll", Challenge: text, CancelURL: "/.step-up/"}
	invite := start
	invite.NeedsInvite, invite.Error, invite.Label, invite.For = true, WrongInvite, text, ""
	enrol := Enrol{
		Page: p, QR: code, Secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", OTPAuthURI: uri, Label: text, Digits: 6,
		Expires: now.Add(15 * time.Minute), AttemptsLeft: -1, Challenge: text, FormURL: "/.step-up/enroll/abc/confirm", CancelURL: "/.step-up/",
	}
	enrolWrong := enrol
	enrolWrong.Error, enrolWrong.AttemptsLeft = WrongCode, 1
	codes := RecoveryCodes{
		Page: p, Enrolled: true, ContinueURL: "/.step-up/challenge/abc", ContinueFor: text,
		Codes: []string{"abcde-fghjk", "mnpqr-stuvw", "23456-789ab", "cdefg-hjkmn", "pqrst-uvwxy", "z2345-6789a", "bcdef-ghjkm", "npqrs-tuvwx", "yz234-56789", "abcde-fghjm"},
	}
	renewed := codes
	renewed.Enrolled, renewed.ContinueFor = false, ""
	added := RecoveryCodes{Page: p, Enrolled: true, ContinueURL: "/.step-up/"}
	security := Security{
		Page: p, Done: Removed, RecoveryLeft: 2, AddURL: "/.step-up/enroll", RenewURL: "/.step-up/recovery-codes/renew", SiteURL: "/",
		Authenticators: []Authenticator{
			{Label: "Pixel 9", Kind: MethodTOTP, Added: now.Add(-40 * 24 * time.Hour), LastUsed: now.Add(-3 * time.Minute), RenameURL: "/r", RemoveURL: "/d"},
			{Label: text, Kind: MethodTOTP, Added: now.Add(-time.Second), RenameURL: "/r", RemoveURL: "/d"},
		},
		Grants: []Grant{
			{text, "", false, now.Add(7 * time.Minute), "/g1"},
			{"", ChangeAny, true, now.Add(80 * time.Second), "/g2"},
		},
	}
	all := []sample{
		{"challenge", challenge}, {"challenge-wrong", wrong}, {"challenge-shown", shown}, {"challenge-locked", locked}, {"challenge-recovery", recovery}, {"challenge-manage", manage}, {"passed", Passed{p, text, "/transfer"}},
		{"enrol-start", start}, {"enrol-start-invite", invite}, {"enrol", enrol}, {"enrol-wrong", enrolWrong},
		{"codes", codes}, {"codes-renewed", renewed}, {"codes-added", added},
		{"security", security}, {"security-empty", Security{Page: p, AddURL: "/.step-up/enroll"}},
		{"confirm-remove", Confirm{p, ConfirmRemove, text, true, "/f", "/c"}},
		{"confirm-renew", Confirm{p, ConfirmRenew, "", false, "/f", "/c"}},
		{"rename", Rename{p, text, BadLabel, "/f", "/c"}},
		{"frame", Frame{Page{Host: p.Host, Now: now}, text, "/.step-up/challenge/abc"}},
	}
	for _, k := range messageKinds {
		m := Message{Page: p, Kind: k, NextURL: "/"}
		if k == TooManyAttempts {
			m.RetryAfter = 2 * time.Minute
		}
		all = append(all, sample{strings.ReplaceAll(string(k), ".", "-"), m})
	}
	return all
}

var messageKinds = []MessageKind{
	NotFound, Expired, NoIdentity, HTTPSRequired, Ambiguous, CrossSite, StaleForm, NotADocument, MethodNotAllowed, NotHeld,
	TooLarge, NotShown, BadRequest, TooManyAttempts, Disabled, NoMethod, TooMany, TooNew, EnrolDenied, Unavailable,
}

var fieldErrors = []FieldError{
	WrongCode, WrongRecovery, MalformedCode, WrongInvite, MissingInvite, BadLabel, TooManyPending,
}

func draw(v View) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Render(w, http.StatusOK, v)
	return w
}

func TestPagesAreSmallCompleteDocuments(t *testing.T) {
	for _, s := range samples(t, "Withdraw funds") {
		w := draw(s.view)
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d", s.name, w.Code)
		}
		body := w.Body.String()
		if len(body) > 30<<10 {
			t.Errorf("%s: %d bytes, want less than 30 KB", s.name, len(body))
		}
		checkDocument(t, s.name, body)
	}
}

// void elements have no end tag (HTML, section 13.1.2).
var void = []string{"meta", "input", "br", "hr", "link", "img", "rect", "path"}

// checkDocument holds a page to being well formed, without scripts, without
// anything from elsewhere, and accessible in what a machine can tell.
func checkDocument(t *testing.T, name, body string) {
	t.Helper()
	var open, ids []string
	h1 := 0
	labelled, fields := map[string]bool{}, map[string]bool{}
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() != io.EOF {
				t.Errorf("%s: %v", name, z.Err())
			}
			break
		}
		tok := z.Token()
		attr := map[string]string{}
		for _, a := range tok.Attr {
			if _, twice := attr[a.Key]; twice {
				t.Errorf("%s: attribute %s twice in %s", name, a.Key, tok)
			}
			attr[a.Key] = a.Val
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "srcset" {
				t.Errorf("%s: attribute %s", name, a.Key)
			}
		}
		switch kind {
		case html.StartTagToken:
			if tok.DataAtom == atom.Script || tok.DataAtom == atom.Link || tok.DataAtom == atom.Iframe || tok.DataAtom == atom.Img || tok.DataAtom == atom.Base {
				t.Errorf("%s: element %s", name, tok.Data)
			}
			if !slices.Contains(void, tok.Data) {
				open = append(open, tok.Data)
			}
			if tok.DataAtom == atom.H1 {
				h1++
			}
			if id := attr["id"]; id != "" {
				ids = append(ids, id)
			}
			if tok.DataAtom == atom.Label {
				labelled[attr["for"]] = true
			}
			if tok.DataAtom == atom.Input && attr["type"] != "hidden" {
				fields[attr["id"]] = true
			}
			for _, key := range []string{"href", "action"} {
				if u, ok := attr[key]; ok && !strings.HasPrefix(u, "/") && !strings.HasPrefix(u, "otpauth://totp/") {
					t.Errorf("%s: %s=%q", name, key, u)
				}
			}
			for _, ref := range append(strings.Fields(attr["aria-describedby"]), strings.Fields(attr["aria-labelledby"])...) {
				if !strings.Contains(body, `id="`+ref+`"`) {
					t.Errorf("%s: refers to missing id %q", name, ref)
				}
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("%s: </%s> closes %v", name, tok.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("%s: left open: %v", name, open)
	}
	if h1 != 1 {
		t.Errorf("%s: %d h1 elements", name, h1)
	}
	for id := range fields {
		if !labelled[id] {
			t.Errorf("%s: field %q has no label", name, id)
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("%s: ids occur twice: %v", name, ids)
	}
	if strings.Count(body, `method="post"`) != strings.Count(body, `name="`+CSRFField+`"`) {
		t.Errorf("%s: a form without a CSRF token", name)
	}
	if strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "<no value>") || strings.Contains(body, "%!") {
		t.Errorf("%s: a value was refused by the template", name)
	}
	text := regexp.MustCompile(`(?s)<style.*?</style>`).ReplaceAllString(body, "")
	if m := regexp.MustCompile(`\{[a-z]+\}|\b(layout|change|challenge|passed|enrol|codes|security|confirm|rename|frame|message|error|done|span|time|method)\.[a-z_]+`).FindString(text); m != "" {
		t.Errorf("%s: unfilled place or missing words: %q", name, m)
	}
}

func TestS11PagesEscapeWhatTheyAreGiven(t *testing.T) {
	hostile := `"><script>alert(1)</script><img src=x onerror=a>'{{.}}javascript:` + "`\u2028"
	for _, s := range samples(t, hostile) {
		body := draw(s.view).Body.String()
		checkDocument(t, s.name, body)
		if strings.Contains(body, "<script") || strings.Contains(body, "<img") || strings.Contains(body, `'{{`) {
			t.Errorf("%s: not escaped", s.name)
		}
	}
	for _, u := range []string{"javascript:alert(1)", "data:text/html,x", "otpauth://hotp/x", "https://evil.example/"} {
		e := Enrol{Page: Page{Now: now}, OTPAuthURI: u}
		if body := draw(e).Body.String(); strings.Contains(body, u) {
			t.Errorf("otpauth link to %q", u)
		}
	}
	m := Message{Kind: NotFound, NextURL: "javascript:alert(1)"}
	if body := draw(m).Body.String(); strings.Contains(body, "javascript:") {
		t.Error("javascript: link")
	}
}

func TestS11PagesHaveTheHeadersThatProtectThem(t *testing.T) {
	nonces := map[string]bool{}
	for _, s := range samples(t, "x") {
		w := httptest.NewRecorder()
		w.Header().Set("Cache-Control", "public")
		w.Header().Set("Set-Cookie", "a=b")
		Render(w, http.StatusForbidden, s.view)
		h := w.Result().Header
		csp := h.Get("Content-Security-Policy")
		m := regexp.MustCompile(`^default-src 'none'; style-src 'nonce-([A-Z2-7]{26})'; form-action 'self'; frame-ancestors '(none|self)'; base-uri 'none'$`).FindStringSubmatch(csp)
		if m == nil {
			t.Fatalf("%s: CSP %q", s.name, csp)
		}
		if nonces[m[1]] {
			t.Errorf("%s: nonce used twice", s.name)
		}
		nonces[m[1]] = true
		if got := strings.Count(w.Body.String(), `nonce="`+m[1]+`"`); got != 1 {
			t.Errorf("%s: nonce %d times in the page", s.name, got)
		}
		if _, frame := s.view.(Frame); frame != (m[2] == "self") {
			t.Errorf("%s: frame-ancestors %s", s.name, m[2])
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Content-Type": "text/html; charset=utf-8", "Content-Language": "en", "Set-Cookie": "a=b",
		} {
			if got := h.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q, want %q", s.name, name, got, want)
			}
		}
	}
}

func TestEveryKeyHasWords(t *testing.T) {
	for _, k := range messageKinds {
		for _, part := range []string{".title", ".text", ".next"} {
			if english.sentence[string(k)+part] == "" {
				t.Errorf("no words for %s%s", k, part)
			}
		}
	}
	for _, e := range fieldErrors {
		if english.sentence[string(e)] == "" {
			t.Errorf("no words for %s", e)
		}
	}
	for _, d := range []Done{Removed, Renamed, Added, Revoked, Cancelled} {
		if english.sentence[string(d)] == "" {
			t.Errorf("no words for %s", d)
		}
	}
	for lang, w := range catalogue {
		for key := range english.sentence {
			if _, ok := w.sentence[key]; !ok {
				t.Errorf("%s: no words for %s", lang, key)
			}
		}
	}
}

func TestSpans(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "1 second"}, {time.Second, "1 second"}, {30 * time.Second, "30 seconds"}, {2 * time.Minute, "2 minutes"},
		{9*time.Minute + time.Second, "10 minutes"}, {time.Hour, "60 minutes"}, {2 * time.Hour, "2 hours"}, {24 * time.Hour, "24 hours"}, {72 * time.Hour, "3 days"},
	} {
		if got := english.span(c.d); got != c.want {
			t.Errorf("span(%v) = %q, want %q", c.d, got, c.want)
		}
	}
	if got := english.ago(now.Add(-119*time.Second), now); got != "1 minute ago" {
		t.Errorf("ago = %q", got)
	}
	if got := english.ago(now.Add(-30*time.Hour-59*time.Minute), now); got != "30 hours ago" {
		t.Errorf("ago = %q", got)
	}
	if got := english.left(now, now); got != "over" {
		t.Errorf("left = %q", got)
	}
}

func TestUnknownLanguagesFallBack(t *testing.T) {
	for _, lang := range []string{"", "tlh", "en-GB", "EN", "-", strings.Repeat("x", 1000)} {
		if w := wordsFor(lang); w != english {
			t.Errorf("wordsFor(%q) is %s", lang, w.lang)
		}
	}
}

func TestQRIsReadBackFromItsRuns(t *testing.T) {
	q, err := NewQR("otpauth://totp/A:b?secret=JBSWY3DPEHPK3PXP")
	if err != nil {
		t.Fatal(err)
	}
	side, black := paint(t, q.SVG())
	// The three finder patterns are what a scanner looks for first.
	n := side - 2*quietZone
	for _, corner := range [][2]int{{0, 0}, {n - 7, 0}, {0, n - 7}} {
		for i := range 7 {
			for _, at := range [][2]int{{i, 0}, {i, 6}, {0, i}, {6, i}} {
				if !black[[2]int{corner[0] + at[0] + quietZone, corner[1] + at[1] + quietZone}] {
					t.Fatalf("finder pattern at %v is broken", corner)
				}
			}
		}
	}
	for at := range black {
		if at[0] < quietZone || at[1] < quietZone || at[0] >= side-quietZone || at[1] >= side-quietZone {
			t.Fatalf("module %v in the quiet zone", at)
		}
	}
	if _, err := NewQR(strings.Repeat("x", 4000)); err == nil {
		t.Error("text of 4000 bytes encoded")
	}
}

// paint reads the path of a QR code back into modules.
func paint(t *testing.T, svg string) (side int, black map[[2]int]bool) {
	t.Helper()
	if _, err := fmt.Sscanf(svg[strings.Index(svg, "viewBox="):], `viewBox="0 0 %d`, &side); err != nil {
		t.Fatal(err)
	}
	black = map[[2]int]bool{}
	x, y := 0, 0
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)\.5|m(\d+) 0|h(\d+)`).FindAllString(svg, -1) {
		var n int
		switch m[0] {
		case 'M':
			_, _ = fmt.Sscanf(m, "M%d %d.5", &x, &y)
		case 'm':
			_, _ = fmt.Sscanf(m, "m%d 0", &n)
			x += n
		case 'h':
			_, _ = fmt.Sscanf(m, "h%d", &n)
			for i := range n {
				black[[2]int{x + i, y}] = true
			}
			x += n
		}
	}
	return side, black
}
