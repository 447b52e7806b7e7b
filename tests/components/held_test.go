//go:build components

package components

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// sendForm sends a form as a browser's window does, and gives the id of the
// challenge that it meets.
func sendForm(p *gateway.Person, path, body string) (challenge string, err error) {
	resp, answer, err := p.Do("POST", path, map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document",
	}, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	id, ok := strings.CutPrefix(resp.Header.Get("Location"), "/.step-up/challenge/")
	if resp.StatusCode != http.StatusSeeOther || !ok {
		return "", fmt.Errorf("the form gets %s to %q: %.200s", resp.Status, resp.Header.Get("Location"), answer)
	}
	return id, nil
}

// prove passes a challenge and gives the address to which the person comes back.
func prove(t *testing.T, p *gateway.Person, challenge string) (resume string) {
	t.Helper()
	var won struct {
		ResumeURL string `json:"resume_url"`
	}
	if _, err := p.API("POST", "/challenges/"+challenge+"/verify", map[string]string{"method": "totp", "code": p.Code(t)}, &won); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(won.ResumeURL, "step_up_resume=") {
		t.Fatalf("nothing is held: the way back is %q", won.ResumeURL)
	}
	return won.ResumeURL
}

// cameBack is what a browser's window sends when the gateway leads it back.
var cameBack = map[string]string{"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}

// TestS03HeldFormRaceDuringReloads comes back for one held form in 32 requests
// at once, over as many connections, on a grant for one use and on one for ten
// minutes.
func TestS03HeldFormRaceDuringReloads(t *testing.T) {
	const comers = 32
	up := newCounter(t)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	reloads := reloading(t, g)
	client := &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: comers}, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for round := range rounds {
		for _, kind := range []string{"wire", "view"} {
			p := g.NewPerson(fmt.Sprintf("%s-%d", kind, round))
			path := fmt.Sprintf("/%s/%d", kind, round)
			var resume string
			reloads.quietly(func() {
				p.Enroll(t, "")
				id, err := sendForm(p, path, "amount=1")
				if err != nil {
					t.Fatal(err)
				}
				resume = prove(t, p, id)
			})
			cookie := cookieHeader(g, p)
			passed := race(comers, func(int) bool {
				req, _ := http.NewRequest("GET", g.URL+resume, nil)
				req.Header.Set(gateway.Header, p.Name)
				req.Header.Set("Cookie", cookie)
				for name, value := range cameBack {
					req.Header.Set(name, value)
				}
				resp, err := patient(client, req)
				if err != nil {
					t.Error(err)
					return false
				}
				defer resp.Body.Close()
				io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusSeeOther {
					t.Errorf("round %d, %s: status %s", round, kind, resp.Status)
				}
				return resp.StatusCode == http.StatusOK
			})
			if passed != 1 || up.count(path) != 1 {
				t.Fatalf("round %d, %s: %d came through and %d forms reached the application, want 1", round, kind, passed, up.count(path))
			}
		}
	}
	t.Logf("%d rounds of %d requests for each kind of grant, %d reloads meanwhile", rounds, comers, reloads.count)
}

// TestKill9KeepsHeldForms kills the gateway at every step between a form and its
// arrival: before the proof, after it, and after the form has gone on.
func TestKill9KeepsHeldForms(t *testing.T) {
	up := newSocket(t, nil)
	g := gateway.New(t, gateway.Options{Upstream: up.addr})
	g.Run(bank(""))
	p := g.NewPerson("alice")
	p.Enroll(t, "")
	killed := func() {
		t.Helper()
		g.Kill()
		g.Run(bank(""))
	}
	for _, path := range []string{"/wire/1?a=%2f&&a", "/view/1"} {
		body := strings.Repeat("x=%00&y=1&x=2&", 20_000)
		challenge, err := sendForm(p, path, body)
		if err != nil {
			t.Fatal(err)
		}
		killed()
		resume := prove(t, p, challenge)
		killed()
		up.none(t, "before anybody came back")
		resp, answer, err := p.Do("GET", resume, cameBack, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("coming back: %v %v %.200s", resp, err, answer)
		}
		if form := up.one(t); form.RequestURI != path || string(form.body) != body || form.Header.Get("Step-Up-User") != "alice" {
			t.Errorf("%s %s with %d bytes for %q", form.Method, form.RequestURI, len(form.body), form.Header.Get("Step-Up-User"))
		}
		killed()
		if resp, answer, err = p.Do("GET", resume, cameBack, nil); err != nil || resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != path {
			t.Errorf("coming back again: %v %v %.200s", resp, err, answer)
		}
		up.none(t, "after the form had gone on")
	}
}

