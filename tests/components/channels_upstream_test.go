//go:build components

package components

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

// notes are what an upstream of the channels' tests was reached by.
type notes interface {
	// all returns one line for each request, and what came through channels as it
	// was.
	all(t *testing.T) string
}

// asgi is the application of channels.py under one of its servers.
type asgi struct{ addr, file string }

func startASGI(t *testing.T, server string) asgi {
	port, file := freeport.Find(t), filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return asgi{serve(t, port, exec.Command("/usr/bin/python3", "channels.py", server, port, file)), file}
}

func (a asgi) all(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// echo is a TCP server that agrees to anything. It reads a request, and answers it
// as the request's query asks:
//
//	answer=switch     101 with the protocol that was asked for, if one was
//	answer=other      101 with h2c
//	answer=websocket  101 with websocket, whatever was asked for
//	answer=bare       101 with no protocol
//	answer=late       100, and 101 with no header at all
//	answer=open       200 without a length, as to CONNECT
//	(none)            200 and a word
//
// What comes after a 101 or an open answer is noted, and sent back.
type echo struct {
	addr string
	mu   sync.Mutex
	said bytes.Buffer
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	e := new(echo)
	e.addr = listen(t, e.serve)
	return e
}

func (e *echo) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprintf(&e.said, format, args...)
}

func (e *echo) all(*testing.T) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.String()
}

var answerOf = regexp.MustCompile(`[?&]answer=([a-z]+)`)

func (e *echo) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		r, err := http.ReadRequest(in)
		if err != nil {
			if network := (*net.OpError)(nil); err != io.EOF && !errors.As(err, &network) {
				rest, _ := in.Peek(in.Buffered())
				e.note("no request: %v %q\n", err, rest)
			}
			return
		}
		e.note("request %s %s", r.Method, r.RequestURI)
		for name, values := range r.Header {
			if strings.HasPrefix(strings.ToLower(name), "step") {
				e.note(" %s=%q", name, values)
			}
		}
		e.note("\n")
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		answer := ""
		if m := answerOf.FindStringSubmatch(r.RequestURI); m != nil {
			answer = m[1]
		}
		upgrade := r.Header.Get("Upgrade")
		const switching = "HTTP/1.1 101 Switching Protocols\r\n"
		switch answer {
		case "switch":
			if upgrade != "" {
				upgrade = "Connection: Upgrade\r\nUpgrade: " + upgrade + "\r\n"
			}
			io.WriteString(conn, switching+upgrade+accept(r)+"\r\n")
		case "other":
			io.WriteString(conn, switching+"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		case "websocket":
			io.WriteString(conn, switching+"Connection: Upgrade\r\nUpgrade: websocket\r\n"+accept(r)+"\r\n")
		case "bare":
			io.WriteString(conn, switching+"Connection: Upgrade\r\n\r\n")
		case "late":
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n"+switching+"\r\n")
		case "open":
			io.WriteString(conn, "HTTP/1.1 200 Connection Established\r\n\r\n")
			if r.Method == http.MethodHead {
				continue // this was all of the answer
			}
		default:
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			continue
		}
		conn.SetDeadline(time.Now().Add(time.Second))
		b := make([]byte, 4096)
		for {
			n, err := in.Read(b)
			if n > 0 {
				e.note("channel %q\n", b[:n])
				conn.Write(b[:n])
			}
			if err != nil {
				return
			}
		}
	}
}

// accept is the header by which a server agrees to a WebSocket (RFC 6455 section
// 4.2.2).
func accept(r *http.Request) string {
	key := r.Header.Get("Sec-Websocket-Key")
	if key == "" {
		return ""
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return "Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
}

// frame is one message of a client, at most 125 bytes long (RFC 6455 section 5),
// under a mask that changes nothing.
func frame(text string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}
