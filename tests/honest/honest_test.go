package honest_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/caddytestbed"
	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
	"github.com/stepup-gateway/caddy-stepup/tests/honest"
)

var write = flag.Bool("golden", false, "write testdata/golden.txt.gz from what the code does now")

const corpus = "testdata/requests.jsonl.gz"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(caddytestbed.Main(m))
}

// TestHonestRequests sends every recorded request to every site, and compares what
// became of it with what became of it at the commit that golden.sh names. Nothing
// may be refused, asked for or changed that was not then, but what
// testdata/differences.txt lists with its reason.
func TestHonestRequests(t *testing.T) {
	all, err := honest.Load(corpus)
	if err != nil {
		t.Fatal(err)
	}
	applications := make(map[string]int)
	for _, r := range all {
		applications[r.App]++
	}
	if len(all) < 10_000 || len(applications) < 10 {
		t.Errorf("%d requests to %d applications: too few to mean something", len(all), len(applications))
	}
	now := outcomes(t, all)
	if *write {
		if err := writeGolden(sum(t), now); err != nil {
			t.Fatal(err)
		}
		return
	}
	before, of, err := readGolden()
	if err != nil {
		t.Fatal(err)
	}
	if of != sum(t) || len(before) != len(all) {
		t.Fatal("testdata/golden.txt.gz is about other requests: run tests/honest/golden.sh")
	}
	compare(t, all, before, now)
}

func sum(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(corpus)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// outcomes are what becomes of each request on each site.
func outcomes(t *testing.T, all []honest.Request) [][]string {
	t.Helper()
	whoami := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("sid")
		user, password, _ := r.BasicAuth()
		if err == nil && c.Value == "alice" || user == "alice" && password == "wonderland" {
			io.WriteString(w, `{"user": "alice"}`)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(whoami.Close)
	hash, err := bcrypt.GenerateFromPassword([]byte("wonderland"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sites {
		s.port = freeport.Find(t)
	}
	bed := caddytestbed.New(t)
	bed.Load(caddyfile(strings.TrimPrefix(whoami.URL, "http://"), string(hash)))

	out := make([][]string, len(all))
	for i := range out {
		out[i] = make([]string, len(sites))
	}
	for n, s := range sites {
		credentials, clients := s.enroll(t), 4
		if s.every > 0 {
			clients = 1 // what is asked depends on what was asked before
		}
		var group sync.WaitGroup
		for client := range clients {
			group.Go(func() {
				c := &connection{addr: "127.0.0.1:" + s.port}
				defer c.close()
				for i := client; i < len(all); i += clients {
					if s.every == 0 || i%s.every == 0 {
						out[i][n] = c.send(s.dress(all[i], credentials))
					}
				}
			})
		}
		group.Wait()
	}
	return out
}

// enroll gives alice what she needs on a site: cookies in order to be her, with
// a proof.
func (s *site) enroll(t *testing.T) string {
	t.Helper()
	if !s.signedIn {
		return ""
	}
	g := &gateway.Gateway{URL: "http://127.0.0.1:" + s.port}
	p := g.NewPerson("alice")
	at, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	switch s.name {
	case "whoami":
		p.Client.Jar.SetCookies(at, []*http.Cookie{{Name: "sid", Value: "alice"}})
	case "password":
		p.Client.Transport = password{p.Client.Transport}
	}
	p.Enroll(t, "")
	if s.proved {
		p.StepUp(t, "ALL")
	}
	var cookies []string
	for _, c := range p.Client.Jar.Cookies(at) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	return strings.Join(cookies, "; ")
}

type password struct{ http.RoundTripper }

const basic = "Basic YWxpY2U6d29uZGVybGFuZA==" // alice:wonderland

func (p password) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", basic)
	return p.RoundTripper.RoundTrip(r)
}

// dress makes a request alice's, where she is signed in.
func (s *site) dress(r honest.Request, credentials string) honest.Request {
	if !s.signedIn {
		return r
	}
	r.Header = r.Header.Clone()
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	if cookie := r.Header.Get("Cookie"); cookie != "" {
		credentials = cookie + "; " + credentials
	}
	r.Header["Cookie"] = []string{credentials}
	switch s.name {
	case "password":
		r.Header["Authorization"] = []string{basic}
	case "proved", "asked":
		r.Header[gateway.Header] = []string{"alice"}
	}
	return r
}

// connection is a client's, kept for the next request where the server keeps it.
type connection struct {
	addr string
	conn net.Conn
	r    *bufio.Reader
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// send sends a request and says what became of it: "pass", with what the
// application did not get as it was sent, or the status with the problem's code.
func (c *connection) send(r honest.Request) string {
	var resp *http.Response
	var err error
	for try := range 2 {
		if c.conn == nil {
			if c.conn, err = net.Dial("tcp", c.addr); err != nil {
				return err.Error()
			}
			c.r, try = bufio.NewReader(c.conn), 1
		}
		c.conn.SetDeadline(time.Now().Add(20 * time.Second))
		resp, err = c.exchange(r)
		if err == nil || try == 1 {
			break
		}
		c.close() // it may have been closed while idle
	}
	if err != nil {
		c.close()
		return "no answer"
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.close()
		return "half an answer"
	}
	if resp.Close || strings.EqualFold(r.Header.Get("Connection"), "close") {
		c.close()
	}
	if resp.StatusCode != 299 {
		var problem struct{ Code string }
		if json.Unmarshal(body, &problem) != nil || problem.Code == "" {
			return fmt.Sprint(resp.StatusCode)
		}
		return fmt.Sprint(resp.StatusCode, " ", problem.Code)
	}
	if r.Method == http.MethodHead {
		return "pass"
	}
	return passed(r, body)
}

func (c *connection) exchange(r honest.Request) (*http.Response, error) {
	// What is refused may be answered before it was sent to its end.
	wire := r.Wire(r.App + ".example.com")
	go c.conn.Write(wire)
	for {
		resp, err := http.ReadResponse(c.r, &http.Request{Method: r.Method})
		if err != nil || resp.StatusCode != http.StatusContinue {
			return resp, err
		}
	}
}

// passed compares what the application got with what was sent.
func passed(r honest.Request, got []byte) string {
	parts := bytes.SplitN(got, []byte("\n"), len(seen)+2)
	if len(parts) != len(seen)+2 {
		return "pass, unreadable"
	}
	var changed []string
	if string(parts[0]) != r.Method+" "+r.Target {
		changed = append(changed, "line")
	}
	for i, name := range seen {
		sent, came := strings.Join(r.Header[name], ","), string(parts[i+1])
		if name == "Cookie" { // ours are not the application's
			var theirs []string
			for _, c := range strings.Split(sent, ";") {
				c = strings.TrimSpace(c)
				if c != "" && !strings.HasPrefix(c, "step_up_") && !strings.HasPrefix(c, "__Host-step_up_") {
					theirs = append(theirs, c)
				}
			}
			sent, came = strings.Join(theirs, "; "), strings.Trim(came, "; ")
		}
		if came != sent {
			changed = append(changed, name)
		}
	}
	if !bytes.Equal(parts[len(parts)-1], r.Body()) {
		changed = append(changed, "body")
	}
	if changed == nil {
		return "pass"
	}
	return "pass, but for " + strings.Join(changed, " ")
}
