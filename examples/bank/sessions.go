package bank

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	cookieName = "oldbank_session"

	sessionIdle = time.Hour      // ends when unused for so long
	sessionLife = 12 * time.Hour // and in any case after so long

	maxSessions = 10_000 // so that a login loop cannot fill the memory
	maxBack     = 2_048  // bytes of a return target
)

// session is one signed-in browser.
type session struct {
	id, user, csrf string
	begun, seen    time.Time
}

func (s session) over(now time.Time) bool {
	return now.Sub(s.seen) >= sessionIdle || now.Sub(s.begun) >= sessionLife
}

// sessions are the live ones by the value of their cookie.
type sessions struct {
	mu   sync.Mutex
	byID map[string]session
}

// begin opens a session under a new id. When there are too many, the one that
// was unused for longest makes room.
func (ss *sessions) begin(user string, now time.Time) session {
	s := session{id: rand.Text(), user: user, csrf: rand.Text(), begun: now, seen: now}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.byID) >= maxSessions {
		oldest := s
		for _, other := range ss.byID {
			if other.seen.Before(oldest.seen) {
				oldest = other
			}
			if other.over(now) {
				delete(ss.byID, other.id)
			}
		}
		delete(ss.byID, oldest.id)
	}
	ss.byID[s.id] = s
	return s
}

// of finds the session of a request. A session cookie sent twice is nobody's:
// which of the two counts is a question that two programs may answer differently.
func (ss *sessions) of(r *http.Request, now time.Time) (session, bool) {
	cookies := r.CookiesNamed(cookieName)
	if len(cookies) != 1 {
		return session{}, false
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s, ok := ss.byID[cookies[0].Value]
	if !ok {
		return session{}, false
	}
	if s.over(now) {
		delete(ss.byID, s.id)
		return session{}, false
	}
	s.seen = now
	ss.byID[s.id] = s
	return s, true
}

func (ss *sessions) end(id string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.byID, id)
}

// setCookie hands the session to the browser; an empty id takes it back.
func setCookie(w http.ResponseWriter, r *http.Request, id string) {
	c := &http.Cookie{
		Name: cookieName, Value: id, Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		// Over plain HTTP, as in the demo, a Secure cookie would not come back.
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
	if id == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// loginURL is the login form that leads back to a page of ours.
func loginURL(back string) string {
	if back = localTarget(back); back == "/" {
		return "/login"
	}
	return "/login?next=" + url.QueryEscape(back)
}

// localTarget gives back a return target that stays on this host, and "/" for
// any other: browsers read "//host" and "/\host" as another host, and drop tabs
// and newlines before they look.
func localTarget(target string) string {
	if len(target) > maxBack || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return "/"
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == '\\' || c >= 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(target)
	if err != nil || u.Host != "" || u.Scheme != "" || u.Path == "/login" {
		return "/"
	}
	return target
}
