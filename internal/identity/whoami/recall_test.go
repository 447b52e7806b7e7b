package whoami_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/identity/whoami"
)

// What is recalled of a request is no good for one that differs in anything that
// the application is sent, however the bytes are divided.
func TestS21RecalledForTheSameRequestOnly(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user := fmt.Sprintf("%q %q %q %q %q %q", r.Header["Cookie"], r.Header["Authorization"], r.UserAgent(), r.Host, r.Header["X-Real-Ip"], r.Header["X-Forwarded-Proto"])
		fmt.Fprintf(w, `{"user":%q}`, fmt.Sprintf("%x", user))
	})
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, Cache: time.Hour, AddressField: "X-Real-Ip", Forward: []string{"X-Tenant"}})
	type asked struct {
		r  *http.Request
		as whoami.Asked
	}
	proto := func(v string) http.Header { return http.Header{"X-Forwarded-Proto": {v}} }
	all := []asked{
		{request("Cookie", "sid=ab"), whoami.Asked{}},
		{request("Cookie", "sid=a"), whoami.Asked{}},
		{request("Cookie", "sid=a", "User-Agent", "b"), whoami.Asked{}},
		{request("Authorization", "sid=a"), whoami.Asked{}},
		{request("Cookie", "sid=a"), whoami.Asked{Host: "a.test"}},
		{request("Cookie", "sid=a"), whoami.Asked{Host: "b.test"}},
		{request("Cookie", "sid=a"), whoami.Asked{Host: "a.test", Address: "192.0.2.1"}},
		{request("Cookie", "sid=a"), whoami.Asked{Host: "a.test", Address: "192.0.2.2"}},
		{request("Cookie", "sid=a"), whoami.Asked{Fields: proto("http")}},
		{request("Cookie", "sid=a"), whoami.Asked{Fields: proto("https")}},
	}
	users := map[string]int{}
	for range 3 {
		for i, a := range all {
			who, err := s.Identify(a.r, a.as)
			if err != nil {
				t.Fatal(i, err)
			}
			if first, ok := users[who.User]; ok && first != i {
				t.Errorf("request %d has the answer of request %d", i, first)
			}
			users[who.User] = i
		}
	}
	if got := len(app.questions()); got != len(all) {
		t.Errorf("%d questions, want %d", got, len(all))
	}
	// The tenant is not part of the answer here, but it is asked with it.
	for _, tenant := range []string{"x", "y"} {
		if _, err := s.Identify(request("Cookie", "sid=a", "X-Tenant", tenant), whoami.Asked{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(app.questions()); got != len(all)+2 {
		t.Errorf("%d questions, want %d", got, len(all)+2)
	}
}

// Somebody who has logged out is recalled no longer than the oldest answer holds,
// to the moment, and a clock that was set back recalls nobody.
func TestS17RecalledNoLongerThanAnswersHold(t *testing.T) {
	var users sync.Map
	app, c := serve(t, sessions(&users)), new(clock)
	s := source(t, whoami.Options{URL: app.URL, Reader: whoami.Reader{JSON: pointer(t, "/user")}, SessionCookie: "sid", Cache: 5 * time.Second, Now: c.now})
	users.Store("one", "alice")
	r := request("Cookie", "sid=one")
	is := func(want string) {
		t.Helper()
		if who, err := s.Identify(r, whoami.Asked{}); who.User != want || (err == nil) != (want != "") {
			t.Fatalf("%q, %v; want %q", who.User, err, want)
		}
	}
	is("alice")
	users.Store("one", "bob")
	c.advance(5*time.Second - 1)
	is("alice")
	c.advance(1)
	is("bob")
	users.Store("one", "carol")
	c.advance(-1)
	is("carol")
	users.Delete("one")
	c.advance(6 * time.Second)
	is("")
}
