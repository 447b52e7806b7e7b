//go:build components

package judges

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// request is a request as it is written, byte for byte.
type request struct {
	method, target string
	header         [][2]string
	body           []byte
	chunked        bool
}

func (r *request) set(name, value string) { r.header = append(r.header, [2]string{name, value}) }

// bytes writes the request. Its body is always complete: where it ends is not
// what is tried here.
func (r *request) bytes(host string, more ...[2]string) []byte {
	var b bytes.Buffer
	b.WriteString(r.method + " " + r.target + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, list := range [][][2]string{more, r.header} {
		for _, h := range list {
			b.WriteString(h[0] + ": " + h[1] + "\r\n")
		}
	}
	switch {
	case r.chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		half := len(r.body) / 2
		for _, part := range [][]byte{r.body[:half], r.body[half:]} {
			if len(part) > 0 {
				fmt.Fprintf(&b, "%x\r\n%s\r\n", len(part), part)
			}
		}
		b.WriteString("0\r\n\r\n")
	default:
		if len(r.body) > 0 || r.method != "GET" && r.method != "HEAD" {
			b.WriteString("Content-Length: " + strconv.Itoa(len(r.body)) + "\r\n")
		}
		b.WriteString("\r\n")
		b.Write(r.body)
	}
	return b.Bytes()
}

// answer is what is looked at: the status, and the handler that says it ran.
type answer struct {
	status int
	ran    string
}

// client keeps one connection and sends one request after the other.
type client struct {
	addr string
	// hasty waits 300 ms only for the answer on a connection that was used
	// before: Puma drops there, without a word, what it cannot parse.
	hasty bool
	conn  net.Conn
	r     *bufio.Reader
}

// send returns what is answered. A server may have closed the connection
// after the answer before, so a request without an answer is sent again on a
// connection of its own; one that has none there either is what the server
// drops without a word.
func (c *client) send(method string, raw []byte) (answer, error) {
	if c.conn != nil && c.r.Buffered() > 0 {
		c.close() // more came than was asked for
	}
	fresh := c.conn == nil
	a, err := c.once(method, raw)
	if err != nil && !fresh {
		a, err = c.once(method, raw)
	}
	return a, err
}

func (c *client) once(method string, raw []byte) (answer, error) {
	patience := 20 * time.Second
	if c.hasty && c.conn != nil {
		patience = 300 * time.Millisecond
	}
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			return answer{}, err
		}
		c.conn, c.r = conn, bufio.NewReaderSize(conn, 4096)
	}
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(raw); err != nil {
		// What refuses a request before its end has often said so.
		if a, err := c.read(method); err == nil {
			c.close()
			return a, nil
		}
		c.close()
		return answer{}, err
	}
	a, err := c.read(method)
	if err != nil {
		c.close()
	}
	return a, err
}

func (c *client) read(method string) (answer, error) {
	if method == "" {
		method = "GET"
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Close {
		c.close()
	}
	return answer{resp.StatusCode, resp.Header.Get("X-Ran")}, nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
