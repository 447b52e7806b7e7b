package gate_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

var (
	pay  = ceremonytest.Demand("PAY", grants.OneTimeUse, 2*60e9)
	stop = ceremonytest.Demand("STOP", grants.TimeBased, 10*60e9)
)

func form(name string, values ...string) readings.Field {
	f, err := readings.FormField(name, values...)
	if err != nil {
		panic(err)
	}
	return f
}

func pointer(pointer string, values ...string) readings.Field {
	f, err := readings.JSONField(pointer, values...)
	if err != nil {
		panic(err)
	}
	return f
}

// fieldRules protect what is paid and what is stopped, by what the body says, and
// leave the rest of their paths alone.
func fieldRules(o *gate.Options) {
	o.Rules = []gate.Rule{
		{Demand: pay, Match: below("/form"), Fields: []readings.Field{form("op.x", "pay", "withdraw")}, Line: "a"},
		{Demand: stop, Match: below("/rpc"), Fields: []readings.Field{pointer("/method", "stop", "remove")}, Line: "b"},
		{Demand: stop, Match: below("/both"), Fields: []readings.Field{form("op", "pay"), pointer("/sure")}, Line: "c"},
	}
}

func utf16le(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

// Bodies in every spelling, over HTTP/1.1 and HTTP/2, sized and chunked, of any
// method: none that some application takes for what is protected reaches it.
func TestS22BodySpellings(t *testing.T) {
	const (
		urlencoded = "application/x-www-form-urlencoded"
		jsonType   = "application/json"
		multi      = "multipart/form-data; boundary=B"
	)
	s := newSite(t, fieldRules)
	var reached atomic.Int64
	var body atomic.Value
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Gate.ServeHTTP(w, r, func(w http.ResponseWriter, r *http.Request) error {
			reached.Add(1)
			b, err := io.ReadAll(r.Body)
			body.Store(string(b))
			return err
		})
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	two := server.Client()
	one := &http.Client{Transport: &http.Transport{
		TLSClientConfig: two.Transport.(*http.Transport).TLSClientConfig.Clone(), TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}}
	one.Transport.(*http.Transport).TLSClientConfig.NextProtos = []string{"http/1.1"}

	part := func(header, value string) string { return "--B\r\n" + header + "\r\n\r\n" + value + "\r\n--B--\r\n" }
	named := func(name string) string { return `Content-Disposition: form-data; name="` + name + `"` }
	asked, let := 0, 0
	for _, tt := range []struct {
		target, contentType, encoding, body string
		protected                           bool
	}{
		{"/form", urlencoded, "", "op.x=pay", true},
		{"/form", urlencoded, "", "op.x=list", false},
		{"/form?op_x=pay", "", "", "", true},
		{"/form?op_x=pay", urlencoded, "", "op.x=list", true},
		{"/form", urlencoded, "", "a=b;op.x=pay", true},
		{"/form?a=b;op.x=pay", "", "", "", true},
		{"/form", urlencoded, "", "op_x=pay", true},
		{"/form", urlencoded, "", "op+x=pay", true},
		{"/form", urlencoded, "", "op.x[]=list&op.x[]=pay", true},
		{"/form", urlencoded, "", "op.x[y]=pay", true},
		{"/form", urlencoded, "", "%6Fp%2Ex=%70ay", true},
		{"/form", urlencoded, "", "op.x=list&op.x=pay", true},
		{"/form", urlencoded, "", "\ufeffop.x=PAY", true},
		{"/form", urlencoded + "; charset=utf-16", "", utf16le("op.x=pay"), true},
		{"/form", urlencoded, "gzip", gzipped("op.x=pay"), true},
		{"/form", "text/plain", "", "op.x=pay", true},
		{"/form", "", "", "op.x=pay", true},
		{"/form", "multipart/mixed; boundary=B", "", part(named("op.x"), "pay"), true},
		{"/form", multi, "", part(named("op_x"), "pay"), true},
		{"/form", multi, "", part(named("op.x[]"), "pay"), true},
		{"/form", multi, "", part(named("op.x")+"\r\nContent-Transfer-Encoding: base64", "cGF5"), true},
		{"/form", multi, "", part(named("op.x"), "list"), false},
		{"/form", jsonType, "", `{"op.x":"pay"}`, true},
		{"/form", urlencoded, "", strings.Repeat("a=b&", 80_000) + "op.x=pay", true},
		{"/form", "image/png", "", "\x89PNG" + strings.Repeat("x", 300_000), true}, // no reader of ours says what another finds in it
		{"/form", "application/xml", "", "<op.x>list</op.x>", true},
		{"/form", "application/x-msgpack", "", "\x81\xa4op.x\xa3pay", true},
		{"/form", "", "", "op.x: pay", true},
		{"/form", "", "", "op.x=list", false},
		{"/rpc", "json", "", `{"method":"list"}`, false},
		{"/rpc", "json", "", `{"method":"stop"}`, true},
		{"/rpc", jsonType, "", `{"method":true}`, true},
		{"/elsewhere", urlencoded, "", "op.x=pay", false},

		{"/rpc", jsonType, "", `{"method":"stop"}`, true},
		{"/rpc", jsonType, "", `{"method":"list","x":"stop"}`, false},
		{"/rpc", jsonType, "", `{"method":"list","method":"stop"}`, true},
		{"/rpc", jsonType, "", `{"method":"stop","method":"list"}`, true},
		{"/rpc", jsonType, "", `{"METHOD":"Stop"}`, true},
		{"/rpc", jsonType, "", `{"m\u0065thod":"st\u006fp"}`, true},
		{"/rpc", jsonType, "", "\ufeff" + `{"method":"stop"}`, true},
		{"/rpc", jsonType + "; charset=utf-16", "", utf16le(`{"method":"stop"}`), true},
		{"/rpc", jsonType, "", utf16le(`{"method":"stop"}`), true},
		{"/rpc", "text/plain", "", utf16le("\ufeff" + `{"method":"stop"}`), true},
		{"/rpc", jsonType, "gzip", gzipped(`{"method":"stop"}`), true},
		{"/rpc", "text/plain", "", `{"method":"stop"}`, true},
		{"/rpc", urlencoded, "", `{"method":"stop"}`, true},
		{"/rpc", "application/octet-stream", "", ` [{"method":"stop"}]`, true},
		{"/rpc", "", "", `{"method":"stop"}`, true},
		{"/rpc", jsonType, "", `[{"method":"list"},{"method":"stop"}]`, true},
		{"/rpc", jsonType, "", `{"method":"list"} {"method":"stop"}`, true},
		{"/rpc", jsonType, "", `{"method":"list",/*,*/"method":"stop",}`, true},
		{"/rpc", jsonType, "", `{method:'stop'}`, true},
		{"/rpc", jsonType, "", `{"method":"list"` + strings.Repeat(" ", 300_000) + `,"method":"stop"}`, true},
		{"/rpc", urlencoded, "", "method=stop", true},
		{"/rpc?method=stop", "", "", "", true},
		{"/rpc?method=list", "", "", "", false},
		{"/rpc", "", "", "", false},

		{"/both?op=pay", jsonType, "", `{"sure":false}`, true},
		{"/both?op=pay", jsonType, "", `{"maybe":1}`, false},
		{"/both", jsonType, "", `{"sure":1}`, false},
		{"/both", jsonType, "gzip", gzipped(`{"sure":1}`), true},
	} {
		for proto, client := range map[string]*http.Client{"HTTP/1.1": one, "HTTP/2.0": two} {
			for _, chunked := range []bool{false, true} {
				for _, method := range []string{"POST", "GET", "PUT"} {
					var from io.Reader = strings.NewReader(tt.body)
					if chunked {
						from = io.MultiReader(from)
					}
					r, err := http.NewRequest(method, server.URL+tt.target, from)
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("X-User", "alice")
					if tt.contentType != "" {
						r.Header.Set("Content-Type", tt.contentType)
					}
					if tt.encoding != "" {
						r.Header.Set("Content-Encoding", tt.encoding)
					}
					before := reached.Load()
					res, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
					name := fmt.Sprintf("%s %s %s %q %.60q, chunked %v", proto, method, tt.target, tt.contentType, tt.body, chunked)
					if res.Proto != proto {
						t.Fatalf("%s went as %s", name, res.Proto)
					}
					switch passed := reached.Load() > before; {
					case tt.protected && (passed || res.StatusCode != http.StatusUnauthorized):
						t.Errorf("%s: %s, reached %v", name, res.Status, passed)
					case !tt.protected && (!passed || body.Load() != tt.body):
						t.Errorf("%s: %s, passed %v, with %.60q", name, res.Status, passed, body.Load())
					case passed:
						let++
					default:
						asked++
					}
				}
			}
		}
	}
	t.Logf("%d asked for a proof, %d let through", asked, let)
}

// The grant that was asked for opens it, and the body arrives as it was sent.
func TestS22GrantedBodyIsWhole(t *testing.T) {
	s := newSite(t, fieldRules)
	var got string
	s.back.Store(s.Gate)
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = s.Gate.ServeHTTP(w, r, func(_ http.ResponseWriter, r *http.Request) error {
			b, err := io.ReadAll(r.Body)
			got = string(b)
			return err
		})
	}))
	s.URL = front
	cookie := grantCookie(stop, s.token("alice", stop))
	for _, body := range []string{`{"method":"stop"}`, `{"method":"stop"}` + strings.Repeat("\n", 400_000), "\xff\xfe{\x00"} {
		if a := s.do("POST", "/rpc", body, "Content-Type", "application/json", "Cookie", cookie); a.StatusCode != 200 || got != body {
			t.Errorf("%.30q: %s, %d of %d bytes", body, a.Status, len(got), len(body))
		}
	}
}

