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
	return Capture(r, Sent{Method: r.Method, Target: r.RequestURI, Header: r.Header}, limit)
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
		stored, err := held.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if held, err = Unmarshal(stored); err != nil {
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

func FuzzUnmarshal(f *testing.F) {
	held, _ := capture(sent("a=1"), 10)
	stored, _ := held.Marshal()
	f.Add(stored)
	f.Add([]byte(`{"method":"POST","target":"x"}`))
	f.Fuzz(func(t *testing.T, stored []byte) {
		h, err := Unmarshal(stored)
		if err != nil {
			return
		}
		if r, err := h.Restore(comesBack()); err == nil && r.Header.Get("Cookie") != "session=new" {
			t.Error("the live cookie was replaced")
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
