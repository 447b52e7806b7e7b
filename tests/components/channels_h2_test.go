//go:build components

package components

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// stream2 is a client of HTTP/2 that sends what no library would.
type stream2 struct {
	conn    net.Conn
	f       *http2.Framer
	dec     *hpack.Decoder
	fields  []hpack.HeaderField
	setting bool // the server offers the extended CONNECT
}

func dial2(addr string) (*stream2, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	s := &stream2{conn: conn, f: http2.NewFramer(conn, conn)}
	s.dec = hpack.NewDecoder(4096, func(f hpack.HeaderField) { s.fields = append(s.fields, f) })
	io.WriteString(conn, http2.ClientPreface)
	s.f.WriteSettings()
	for {
		frame, err := s.f.ReadFrame()
		if err != nil {
			conn.Close()
			return nil, err
		}
		if settings, ok := frame.(*http2.SettingsFrame); ok && !settings.IsAck() {
			v, _ := settings.Value(http2.SettingEnableConnectProtocol)
			s.setting = v == 1
			s.f.WriteSettingsAck()
			return s, nil
		}
	}
}

func (s *stream2) headers(id uint32, end bool, fields [][2]string) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0)
	for _, h := range fields {
		e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	s.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: end, EndHeaders: true})
}

var errReset = errors.New("the stream was reset")

// answer reads until a stream has its status; "" where it was reset.
func (s *stream2) answer(id uint32) (status string, err error) {
	for {
		frame, err := s.f.ReadFrame()
		if err != nil {
			return "", err
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			s.fields = nil
			if _, err := s.dec.Write(frame.HeaderBlockFragment()); err != nil {
				return "", err
			}
			if frame.StreamID == id && len(s.fields) > 0 && s.fields[0].Name == ":status" && (s.fields[0].Value[0] != '1' || s.fields[0].Value == "101") {
				return s.fields[0].Value, nil
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				return "", errReset
			}
		case *http2.GoAwayFrame:
			return "", errReset
		}
	}
}

// read returns what a stream gets, at least n bytes.
func (s *stream2) read(id uint32, n int) (got []byte, err error) {
	for len(got) < n {
		frame, err := s.f.ReadFrame()
		if err != nil {
			return got, err
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			if frame.StreamID == id {
				got = append(got, frame.Data()...)
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				return got, errReset
			}
		}
	}
	return got, nil
}

// opening2 is a request over HTTP/2 that could open a channel, or become two of
// HTTP/1.1.
type opening2 struct {
	fields [][2]string // TARGET, HOST and SECRET stand for the same as in an opening
	data   string
	end    bool // with the last frame
}

