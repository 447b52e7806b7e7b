//go:build components

package components

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// The sites of the channels' tests. Their hosts are the upstream's name and the
// kind of rules.
func channelsSite(upstreams map[string]string) string {
	var b strings.Builder
	b.WriteString("{" + global + "\nservers {\nprotocols h1 h2c\n}\n}\n")
	site := func(host, rules, upstream string) {
		fmt.Fprintf(&b, "http://%s:GW_PORT {\nbind 127.0.0.1\nvars user {http.request.header.X-Test-User}\nstep_up {\ntenant t\nidentity placeholder {http.vars.user}\n%s\n}\nreverse_proxy %s\n}\n", host, rules, upstream)
	}
	const live = "protect LIVE /live/* {\ngrant time_based 1h\n}\n"
	paths := live + "protect ADMIN /admin/* {\ngrant time_based 1h\n}"
	for name, addr := range upstreams {
		site(name+".paths", paths, addr)
		site(name+".unsafe", live+"protect CHANGE {\nunsafe\nexcept /public/*\ngrant time_based 1h\n}\nprotect ADMIN /admin/* {\ngrant time_based 1h\n}", addr)
		site(name+".allows", "allow_upgrades tcp SPDY/3.1\n"+paths, addr)
	}
	site("127.0.0.1", paths, "127.0.0.1:9")
	return b.String()
}

// channels are a gateway before upstreams that would open one, and requests that
// would be the second one in it.
type channels struct {
	g         *gateway.Gateway
	cookie    string
	upstreams map[string]notes
	addrs     map[string]string

	mu    sync.Mutex
	tries []string // what each second request, by its number, was sent behind
}

func startChannels(t *testing.T) *channels {
	hypercorn, uvicorn, e := startASGI(t, "hypercorn"), startASGI(t, "uvicorn"), startEcho(t)
	c := &channels{
		upstreams: map[string]notes{"hypercorn": hypercorn, "uvicorn": uvicorn, "echo": e},
		addrs:     map[string]string{"hypercorn": hypercorn.addr, "uvicorn": uvicorn.addr, "echo": e.addr},
	}
	c.g = gateway.Start(t, channelsSite(c.addrs), gateway.Options{})
	p := c.g.NewPerson("alice")
	p.Enroll(t, "")
	p.StepUp(t, "LIVE")
	c.cookie = cookieHeader(c.g, p)
	return c
}

func (c *channels) who() string {
	return gateway.Header + ": alice\r\nCookie: " + c.cookie + "\r\n"
}

// secret numbers a second request, which no grant opens, and returns its path.
func (c *channels) secret(what string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries = append(c.tries, what)
	return "/admin/secret-" + strconv.Itoa(len(c.tries)-1)
}

var secretNote = regexp.MustCompile(`^(?:(?:http|websocket|request) \S+ (?:b')?|channel .*)/admin/secret-(\d+)`)

// check fails for every second request that an upstream has seen, and for
// everything else that no judged request can have brought there.
func (c *channels) check(t *testing.T) {
	t.Helper()
	time.Sleep(300 * time.Millisecond) // for what is on its way
	reached := 0
	for name, u := range c.upstreams {
		all := u.all(t)
		for _, line := range strings.Split(all, "\n") {
			m := secretNote.FindStringSubmatch(line)
			if m == nil && !strings.Contains(line, "root") && !strings.HasPrefix(line, "no request") && !strings.HasPrefix(line, "channel") {
				continue
			}
			if reached++; reached > 20 {
				t.Fatal("and so on")
			}
			what := "?"
			if m != nil {
				n, _ := strconv.Atoi(m[1])
				what = c.tries[n]
			}
			t.Errorf("reached %s: %.300s\nbehind %s", name, line, what)
		}
		if len(all) == 0 {
			t.Errorf("nothing reached %s", name)
		}
	}
	t.Logf("%d tries, %d reached an upstream", len(c.tries), reached)
}

