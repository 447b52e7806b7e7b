//go:build components

package components

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/browser"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// phpNotes is an application in PHP that guards its form by a token in the
// session, and by Origin and Referer. It counts what it took in the session.
func phpNotes(t *testing.T) string {
	dir, port := t.TempDir(), freeport.Find(t)
	text := `<?php
		session_set_cookie_params(['httponly' => true, 'samesite' => 'Strict']);
		session_save_path(__DIR__);
		session_start();
		$_SESSION['token'] ??= bin2hex(random_bytes(16));
		$_SESSION['notes'] ??= [];
		header('Content-Type: text/html; charset=utf-8');
		if ($_SERVER['REQUEST_METHOD'] === 'POST') {
			$from = fn($name) => parse_url($_SERVER[$name] ?? '', PHP_URL_HOST) . ':' . parse_url($_SERVER[$name] ?? '', PHP_URL_PORT);
			foreach ([
				'token' => hash_equals($_SESSION['token'], $_POST['token'] ?? ''),
				'Origin' => $from('HTTP_ORIGIN') === $_SERVER['HTTP_HOST'],
				'Referer' => $from('HTTP_REFERER') === $_SERVER['HTTP_HOST'],
			] as $what => $right) if (!$right) { http_response_code(403); exit("<!doctype html><title>no</title>The application refuses the $what"); }
			$_SESSION['notes'][] = $_POST['note'];
			$_SESSION['token'] = bin2hex(random_bytes(16)); // good once
		}
		echo '<!doctype html><title>notes</title><h1>Notes</h1><ol>';
		foreach ($_SESSION['notes'] as $note) echo '<li>' . htmlspecialchars($note) . '</li>';
		echo '</ol><form method="post" action="/wire/note"><input type="hidden" name="token" value="' . $_SESSION['token'] . '"><label>Note <input name="note"></label><button>Keep it</button></form>';`
	if err := os.WriteFile(filepath.Join(dir, "router.php"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, port, exec.Command(program(t, "php"), "-S", "127.0.0.1:"+port, "-t", dir, filepath.Join(dir, "router.php")))
}

// goNotes is the same application in Go, which guards its form by the standard
// library's protection and by a token that is in a cookie too.
func goNotes(t *testing.T) string {
	var notes []string
	show := func(w http.ResponseWriter, token string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><title>notes</title><h1>Notes</h1><ol>")
		for _, note := range notes {
			fmt.Fprintf(w, "<li>%s</li>", html.EscapeString(note))
		}
		fmt.Fprintf(w, `</ol><form method="post" action="/wire/note"><input type="hidden" name="token" value="%s"><label>Note <input name="note"></label><button>Keep it</button></form>`, token)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		token := rand.Text()
		http.SetCookie(w, &http.Cookie{Name: "token", Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		show(w, token)
	})
	mux.HandleFunc("POST /wire/note", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("token")
		if err != nil || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(r.PostFormValue("token"))) != 1 {
			http.Error(w, "The application refuses the token", http.StatusForbidden)
			return
		}
		for _, name := range []string{"Origin", "Referer"} {
			if from, err := url.Parse(r.Header.Get(name)); err != nil || from.Host != r.Host {
				http.Error(w, "The application refuses the "+name, http.StatusForbidden)
				return
			}
		}
		notes = append(notes, r.PostFormValue("note"))
		show(w, cookie.Value)
	})
	s := httptest.NewServer(http.NewCrossOriginProtection().Handler(mux))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestApplicationsOwnProtectionInBrowser sends a form through a challenge to
// applications that check where forms come from. They must find the held one as
// good as one that came at once, and another site's form must not come as far as
// to be held.
func TestApplicationsOwnProtectionInBrowser(t *testing.T) {
	b := browser.Start(t)
	for name, start := range map[string]func(*testing.T) string{"PHP": phpNotes, "Go": goNotes} {
		t.Run(name, func(t *testing.T) {
			g := gateway.Start(t, annsBank(""), gateway.Options{Upstream: start(t)})
			p := g.NewPerson("ann")
			p.Enroll(t, "")
			_, port, _ := strings.Cut(g.Host, ":")
			c := newCustomer(t, b, "http://notes.localhost:"+port, browser.Options{NoScripts: true})
			c.app = &p.App
			notes := func(want ...string) {
				t.Helper()
				if got := strings.Join(c.Texts("li"), ", "); got != strings.Join(want, ", ") {
					t.Fatalf("the application has %q, want %q:\n%s", got, want, c.Text())
				}
			}

			c.Go(c.site + "/")
			c.Fill("Note", "first <&>")
			c.Click("Keep it")
			c.proves()
			c.Sees("Notes")
			notes("first <&>")
			c.Reload()
			c.Go(c.site + "/")
			notes("first <&>")

			// The application does check: without its token nothing is kept, held
			// or not.
			c.Ask("() => { document.forms[0].token.value = 'x'; return '' }")
			c.Fill("Note", "forged")
			c.Click("Keep it")
			c.proves()
			c.Sees("The application refuses the token")

			// Another site's form is refused before anybody is asked to prove.
			begun := strings.Count(g.Log(), `"challenge begun"`)
			c.Go(page(t, `<form method="post" action="`+c.site+`/wire/note"><input name="token" value="x"><input name="note" value="stolen"><button>Win a prize</button></form>`))
			c.Click("Win a prize")
			if c.Status() != http.StatusForbidden {
				t.Errorf("another site's form gets %d", c.Status())
			}
			c.SeesNot("Confirm it’s you", "The application")
			if n := strings.Count(g.Log(), `"challenge begun"`) - begun; n != 0 {
				t.Errorf("another site's form began %d challenges", n)
			}
			c.Go(c.site + "/")
			notes("first <&>")
			c.calm()
		})
	}
}
