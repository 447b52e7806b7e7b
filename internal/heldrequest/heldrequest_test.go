package heldrequest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func sent(body string) *http.Request {
	r := httptest.NewRequest("POST", "/a%2fb?x=1&x=2&&y", strings.NewReader(body))
	r.Header = http.Header{
		"Content-Type": {"multipart/form-data; boundary=x"}, "X-Many": {"1"}, "X-Method-Override": {"1", "2", "1"}, "Cookie": {"session=old"}, "Authorization": {"Basic old"},
		"Connection": {"X-Hop"}, "X-Hop": {"1"}, "Te": {"trailers"}, "Origin": {"https://app.test"}, "Referer": {"https://app.test/form"},
		"X-Forwarded-For": {"10.0.0.1"}, "Accept": {"text/html"}, "Expect": {"100-continue"}, "Content-Length": {"9"},
	}
	return r
}

func capture(r *http.Request, limit int64) (Request, error) {
	packed, err := Capture(r, Sent{Method: r.Method, Target: r.RequestURI, Header: r.Header}, limit)
	if err != nil {
		return Request{}, err
	}
	return Unpack(packed.Bytes())
}

func comesBack() *http.Request {
	r := httptest.NewRequest("GET", "/a%2fb?x=1&x=2&&y&step_up_resume=z", nil)
	r.Header = http.Header{"Cookie": {"session=new"}, "X-Forwarded-For": {"10.0.0.2"}, "Accept": {"*/*"}, "Referer": {"https://app.test/.step-up/"}, "If-None-Match": {"x"}}
	return r
}

func TestRestoreGivesWhatWasSentToWhoIsThere(t *testing.T) {
	for _, body := range []string{"", "a=1", strings.Repeat("\x00\xff\r\n", 5000)} {
		held, err := capture(sent(body), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		r, err := held.Restore(comesBack())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != body {
			t.Fatalf("the body is %d bytes, was %d: %v", len(got), len(body), err)
		}
		if r.Method != "POST" || r.RequestURI != "/a%2fb?x=1&x=2&&y" || r.URL.EscapedPath() != "/a%2fb" || r.URL.RawQuery != "x=1&x=2&&y" || r.ContentLength != int64(len(body)) {
			t.Errorf("%s %s, URL %s, length %d", r.Method, r.RequestURI, r.URL, r.ContentLength)
		}
		for name, want := range map[string][]string{
			"Cookie": {"session=new"}, "Authorization": nil, "X-Many": nil, "X-Method-Override": {"1", "2", "1"}, "Content-Type": {"multipart/form-data; boundary=x"}, "X-Hop": nil,
			"Te": nil, "Origin": {"https://app.test"}, "Referer": {"https://app.test/form"}, "X-Forwarded-For": {"10.0.0.2"}, "Accept": {"text/html"},
			"Expect": nil, "If-None-Match": nil, "Connection": nil,
		} {
			if !reflect.DeepEqual(r.Header[name], want) {
				t.Errorf("%s is %q, want %q", name, r.Header[name], want)
			}
		}
	}
}

func TestChunkedStaysChunked(t *testing.T) {
	r := sent("")
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(strings.NewReader("a=1")), -1, []string{"chunked"}
	held, err := capture(r, 10)
	if err != nil {
		t.Fatal(err)
	}
	back, err := held.Restore(comesBack())
	if err != nil || back.ContentLength != -1 {
		t.Fatal(back.ContentLength, err)
	}
	var wire bytes.Buffer
	if err := back.Write(&wire); err != nil || !strings.Contains(wire.String(), "Transfer-Encoding: chunked") {
		t.Errorf("%v in %q", err, wire.String())
	}
}

func TestS19LimitOfHeldBodies(t *testing.T) {
	for _, n := range []int{0, 9, 10} {
		if _, err := capture(sent(strings.Repeat("x", n)), 10); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := capture(sent(strings.Repeat("x", 11)), 10); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	r := sent(strings.Repeat("x", 11))
	r.ContentLength = -1
	if _, err := capture(r, 10); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// A body takes no more memory, and no more of the store, than it has bytes and
// little besides; and headers count too.
func TestS26BodyIsReadIntoOneBuffer(t *testing.T) {
	const n = 900 << 10
	for _, length := range []int64{n, -1} {
		r := sent("")
		r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, n)), length
		packed, err := Capture(r, Sent{Method: "POST", Target: "/x", Header: r.Header}, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if packed.Size() < n || packed.Size() > n+1<<10 {
			t.Errorf("length %d: packed into %d bytes", length, packed.Size())
		}
		if b := packed.Buffer(); cap(b) < len(b)+Back || length >= 0 && cap(b) > n+4<<10+n/4 || cap(b) > 5<<19 {
			t.Errorf("length %d: a buffer of %d bytes", length, cap(b))
		}
	}
	r := sent("a=1")
	r.Header["Content-Anything"] = []string{strings.Repeat("x", 65<<10)}
	if _, err := capture(r, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Error("a head of 65 KiB:", err)
	}
	r = sent("")
	r.Body, r.ContentLength = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)), 3
	if _, err := capture(r, 1<<20); !errors.Is(err, ErrIncomplete) {
		t.Error("a body cut short:", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What the version before stored is read.
func TestUnmarshalOfTheVersionBefore(t *testing.T) {
	h, err := Unmarshal([]byte(`{"method":"POST","target":"/x","header":{"Accept":["*/*"]},"body":"YT0x","chunked":true}`))
	if err != nil || h.Method != "POST" || h.Target != "/x" || string(h.Body) != "a=1" || !h.Chunked || h.Header.Get("Accept") != "*/*" {
		t.Fatal(h, err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	r := sent("a=1")
	held, _ := Capture(r, Sent{Method: r.Method, Target: r.RequestURI, Header: r.Header}, 10)
	f.Add(held.Bytes())
	f.Add([]byte(`{"method":"POST","target":"x"}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		for _, read := range []func([]byte) (Request, error){Unpack, Unmarshal} {
			h, err := read(stored)
			if err != nil {
				continue
			}
			if r, err := h.Restore(comesBack()); err == nil && r.Header.Get("Cookie") != "session=new" {
				t.Error("the live cookie was replaced")
			}
		}
	})
}

// What a proxy or a handler in front said of the person when the form was sent is
// not said again: it may have been withdrawn since.
func TestS21NothingThatOthersSaidIsRestored(t *testing.T) {
	for _, name := range []string{
		"Remote-User", "Remote-Groups", "X-Remote-User", "X-Forwarded-User", "X-Auth-Request-Groups", "X-Webauth-User", "Cf-Access-Jwt-Assertion", "X-Amzn-Oidc-Data",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Client-Cert", "Forwarded", "X-Real-Ip", "True-Client-Ip", "Via",
		"Traceparent", "Tracestate", "X-Request-Id", "X-B3-Traceid", "X-Ssl-Client-Verify", "X-Client-Dn", "Cookie", "Authorization", "Proxy-Authorization",
		"X-Api-Key", "Step-Up-User", "X-Original-Url", "X-Rewrite-Url", "X-Anything-Else",
	} {
		r := sent("a=1")
		r.Header[name] = []string{"admin"}
		held, err := capture(r, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, live := range [][]string{nil, {"user"}} {
			on := comesBack()
			delete(on.Header, name)
			if live != nil {
				on.Header[name] = live
			}
			back, err := held.Restore(on)
			if err != nil {
				t.Fatal(err)
			}
			if got := back.Header[name]; !reflect.DeepEqual(got, live) {
				t.Errorf("%s is %q, and the live request's %q", name, got, live)
			}
		}
	}
}
