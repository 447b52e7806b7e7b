package backendapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/deadline"
)

func TestBodies(t *testing.T) {
	w := newWorld(t)
	key := w.fullKey()
	good := grantBody("PAY", "alice", "x")
	for _, test := range []struct {
		name, body string
		header     http.Header
		status     int
	}{
		{"plain", good, nil, 400}, // grant_not_found: it was read
		{"charset", good, http.Header{"Content-Type": {"application/json; charset=UTF-8"}}, 400},
		{"no type", good, http.Header{"Content-Type": nil}, 415},
		{"a form", good, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 415},
		{"text", good, http.Header{"Content-Type": {"text/plain"}}, 415},
		{"another charset", good, http.Header{"Content-Type": {"application/json; charset=utf-16"}}, 415},
		{"two types", good, http.Header{"Content-Type": {"application/json", "application/json"}}, 415},
		{"compressed", good, http.Header{"Content-Encoding": {"gzip"}}, 415},
	} {
		got := w.do(ask{method: "POST", path: verifyGrantPath, key: key, body: test.body, header: test.header})
		if got.status != test.status {
			t.Errorf("%s: %d %s", test.name, got.status, got.text)
		}
	}
	for name, body := range map[string]string{
		"nothing": "", "blank": " ", "a list": "[]", "null": "null", "text": `"x"`, "cut off": good[:len(good)-1], "two": good + good, "trailing": good + "x",
		"twice":        `{"user_id":"alice","user_id":"bob"}`,
		"twice spelt":  `{"user_id":"alice","user\u005fid":"bob"}`,
		"twice inside": `{"more":{"a":1,"a":2}}`,
		"not UTF-8":    "{\"user_id\":\"\xff\"}",
		"a mark":       "\ufeff" + good,
		"a comma":      `{"user_id":"alice",}`,
		"a comment":    `{/**/"user_id":"alice"}`,
		"deep":         `{"more":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 41),
	} {
		got := w.post(verifyGrantPath, key, body)
		if got.status != 400 || got.string("error_code") != "invalid_request" {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	// Names have one spelling; what no call asks for is ignored.
	if word := w.post(verifyGrantPath, key, `{"User_ID":"alice","action_type":"PAY","grant":"x"}`).fieldWord("user_id"); word != "required" {
		t.Error(word)
	}
	if word := w.post(verifyGrantPath, key, `{"user_id":"\ud800","action_type":"PAY","grant":"x"}`).fieldWord("user_id"); word != "invalid_text" {
		t.Error(word)
	}
	w.mustBe(w.post(verifyGrantPath, key, `{"user_id":"alice","action_type":"PAY","grant":"x","more":{"a":[1,{"b":null}]}}`), 400, "invalid_request_fields")
	// On GET a type without a body is nothing.
	w.Enroll("alice")
	w.want(w.do(ask{method: "GET", path: userPath + "alice/mfa", key: key}), 200)
}

// FuzzDecode holds the reader of bodies against encoding/json: what it takes reads
// in the same way there, and what the fields give lies within their limits.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"code":"1"}`, `{"code":"1","code":"2"}`, `{"Code":"1"}`, `{"a":{"b":[1,2]}}`, `{"code":"1"}}`, ` {"c\u006fde" : "\ud800" } `, `[`, "\ufeff{}",
		`{"valid_for_seconds":60.0}`, `{"valid_for_seconds":1e2}`, `{"valid_for_seconds":-0}`, grantBody("PAY", "alice", "x"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decode(body)
		if err != nil {
			if r := refusalOf(err); r.status != http.StatusBadRequest {
				t.Fatalf("refused with %+v", r)
			}
			return
		}
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil {
			t.Fatalf("taken, but not JSON: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		fs := &fields{got: got}
		user, code, action := fs.userID("user_id"), fs.code("code"), fs.action("action_type")
		use, ttl := fs.grantType("grant_type"), fs.seconds("valid_for_seconds")
		if len(user) > ceremony.MaxUserID || len(code) > maxCode || !isPlain(user+code) || apikeys.IsReserved(action.String()) {
			t.Fatalf("%q %q %q", user, code, action)
		}
		if ttl < 0 || ttl > grants.MaxTTL || ttl%time.Second != 0 {
			t.Fatal(ttl)
		}
		if complete := user != "" && code != "" && action.String() != "" && use != 0 && ttl != 0; complete != (fs.err() == nil) {
			t.Fatalf("%v, and errors %v", complete, fs.wrong)
		}
	})
}

// Bodies that do not end are not waited for, whoever sends them.
func TestS19BodiesMustEnd(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.PlainHTTP = true
		o.Identify = func(*http.Request) (grants.Subject, error) {
			return grants.Subject{Tenant: ceremonytest.Tenant, User: "alice"}, nil
		}
	})
	synctest.Test(t, func(t *testing.T) {
		for call, status := range map[string]int{
			"POST /users/alice/secrets":      400, // the body is read
			"POST /v1/users/me/mfa/totp":     400,
			"POST " + verifyGrantPath:        401, // and here it is not
			"POST /nowhere":                  404,
			"DELETE /users/alice/secrets":    405,
			"POST " + userPath + "alice/mfa": 405,
		} {
			theirs, ours := net.Pipe()
			server := &http.Server{Handler: w.API, ErrorLog: log.New(io.Discard, "", 0)}
			listener := oneConn{make(chan net.Conn, 1)}
			listener.conns <- ours
			go server.Serve(listener)
			begun := time.Now()
			go fmt.Fprintf(theirs, "%s HTTP/1.1\r\nHost: api.test\r\nX-Tenant-ID: %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
				call, ceremonytest.Tenant)
			got, err := http.ReadResponse(bufio.NewReader(theirs), nil)
			if err != nil {
				t.Fatal(call, err)
			}
			if took := time.Since(begun); got.StatusCode != status || took > deadline.Body {
				t.Error(call, got.Status, took)
			}
			theirs.Close()
			server.Close()
		}
	})
}

// oneConn is a listener with a connection of a test's own.
type oneConn struct{ conns chan net.Conn }

func (l oneConn) Accept() (net.Conn, error) {
	c, open := <-l.conns
	if !open {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l oneConn) Close() error   { close(l.conns); return nil }
func (l oneConn) Addr() net.Addr { return &net.TCPAddr{} }