// What cannot be told asks for the first rule and for those behind it.
func TestS22CannotTellGoesOn(t *testing.T) {
	rules := func(behind ...gate.Rule) func(*gate.Options) {
		return func(o *gate.Options) {
			o.Rules = append([]gate.Rule{{Demand: pay, Match: below("/form"), Fields: []readings.Field{form("op", "pay")}}}, behind...)
		}
	}
	for name, tt := range map[string]struct {
		edit func(*gate.Options)
		want int
	}{
		"nothing behind": {rules(), 401},
		"same action":    {rules(gate.Rule{Demand: pay, Match: below("/form/x"), Fields: []readings.Field{form("op", "get")}}), 401},
		"another action": {rules(gate.Rule{Demand: admin, Match: below("/form")}), 401},
		"another field":  {rules(gate.Rule{Demand: admin, Match: below("/form"), Fields: []readings.Field{form("op", "get")}}), 401},
		"excepted":       {rules(gate.Rule{Demand: admin, Unsafe: true, Except: []string{"/form"}}), 401},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.edit)
			s.expect(s.do("POST", "/form", "x", "Content-Encoding", "br", "Content-Type", "application/json"), tt.want, false)
		})
	}
	// With an unknown method too.
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{
			{Demand: pay, Match: methodAnd("DELETE", below("/form")), UsesMethod: true, Fields: []readings.Field{form("op", "pay")}},
			{Demand: admin, Match: below("/form"), Fields: []readings.Field{form("op", "get")}},
		}
	})
	odd := []string{"Content-Type", "application/x-www-form-urlencoded", "Content-Encoding", "br"}
	s.expect(s.do("POST", "/form", "x", odd...), 401, false)
	for _, d := range []grants.Demand{pay, admin} { // of the two one is not enough
		s.expect(s.do("POST", "/form", "x", append(odd, "Cookie", grantCookie(d, s.token("alice", d)))...), 401, false)
	}
	s.expect(s.do("POST", "/form?op=x", "a=b", "Content-Type", odd[1]), 200, true)
	s.expect(s.do("POST", "/form?op=get", "a=b", "Content-Type", odd[1]), 401, false)
	s.expect(s.do("POST", "/form?op=get", "_method=delete", "Content-Type", odd[1]), 401, false)
}

func TestExplainFields(t *testing.T) {
	s := newSite(t, fieldRules)
	for target, want := range map[string]string{
		"/rpc":             "pass true [2 b true] [0  false]",
		"/rpc?method=stop": "step_up false [2 b false]",
		"/form?op.x=pay":   "step_up false [1 a false]",
		"/form?op_x=pay":   "step_up false [1 a false] [0  false]", // maybe nothing to another reader
		"/both?op=pay":     "pass true [3 c true] [0  false]",
		"/x":               "pass false [0  false]",
	} {
		r, err := http.NewRequest("GET", "https://app.test"+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RequestURI = target
		e := s.Gate.Explain(r)
		got := fmt.Sprint(e.Outcome, " ", e.DependsOnBody)
		for _, one := range e.Readings {
			got += fmt.Sprintf(" [%d %s %v]", one.Rule, one.Line, one.IfBody)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}