// second is the request that is to get by unjudged.
func second(host, path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nStep-Up-User: root\r\n" + gateway.Header + ": alice\r\n\r\n"
}

// second2 is the same over HTTP/2, from the client's connection preface on.
func second2(host, path string) string {
	var b, block bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	f.WriteSettings()
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", host}, {":path", path}, {"step-up-user", "root"}, {strings.ToLower(gateway.Header), "alice"}} {
		// A literal without compression, so that an echo shows it as it is.
		block.WriteString("\x10" + string([]byte{byte(len(h[0]))}) + h[0] + string([]byte{byte(len(h[1]))}) + h[1])
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	return b.String()
}

// The ways in which a second request is sent behind an opening.
var behind = []struct {
	name   string
	second func(host, path string) string
	atOnce bool
}{{"HTTP/1", second, false}, {"HTTP/2", second2, false}, {"HTTP/1 at once", second, true}, {"HTTP/2 at once", second2, true}}

// try sends an opening and, down the same connection, a second request. It returns
// the status of the first answer, 0 for none.
func (c *channels) try(addr, host, target string, o opening, way int) (int, error) {
	how := behind[way%len(behind)]
	what := fmt.Sprintf("%q on %s%s, then %s", o.text, host, target, how.name)
	method, _, _ := strings.Cut(o.text, " ")
	raw := o.bytes(host, target, c.who(), second(host, c.secret(what)))
	then := how.second(host, c.secret(what))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if how.atOnce {
		raw += then
	}
	io.WriteString(conn, raw)
	in := bufio.NewReader(conn)
	conn.SetDeadline(time.Now().Add(time.Second))
	resp, err := http.ReadResponse(in, &http.Request{Method: strings.TrimSpace(method)})
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(in, &http.Request{Method: strings.TrimSpace(method)})
	}
	if err != nil {
		resp = &http.Response{Body: http.NoBody}
	} else if resp.StatusCode != http.StatusSwitchingProtocols && resp.ContentLength >= 0 {
		io.Copy(io.Discard, resp.Body)
	}
	conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if !how.atOnce {
		io.WriteString(conn, then)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		io.Copy(io.Discard, in) // a channel has no end
	}
	in.ReadByte() // until it is answered, or the connection is closed
	return resp.StatusCode, nil
}

// parallel runs jobs, several at a time.
func parallel(jobs []func()) {
	todo := make(chan func())
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			for job := range todo {
				job()
			}
		})
	}
	for _, job := range jobs {
		todo <- job
	}
	close(todo)
	wg.Wait()
}

// answers are those of echo.
var answers = []string{"switch", "other", "websocket", "bare", "late", "open", "none"}

