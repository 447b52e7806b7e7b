package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/stepup-gateway/caddy-stepup/tests/honest"
)

// tap stands between clients and an application. Bytes go through as they are; a
// copy of them is read as HTTP.
type tap struct {
	addr string // host:port, where clients connect to
	app  *app
	to   string

	mu  sync.Mutex
	got []honest.Request
}

// keep is how many bytes of a body are recorded.
const keep = 16 << 10

func (a *app) tap(to string) *tap {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { l.Close() })
	t := &tap{addr: l.Addr().String(), app: a, to: to}
	a.names[t.addr] = a.name + ".example.com"
	a.names[to] = a.name + ".example.com"
	a.taps = append(a.taps, t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go t.serve(c)
		}
	}()
	return t
}

func (t *tap) url() string { return "http://" + t.addr }

func (t *tap) serve(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", t.to)
	if err != nil {
		return
	}
	defer up.Close()
	sent, sentW := io.Pipe()
	came, cameW := io.Pipe()
	asked := make(chan *http.Request, 1000)
	recorded := make(chan int, 1000)
	go t.requests(sent, asked, recorded)
	go t.responses(came, asked, recorded)
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.MultiWriter(c, cameW), up)
		cameW.Close()
		c.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(io.MultiWriter(up, sentW), c)
	sentW.Close()
	up.(*net.TCPConn).CloseWrite()
	<-done
}

// requests reads what a client sends, until it is no HTTP any more.
func (t *tap) requests(from io.Reader, asked chan<- *http.Request, recorded chan<- int) {
	defer io.Copy(io.Discard, from)
	defer close(asked)
	r := bufio.NewReader(from)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		one := honest.Request{App: t.app.name, Method: req.Method, Target: req.RequestURI, Header: req.Header, Chunked: len(req.TransferEncoding) > 0}
		one.SetBody(body, keep)
		t.mu.Lock()
		t.got = append(t.got, one)
		recorded <- len(t.got) - 1
		t.mu.Unlock()
		select {
		case asked <- req:
		default:
			return
		}
		if req.Header.Get("Upgrade") != "" {
			return
		}
	}
}

// responses reads what the application answers, for the status.
func (t *tap) responses(from io.Reader, asked <-chan *http.Request, recorded <-chan int) {
	defer io.Copy(io.Discard, from)
	r := bufio.NewReader(from)
	for {
		// An answer may begin before the request was read to its end.
		if _, err := r.Peek(1); err != nil {
			return
		}
		req, more := <-asked
		if !more {
			return
		}
		for {
			resp, err := http.ReadResponse(r, req)
			if err != nil {
				return
			}
			if resp.StatusCode == 100 {
				continue
			}
			t.mu.Lock()
			t.got[<-recorded].Status = resp.StatusCode
			t.mu.Unlock()
			if resp.StatusCode == 101 {
				return
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return
			}
			break
		}
	}
}