func openings2() []opening2 {
	get := func(fields ...[2]string) [][2]string {
		return append([][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "HOST"}, {":path", "TARGET"}}, fields...)
	}
	connect := func(protocol string, fields ...[2]string) [][2]string {
		return append([][2]string{{":method", "CONNECT"}, {":protocol", protocol}, {":scheme", "http"}, {":authority", "HOST"}, {":path", "TARGET"}}, fields...)
	}
	version := [2]string{"sec-websocket-version", "13"}
	const inject = "\r\n\r\nSECRET"
	var all []opening2
	open := func(fields [][2]string) { all = append(all, opening2{fields: fields}) }
	for _, p := range []string{"WebSocket", "WEBSOCKET", "websocket ", " websocket", "websocket,h2c", "websocket/13", "h2c", "HTTP/2.0", "connect-udp", "connect-ip", "connect-tcp", "webtransport", "tcp", "SPDY/3.1", "foo", "", "websocket\x00"} {
		open(connect(p, version))
		open(get([2]string{":protocol", p}, version))
	}
	open(connect("websocket"))
	open(connect("websocket", [2]string{"sec-websocket-version", "777"}))
	open(connect("websocket", version, [2]string{"sec-websocket-version", "8"}))
	open(connect("websocket", version, [2]string{":protocol", "h2c"}))
	open([][2]string{{":method", "CONNECT"}, {":authority", "HOST:80"}})
	open([][2]string{{":method", "CONNECT"}, {":authority", "HOST"}, {":path", "TARGET"}})
	open([][2]string{{":method", "CONNECT"}, {":scheme", "http"}, {":authority", "HOST"}, {":path", "TARGET"}})
	open([][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}, {":authority", "HOST"}})
	open([][2]string{{":method", "PRI"}, {":scheme", "http"}, {":authority", "HOST"}, {":path", "*"}})
	open([][2]string{{":method", "POST"}, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", "HOST"}, {":path", "TARGET"}, version})
	open([][2]string{{":method", "connect"}, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", "HOST"}, {":path", "TARGET"}, version})
	for _, fields := range [][][2]string{
		{{"upgrade", "h2c"}}, {{"connection", "Upgrade"}, {"upgrade", "h2c"}}, {{"upgrade", "websocket"}, version, {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}}, {{"http2-settings", "AAMAAABkAAQAAP__"}}, {{"capsule-protocol", "?1"}}, {{"te", "trailers, chunked"}},
		{{"transfer-encoding", "chunked"}}, {{"transfer_encoding", "chunked"}}, {{"content-length", "0"}, {"content-length", "5"}}, {{"content-length", "+0"}}, {{"content-length", "0, 5"}}, {{"content_length", "0"}}, {{"expect", "100-continue"}}, {{"proxy-connection", "upgrade"}},
		{{"x", "y" + inject}}, {{"x", "y\nTransfer-Encoding: chunked"}}, {{"x\r\ntransfer-encoding", "chunked"}}, {{"transfer-encoding: chunked\r\nx", "y"}}, {{"x: y\r\nupgrade", "h2c"}}, {{"transfer-encoding ", "chunked"}}, {{"Transfer-Encoding", "chunked"}}, {{"", "x"}}, {{"cookie", "a=b" + inject}},
		{{"host", "h" + inject}}, {{"host", "other"}}, {{"step-up-user", "root"}}, {{"step_up_user", "root"}}, {{"connection", "step-up-user"}, {"step-up-user", "root"}}, {{":path", "/admin/secret-0"}}, {{":status", "101"}},
	} {
		open(get(fields...))
	}
	for _, pseudo := range [][2]string{
		{":path", "TARGET HTTP/1.1" + inject}, {":path", "TARGET\r\nX: y"}, {":path", "TARGET HTTP/1.1"}, {":path", "TARGET\x00"}, {":path", "TARGET%20HTTP/1.1%0d%0a"}, {":path", "http://HOSTTARGET"}, {":path", "//HOSTTARGET"}, {":path", ""}, {":path", "*"}, {":path", "public"},
		{":method", "GET TARGET HTTP/1.1" + inject}, {":method", "GET /admin/x HTTP/1.1\r\nX: y"}, {":method", "GET "}, {":method", ""}, {":authority", "HOST" + inject}, {":authority", "HOST/admin/x"}, {":authority", ""}, {":scheme", "http://HOST/admin/x?"}, {":scheme", "http" + inject}, {":scheme", ""}, {":scheme", "ftp"},
	} {
		fields := get()
		for i := range fields {
			if fields[i][0] == pseudo[0] {
				fields[i] = pseudo
			}
		}
		open(fields)
	}
	// A body that is longer or shorter than it says (RFC 9113 section 8.1.1).
	for _, lines := range [][][2]string{nil, {{"content-length", "0"}}, {{"content-length", "5"}}, {{"content-length", "100000"}}, {{"transfer-encoding", "chunked"}}, {{"content-length", "0"}, {"transfer-encoding", "chunked"}}, {{"expect", "100-continue"}, {"content-length", "0"}}} {
		for _, method := range []string{"POST", "GET", "HEAD", "OPTIONS"} {
			for _, data := range []string{"SECRET", "0\r\n\r\nSECRET", "helloSECRET"} {
				fields := get(lines...)
				fields[0][1] = method
				all = append(all, opening2{fields, data, true}, opening2{fields, data, false})
			}
		}
	}
	return all
}

// try2 sends an opening, then second requests as its data, and as another stream,
// which is judged.
func (c *channels) try2(host, target string, o opening2) (string, error) {
	s, err := dial2(c.g.Host)
	if err != nil {
		return "", err
	}
	defer s.conn.Close()
	what := fmt.Sprintf("HTTP/2 %q %q on %s%s", o.fields, o.data, host, target)
	filled := strings.NewReplacer("TARGET", target, "HOST", host, "SECRET", second(host, c.secret(what)))
	var fields [][2]string
	for _, f := range o.fields {
		fields = append(fields, [2]string{f[0], filled.Replace(f[1])})
	}
	s.headers(1, false, append(fields, [2]string{strings.ToLower(gateway.Header), "alice"}, [2]string{"cookie", c.cookie}))
	if o.data != "" {
		s.f.WriteData(1, o.end, []byte(filled.Replace(o.data)))
	} else {
		s.f.WriteData(1, false, []byte(second(host, c.secret(what))))
		s.f.WriteData(1, true, []byte(second2(host, c.secret(what))))
	}
	s.conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	status, _ := s.answer(1)
	s.headers(3, true, [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", host}, {":path", c.secret(what)}, {"step-up-user", "root"}, {strings.ToLower(gateway.Header), "alice"}})
	s.conn.SetDeadline(time.Now().Add(500 * time.Millisecond))
	if judged, err := s.answer(3); err == nil && judged != "401" && judged != "403" && judged != "404" {
		return status, fmt.Errorf("the second stream was answered %s", judged)
	}
	return status, nil
}

// The same over HTTP/2, with the extended CONNECT that the server offers if Go is
// told so: only a WebSocket is opened by it.
func TestS23ChannelsOverHTTP2(t *testing.T) {
	t.Setenv("GODEBUG", "http2xconnect=1") // for the gateway's process
	c := startChannels(t)
	for _, upstream := range []string{"hypercorn", "uvicorn", "echo"} {
		for target, opens := range map[string]bool{"/public/x?answer=switch": true, "/live/x?answer=switch": true, "/admin/x?answer=switch": false} {
			s, err := dial2(c.g.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer s.conn.Close()
			if !s.setting {
				t.Fatal("the server does not offer the extended CONNECT")
			}
			s.headers(1, false, [][2]string{
				{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", upstream + ".paths"}, {":path", target},
				{"sec-websocket-version", "13"}, {strings.ToLower(gateway.Header), "alice"}, {"cookie", c.cookie},
			})
			status, err := s.answer(1)
			if opened := status == "200"; opened != opens || err != nil || !opens && status != "401" {
				t.Errorf("a WebSocket on %s%s: %q, %v", upstream, target, status, err)
				continue
			}
			if !opens {
				continue
			}
			want := "\x81\x05hello"
			if upstream == "echo" {
				want = string(frame("hello"))
			}
			s.f.WriteData(1, false, frame("hello"))
			if got, err := s.read(1, len(want)); string(got) != want {
				t.Errorf("a WebSocket on %s%s: %q, %v", upstream, target, got, err)
			}
		}
	}

	fresh := startChannels(t)
	var jobs []func()
	var mu sync.Mutex
	wrong := 0
	add := func(host, target string, o opening2) {
		jobs = append(jobs, func() {
			status, err := fresh.try2(host, target, o)
			mu.Lock()
			defer mu.Unlock()
			connect := strings.EqualFold(o.fields[0][1], http.MethodConnect)
			if err == nil && status != "101" && !(connect && strings.HasPrefix(status, "2")) {
				return
			}
			if wrong++; wrong < 20 {
				t.Errorf("%q %q on %s%s: status %s, %v", o.fields, o.data, host, target, status, err)
			}
		})
	}
	for i, o := range openings2() {
		for j, target := range []string{"/public/x", "/live/x"} {
			hosts := []string{"hypercorn.paths", "uvicorn.unsafe", "hypercorn.unsafe", "uvicorn.allows"}
			add(hosts[(i+j)%4], target, o)
			add(hosts[(i+j+1)%4], target, o)
			for k, answer := range answers {
				add([]string{"echo.paths", "echo.unsafe"}[(i+j+k)%2], target+"?answer="+answer, o)
			}
		}
	}
	parallel(jobs)
	fresh.check(t)
}