// exchange sends bytes over a connection of their own and gives the answer.
func exchange(t *testing.T, g *gateway.Gateway, raw string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", g.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, raw); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// TestHeldFormsOfEveryShape sends forms that no client library would send, once
// past every rule and once through a challenge. What comes out of the upstream's
// socket must be the same both times, but for what the gateway adds.
func TestHeldFormsOfEveryShape(t *testing.T) {
	up := newSocket(t, nil)
	g := gateway.Start(t, bank(""), gateway.Options{Upstream: up.addr})
	const many = "Content-Many: 1\r\nContent-Many: 2\r\ncontent-many: 1\r\nContent-Empty:\r\nContent-Many: \r\nContent-Many: 1, 2\r\nContent-Type: application/octet-stream; x=1\r\nOrigin: null\r\n"
	const chunked = many + "Transfer-Encoding: chunked\r\n\r\n"
	sized := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	for name, c := range map[string]struct{ query, rest, body string }{
		"sized":                 {"", many + sized("a=1"), "a=1"},
		"without a body":        {"", many + sized(""), ""},
		"without a length":      {"", many + "\r\n", ""},
		"chunked":               {"?x=1", chunked + "3\r\na=1\r\n5;x=y\r\n\x00\xff\r\n&\r\n0\r\n\r\n", "a=1\x00\xff\r\n&"},
		"chunked and empty":     {"", chunked + "0\r\n\r\n", ""},
		"compressed":            {"", "Content-Encoding: gzip\r\n" + many + sized("\x1f\x8b\x08no gzip"), "\x1f\x8b\x08no gzip"},
		"a query of all sorts":  {"?a=1&&a=1&=&;b;c=%zz&d=%2F%2f+%20&e[]=1&f=?&x=\"<>'|^`", many + sized("a=1"), "a=1"},
		"an empty query":        {"?", many + sized("a=1"), "a=1"},
		"a query like a handle": {"?step_up_resume=1&b", many + sized("a=1"), "a=1"},
		"lines after the body":  {"", many + sized("a=1\r\n\r\nGET / HTTP/1.1\r\n\r\n"), "a=1\r\n\r\nGET / HTTP/1.1\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := g.NewPerson("alice of " + name)
			p.Enroll(t, "")
			// One browser all along: its cookie for the gateway, and the application's.
			head := func(method, target string) string {
				return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\nCookie: %s\r\nAccept: text/html\r\nUser-Agent: test\r\n"+
					"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nReferer: http://%s/form\r\n", method, target, g.Host, gateway.Header, p.Name, strings.TrimSuffix("app=1; "+cookieHeader(g, p), "; "), g.Host)
			}
			if resp := exchange(t, g, head("POST", "/open/x"+c.query)+c.rest); resp.StatusCode != http.StatusOK {
				t.Fatalf("without a rule: %s", resp.Status)
			}
			plain := up.one(t)

			resp := exchange(t, g, head("POST", "/wire/x"+c.query)+c.rest)
			id, ok := strings.CutPrefix(resp.Header.Get("Location"), "/.step-up/challenge/")
			if resp.StatusCode != http.StatusSeeOther || !ok {
				t.Fatalf("with a rule: %s to %q", resp.Status, resp.Header.Get("Location"))
			}
			site, err := url.Parse(g.URL)
			if err != nil {
				t.Fatal(err)
			}
			p.Client.Jar.SetCookies(site, resp.Cookies())
			resume := prove(t, p, id)
			if want := "/wire/x" + c.query; !strings.HasPrefix(resume, want) {
				t.Errorf("comes back to %q", resume)
			}
			up.none(t, "before anybody came back")
			if resp := exchange(t, g, head("GET", resume)+"\r\n"); resp.StatusCode != http.StatusOK {
				t.Fatalf("coming back: %s to %q", resp.Status, resp.Header.Get("Location"))
			}
			held := up.one(t)

			if string(held.body) != c.body || string(plain.body) != c.body {
				t.Errorf("the body is %q, and %q without a rule; want %q", held.body, plain.body, c.body)
			}
			if want, got := withoutOurs(plain), withoutOurs(held); !slices.Equal(want, got) {
				t.Errorf("the upstream's socket got\n%s\n\nand without a rule\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// withoutOurs is a request's head without what the gateway adds, and with one
// word for the two paths.
func withoutOurs(a arrived) []string {
	lines := slices.DeleteFunc(a.head(), func(line string) bool { return strings.HasPrefix(line, "Step-Up-") })
	lines[0] = strings.Replace(lines[0], " /wire/", " /open/", 1)
	return lines
}