// One judged request is one request. What could make a channel of unjudged ones of
// it is tried against a server that takes HTTP/2 by an upgrade, one that reads
// WebSockets, and one that agrees to anything.
func TestS23Channels(t *testing.T) {
	c := startChannels(t)
	t.Run("the search finds", func(t *testing.T) {
		// Without the gateway.
		h2c := opening{text: "GET TARGET HTTP/1.1\nHost: HOST\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n\n"}
		for upstream, o := range map[string]opening{"hypercorn": h2c, "echo": {text: "CONNECT TARGET HTTP/1.1\nHost: HOST\n\n"}} {
			before := strings.Count(c.upstreams[upstream].all(t), "/admin/secret-")
			if _, err := c.try(c.addrs[upstream], "h", "/public/x?answer=open", o, 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(300 * time.Millisecond)
			if strings.Count(c.upstreams[upstream].all(t), "/admin/secret-") == before {
				t.Errorf("%s without the gateway in front opens no channel", upstream)
			}
		}
	})
	fresh := startChannels(t)
	var jobs []func()
	var mu sync.Mutex
	wrong := 0
	add := func(host, target string, o opening, way int, goesOn bool) {
		jobs = append(jobs, func() {
			status, err := fresh.try(fresh.g.Host, host, target, o, way)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || status == http.StatusSwitchingProtocols || goesOn && status != http.StatusOK {
				if wrong++; wrong < 20 {
					t.Errorf("%q on %s%s: status %d, %v", o.text, host, target, status, err)
				}
			}
		})
	}
	for i, o := range append(upgrades(), others()...) {
		for j, target := range []string{"/public/x", "/live/x"} {
			for _, upstream := range []string{"hypercorn", "uvicorn"} {
				for k, kind := range []string{"paths", "unsafe", "allows"} {
					if kind == "allows" && (strings.Contains(o.text, "tcp") || strings.Contains(o.text, "SPDY")) {
						continue
					}
					// Every way with one of the kinds, the two that matter with all.
					add(upstream+"."+kind, target, o, i+j+k, o.goesOn && servable(o))
					add(upstream+"."+kind, target, o, 1, o.goesOn && servable(o))
				}
			}
		}
		for j, answer := range answers {
			target := []string{"/public/x", "/live/x"}[(i+j)%2] + "?answer=" + answer
			add("echo.paths", target, o, (i+j)/2, false)
			add("echo.unsafe", target, o, (i+j)/2+1, false)
		}
	}
	parallel(jobs)
	fresh.check(t)
}

// servable reports whether the server takes the request at all: a field with a
// control character is 400.
func servable(o opening) bool {
	return !strings.ContainsAny(o.text, "\x00\x0b")
}

// Real WebSockets go through, on a path without a rule and with a grant; without
// one they do not.
func TestS23WebSockets(t *testing.T) {
	c := startChannels(t)
	open := func(host, target, who, protocol string) (*http.Response, net.Conn, *bufio.Reader) {
		t.Helper()
		conn, err := net.Dial("tcp", c.g.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: keep-alive, Upgrade\r\nUpgrade: %s\r\n%s\r\n", target, host, who, protocol, strings.ReplaceAll(handshake, "\n", "\r\n"))
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp, conn, in
	}
	for _, upstream := range []string{"hypercorn", "uvicorn", "echo"} {
		for _, target := range []string{"/public/x?answer=switch", "/live/x?answer=switch"} {
			for _, protocol := range []string{"websocket", "WebSocket", "WEBSOCKET"} {
				if upstream == "echo" && protocol != "websocket" {
					continue
				}
				resp, conn, in := open(upstream+".paths", target, c.who(), protocol)
				if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
					t.Errorf("%s on %s%s: %s %v", protocol, upstream, target, resp.Status, resp.Header)
					continue
				}
				conn.Write(frame("hello"))
				want := "\x81\x05hello"
				if upstream == "echo" {
					want = string(frame("hello"))
				}
				got := make([]byte, len(want))
				if _, err := io.ReadFull(in, got); string(got) != want {
					t.Errorf("%s on %s%s: %q, %v", protocol, upstream, target, got, err)
				}
			}
		}
		if resp, _, _ := open(upstream+".paths", "/live/x?answer=switch", gateway.Header+": alice\r\n", "websocket"); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("without a grant: %s", resp.Status)
		}
	}
	for protocol, opens := range map[string]bool{"tcp": true, "TCP": true, "spdy/3.1": true, "SPDY/3": false, "tcp/1": false, "tcp, h2c": false, "h2c": false, "tcp2": false} {
		resp, conn, in := open("echo.allows", "/public/x?answer=switch", "", protocol)
		if opened := resp.StatusCode == http.StatusSwitchingProtocols; opened != opens {
			t.Errorf("allow_upgrades tcp SPDY/3.1, and %s: %s", protocol, resp.Status)
		} else if opens {
			io.WriteString(conn, "hello")
			if got := make([]byte, 5); true {
				if _, err := io.ReadFull(in, got); string(got) != "hello" {
					t.Errorf("%s: %q, %v", protocol, got, err)
				}
			}
		}
		if resp, _, _ := open("echo.allows", "/live/x?answer=switch", gateway.Header+": alice\r\n", protocol); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a grant: %s", protocol, resp.Status)
		}
	}
}
