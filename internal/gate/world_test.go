package gate_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
)

// site is a gate on a TCP port, in front of an application that notes what
// reaches it.
type site struct {
	*ceremonytest.World
	t    *testing.T
	URL  string
	Gate *gate.Gate

	people map[string]*ceremonytest.Person
	back   atomic.Pointer[gate.Gate]

	mu       sync.Mutex
	reached  []*http.Request // by the application, in order
	counted  map[string]int  // action + " " + outcome
	audited  []ceremony.Event
	failures []string
}

// The actions of the sites in these tests.
var (
	admin    = ceremonytest.Demand("ADMIN", grants.TimeBased, 10*time.Minute)
	transfer = ceremonytest.Demand("TRANSFER", grants.OneTimeUse, 2*time.Minute)
	change   = ceremonytest.Demand("CHANGE", grants.TimeBased, 5*time.Minute)
)

// below matches a path and all under it, without case, as Caddy's matcher does.
func below(prefix string) func(*http.Request) (bool, error) {
	return func(r *http.Request) (bool, error) {
		p := strings.ToLower(r.URL.Path)
		return p == prefix || strings.HasPrefix(p, prefix+"/"), nil
	}
}

func methodAnd(method string, match func(*http.Request) (bool, error)) func(*http.Request) (bool, error) {
	return func(r *http.Request) (bool, error) {
		if r.Method != method {
			return false, nil
		}
		return match(r)
	}
}

func usualRules() []gate.Rule {
	return []gate.Rule{
		{Demand: admin, Label: "Administration", Match: below("/admin"), Line: "Caddyfile:3"},
		{Demand: transfer, Label: "Transfer", Match: methodAnd("POST", below("/transfer")), UsesMethod: true, Line: "Caddyfile:6"},
		{Demand: change, Label: "Change", Unsafe: true, Except: []string{"/login", "/assets/*"}, Line: "Caddyfile:9"},
	}
}

// nobodyWho is the X-User of nobody; see identify.
const nobodyWho = ""

// newSite makes a site with the usual rules. The application is asked in
// process; the user is the header X-User, the session X-Session.
func newSite(t *testing.T, edits ...func(*gate.Options)) *site {
	t.Helper()
	s := &site{World: ceremonytest.New(t), t: t, people: map[string]*ceremonytest.Person{}, counted: map[string]int{}}
	s.Gate = s.newGate(edits...)
	s.back.Store(s.Gate)
	s.URL = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := s.front().ServeHTTP(w, r, func(w http.ResponseWriter, r *http.Request) error {
			return s.back.Load().ServeHTTP(w, r, s.application)
		})
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	return s
}

// front is what stands before all handlers of the site.
func (s *site) front() *gate.Front {
	return gate.NewFront(gate.FrontOptions{Ceremony: s.Service, Server: s.options().Server})
}

func (s *site) newGate(edits ...func(*gate.Options)) *gate.Gate {
	s.t.Helper()
	o := s.options()
	for _, edit := range edits {
		edit(&o)
	}
	g, err := gate.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

func (s *site) options() gate.Options {
	return gate.Options{
		Tenant: ceremonytest.Tenant, Issuer: "Test", Rules: usualRules(), Ceremony: s.Service, Identify: identify,
		Server:   server{},
		Portal:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "portal ", r.RequestURI) }),
		Announce: gate.AnnounceAll,
		Counter: func(action string, outcome gate.Outcome) func() {
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.counted[action+" "+string(outcome)]++
			}
		},
		Audit: func(_ context.Context, e ceremony.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.audited = append(s.audited, e)
		},
		Failed: func(_ *http.Request, doing string, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failures = append(s.failures, fmt.Sprintf("%s: %v", doing, err))
		},
		Now: s.Clock.Now,
	}
}

var errSource = errors.New("the source is down")

func identify(r *http.Request, _ gate.Sent) (ceremony.Principal, error) {
	switch user := r.Header.Get("X-User"); user {
	case nobodyWho:
		return ceremony.Principal{}, identity.ErrNobody
	case "failing":
		return ceremony.Principal{}, errSource
	case "panicking":
		panic("the source is broken")
	case "twofold":
		return ceremony.Principal{}, identity.ErrAmbiguous
	case "zero":
		return ceremony.Principal{}, nil
	default:
		p := ceremony.Principal{Subject: grants.Subject{User: user}}
		if session := r.Header.Get("X-Session"); session != "" {
			p.Session = sha256.Sum256([]byte(session))
		}
		return p, nil
	}
}

func (s *site) application(w http.ResponseWriter, r *http.Request) error {
	s.mu.Lock()
	s.reached = append(s.reached, r)
	s.mu.Unlock()
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, err := io.WriteString(w, "application")
	return err
}

// takeReached returns what reached the application since it was last called.
func (s *site) takeReached() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.reached
	s.reached = nil
	return r
}

// token wins a grant for the user, who enrolls first where need be.
func (s *site) token(user string, d grants.Demand) string {
	s.t.Helper()
	who := s.people[user]
	if who == nil {
		p := ceremony.Principal{Site: ceremonytest.Site, Subject: grants.Subject{Tenant: ceremonytest.Tenant, User: user}, Browser: sha256.Sum256([]byte(user))}
		who = s.EnrollAs(p, ceremony.Leave{})
		s.people[user] = who
	}
	return s.Win(who, d).Token.Text()
}

// grantCookie is the pair for the Cookie header.
func grantCookie(d grants.Demand, token string) string {
	return cookies.Grant(ceremonytest.Tenant, d.Action.String()).On(true) + "=" + token
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// site is the site that was asked; of an answer that came over no network it is
// ceremonytest's.
func (a answer) site() string {
	if a.Request == nil {
		return ceremonytest.Site
	}
	host := a.Request.Host
	if host == "" {
		host = a.Request.URL.Host
	}
	return "https://" + strings.TrimSuffix(strings.ToLower(host), ":443")
}

// do sends a request over TCP, by default as alice. Headers come in pairs.
func (s *site) do(method, target, body string, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequest(method, s.URL, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.URL.Opaque = target // sent as it stands
	if strings.HasPrefix(target, "//") {
		r.URL = &url.URL{Scheme: "http", Host: r.URL.Host, Path: target}
	}
	r.Header.Set("X-User", "alice")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header[http.CanonicalHeaderKey(headers[i])] = []string{headers[i+1]}
	}
	client := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true},
	}
	res, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(text)}
}

// raw sends bytes over TCP and gives the status; 0 where the server hung up.
func (s *site) raw(text string) int {
	s.t.Helper()
	return sendRaw(s.t, s.URL, text)
}

func sendRaw(t *testing.T, to, text string) int {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(to, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	var proto string
	var status int
	if _, err := fmt.Fscan(c, &proto, &status); err != nil {
		return 0
	}
	return status
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = quiet
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

// browserCookie is a browser's cookie, as NewBrowser makes it.
func browserCookie() string {
	var raw [32]byte
	rand.Read(raw[:])
	return cookies.Browser.On(true) + "=" + base64.RawURLEncoding.EncodeToString(raw[:])
}

// navigation are the headers of a browser's navigation.
var navigation = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "same-origin", "Accept", "text/html"}

func with(more ...string) []string { return append(append([]string(nil), navigation...), more...) }
