package readings

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// request builds what net/http hands to a handler.
func request(method, target string, header ...string) *http.Request {
	r := &http.Request{Method: method, RequestURI: target, Header: http.Header{}, Body: http.NoBody}
	r.URL, _ = url.ParseRequestURI(target)
	for i := 0; i < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}
	return r
}

func TestS07Methods(t *testing.T) {
	// These name a method in a way that not every application reads.
	odd := map[string]bool{
		"header twice": true, "header list": true, "header no token": true, "header escaped": true, "query escaped": true, "query escaped twice": true,
		"query value blank": true, "query value NUL": true, "query value long s": true,
	}
	for _, tt := range []struct {
		name   string
		r      *http.Request
		want   string
		unsafe bool
	}{
		{"plain", request("GET", "/"), "GET", false},
		{"HEAD is GET", request("HEAD", "/"), "HEAD GET", false},
		{"unsafe", request("POST", "/?a=b&c"), "POST", true},
		{"case", request("delete", "/"), "DELETE", true},
		{"case of HEAD", request("Head", "/"), "HEAD GET", false},
		{"trace", request("TRACE", "/"), "TRACE", false},
		{"connect", request("CONNECT", "/"), "CONNECT GET", true},
		{"upgrade", request("GET", "/", "Upgrade", "websocket"), "GET", true},
		{"unregistered", request("BREW", "/"), "BREW", true},

		{"header", request("POST", "/", "X-Http-Method-Override", "DELETE"), "POST DELETE", true},
		{"header on GET", request("GET", "/", "X-Http-Method-Override", "DELETE"), "GET DELETE", true},
		{"header's other names", request("GET", "/", "X-Http-Method", "put", "X-Method-Override", "patch"), "GET PATCH PUT", true},
		{"header not canonical", request("GET", "/", "x-http-METHOD-override", "PUT"), "GET PUT", true},
		{"header underscores", request("GET", "/", "X_http_method_override", "PUT"), "GET PUT", true},
		{"header dots", request("GET", "/", "X.http.method.override", "PUT"), "GET PUT", true},
		{"header twice", request("GET", "/", "X-Http-Method-Override", "HEAD", "X-Http-Method-Override", "PUT"), "GET HEAD PUT", true},
		{"header list", request("GET", "/", "X-Http-Method-Override", " get , Delete;q=1"), "GET DELETE", true},
		{"header no token", request("GET", "/", "X-Http-Method-Override", "<x>"), "GET", false},
		{"header escaped", request("GET", "/", "X-Http-Method-Override", "%44ELETE"), "GET %44ELETE DELETE", true},
		{"header original", request("GET", "/", "X-Original-Method", "PUT"), "GET PUT", true},
		{"header safe", request("POST", "/", "X-Http-Method-Override", "GET"), "POST GET", true},
		{"other headers", request("GET", "/", "Sec-Fetch-Mode", "navigate", "Access-Control-Request-Method", "PUT", "X-Payment-Method", "card"), "GET", false},

		{"query", request("GET", "/?_method=delete"), "GET DELETE", true},
		{"query among others", request("GET", "/?a=1&_method=put&b=%20"), "GET PUT", true},
		{"query semicolon", request("GET", "/?a=1;_method=put"), "GET PUT", true},
		{"query case", request("GET", "/?_METHOD=put"), "GET PUT", true},
		{"query escaped", request("GET", "/?%5fmetho%64=pu%74"), "GET PU%74 PUT", true},
		{"query escaped twice", request("GET", "/?%255fmethod=%2570ut"), "GET %2570UT %70UT PUT", true},
		{"query subscript", request("GET", "/?_method[]=put"), "GET PUT", true},
		{"query subscript escaped", request("GET", "/?_method%5B0%5D=put"), "GET PUT", true},
		{"query PHP dot", request("GET", "/?.method=put"), "GET PUT", true},
		{"query PHP space", request("GET", "/?+method=put"), "GET PUT", true},
		{"query PHP bracket", request("GET", "/?[method=put"), "GET PUT", true},
		{"query PHP leading spaces", request("GET", "/?%20+_method=put"), "GET PUT", true},
		{"query PHP NUL", request("GET", "/?_method%00x=put"), "GET PUT", true},
		{"query ASP percent", request("GET", "/?_m%ethod=put"), "GET PUT", true},
		{"query ASP unicode", request("GET", "/?%u005fmethod=put"), "GET PUT", true},
		{"query decoded before split", request("GET", "/?a=1%26_method%3dput"), "GET PUT", true},
		{"query decoded twice before split", request("GET", "/?a=1%2526_method=put"), "GET PUT", true},
		{"query in the path", request("GET", "/x%3f_method=put"), "GET PUT", true},
		{"query deeper in the path", request("GET", "/x%253f_method=put"), "GET PUT", true},
		{"query twice", request("GET", "/?_method=head&_method=put"), "GET HEAD PUT", true},
		{"query value blank", request("GET", "/?_method=%20put%0a"), "GET %20PUT%0A PUT", true},
		{"query value NUL", request("GET", "/?_method=put%00"), "GET PUT%00 PUT", true},
		{"query value long s", request("GET", "/?_method=po%C5%BFt"), "GET PO%C5%BFT POST", true},
		{"query empty", request("GET", "/?_method=&_method"), "GET", false},
		{"query header's name", request("GET", "/?X-HTTP-Method-Override=put"), "GET PUT", true},
		{"query near misses", request("GET", "/?method=put&my_method=put&_methods=put&a=_method"), "GET", false},
		{"query percent only", request("GET", "/?%=put&100%"), "GET", false},
	} {
		m, err := MethodsOf(tt.r, Form{})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := slices.Clone(m.Methods)
		slices.Sort(got[1:]) // the order of headers is a map's
		if tt.r.Method == "HEAD" || tt.r.Method == "Head" {
			slices.Reverse(got[1:])
		}
		want := strings.Fields(tt.want)
		slices.Sort(want[1:])
		if !slices.Equal(got, want) || m.Unsafe != tt.unsafe || m.CannotTell != odd[tt.name] {
			t.Errorf("%s: %q, unsafe %v, cannot tell %v; want %q, %v", tt.name, m.Methods, m.Unsafe, m.CannotTell, want, tt.unsafe)
		}
	}
}

func TestS07FurtherQueries(t *testing.T) {
	m, err := MethodsOf(request("GET", "/rewritten"), Form{}, "a=b", "_method=delete")
	if err != nil || !m.Has("DELETE") || !m.Unsafe {
		t.Errorf("%+v, %v", m, err)
	}
}

// An override that cannot be read may be any; one that can is that and no other.
func TestS07OverridesThatCannotBeRead(t *testing.T) {
	for _, tt := range []struct {
		r          *http.Request
		want       string // among the methods
		cannotTell bool
	}{
		{request("POST", "/", "X-Http-Method-Override", "\x00"), "", true},
		{request("POST", "/", "X-Http-Method-Override", "\xff"), "", true},
		{request("POST", "/", "X-Http-Method-Override", "<x>"), "", true},
		{request("GET", "/", "X-Http-Method", "FROB"), "", true},
		{request("GET", "/", "X-Http-Method-Override", "DEL ETE"), "", true},
		{request("GET", "/", "X-Http-Method-Override", "\"DELETE\""), "DELETE", true},
		{request("GET", "/", "X-Http-Method-Override", "PUT", "X-Http-Method-Override", "DELETE"), "PUT DELETE", true},
		{request("GET", "/", "X-Http-Method-Override", "PUT, DELETE"), "PUT DELETE", true},
		{request("GET", "/", "X-Http-Method-Override", strings.Repeat("x", 2000)), "", true},
		{request("GET", "/?_method=frob"), "", true},
		{request("GET", "/?_method=%00"), "", true},
		{request("GET", "/", "X-Http-Method-Override", "PUT", "X-Http-Method-Override", "PUT"), "PUT", false},
		{request("GET", "/", "X-METHOD-OVERRIDE", "put"), "PUT", false},
		{request("GET", "/", "X-HTTP-Method", "MERGE"), "MERGE", false},
		{request("POST", "/", "X-Http-Method-Override", ""), "", false},
		{request("POST", "/", "X-Http-Method-Override", " "), "", false},
		{request("POST", "/?_METHOD=PUT"), "PUT", false},
		{request("POST", "/?_Method=put"), "PUT", false},

		// Plack and Catalyst, Salesforce, Alfresco.
		{request("POST", "/", "X-Tunneled-Method", "DELETE"), "DELETE", false},
		{request("POST", "/?x-tunneled-method=DELETE"), "DELETE", false},
		{request("POST", "/?_HttpMethod=PATCH"), "PATCH", false},
		{request("POST", "/?alf_method=delete"), "DELETE", false},
		// Restlet: in the query of a POST, and methods only.
		{request("POST", "/?method=DELETE"), "DELETE", false},
		{request("POST", "/?a=b&METHOD=delete"), "DELETE", false},
		{request("POST", "/?%6dethod=%44ELETE"), "DELETE", false},
		{request("POST", "/?a;method=PUT"), "PUT", false},
		{request("POST", "/x%3fmethod=PUT"), "PUT", false},
		{request("POST", "/?method=list"), "", false},
		{request("GET", "/?method=DELETE"), "", false},
		{request("PUT", "/?method=DELETE"), "", false},
	} {
		m, err := MethodsOf(tt.r, Form{})
		if err != nil || m.CannotTell != tt.cannotTell {
			t.Errorf("%s %s %v: %+v, %v; want cannot tell %v", tt.r.Method, tt.r.URL, tt.r.Header, m, err, tt.cannotTell)
		}
		for _, one := range []string{"PUT", "PATCH", "DELETE", "MERGE"} {
			if want := slices.Contains(strings.Fields(tt.want), one); m.Has(one) != want && !(one == tt.r.Method) {
				t.Errorf("%s %s %v: %q, want %q", tt.r.Method, tt.r.URL, tt.r.Header, m.Methods, tt.want)
			}
		}
	}
	if m, err := MethodsOf(request("POST", "/rewritten"), Form{}, "method=DELETE"); err != nil || !m.Has("DELETE") {
		t.Errorf("in the query before it was rewritten: %+v, %v", m, err)
	}
}

func TestS07SharedReadingsAreNotOverwritten(t *testing.T) {
	a, _ := MethodsOf(request("GET", "/?_method=put"), Form{})
	b, _ := MethodsOf(request("GET", "/?_method=delete"), Form{})
	c, _ := MethodsOf(request("GET", "/"), Form{})
	if !a.Has("PUT") || a.Has("DELETE") || b.Has("PUT") || len(c.Methods) != 1 {
		t.Errorf("%q %q %q", a.Methods, b.Methods, c.Methods)
	}
}

func TestS07Registered(t *testing.T) {
	for _, m := range []string{"GET", "PATCH", "VERSION-CONTROL", "PROPFIND", "TRACE", "CONNECT"} {
		if !Registered(m) {
			t.Errorf("%s is registered", m)
		}
	}
	for _, m := range []string{"get", "Get", "BREW", "", "*", "PRI", "GET ", "PUT,GET"} {
		if Registered(m) {
			t.Errorf("%q is not registered", m)
		}
	}
	for m, safe := range map[string]bool{"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "get": false, "POST": false, "PROPFIND": false, "": false} {
		if SafeMethod(m) != safe {
			t.Errorf("SafeMethod(%q) = %v", m, !safe)
		}
	}
}

func TestS19MethodsAreBounded(t *testing.T) {
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("_method=m%d", i))
	}
	if _, err := MethodsOf(request("GET", "/?"+strings.Join(many, "&")), Form{}); !errors.Is(err, ErrTooMany) {
		t.Errorf("40 methods: %v", err)
	}
	for _, target := range []string{
		"/?_method%" + strings.Repeat("25", 100) + "5b=x",   // a name nested too deep
		"/?a=%" + strings.Repeat("25", 100) + "26_method=x", // a separator nested too deep
		"/?_method=%" + strings.Repeat("25", 100) + "44x",
		"/?_method=" + strings.Repeat("a,", 4000),
		"/x%" + strings.Repeat("25", 100) + "3f_method=x",
	} {
		m, err := MethodsOf(request("GET", target), Form{})
		if err == nil && !m.CannotTell {
			t.Errorf("%.40q…: %+v, want one of which it cannot tell", target, m)
		}
	}
	start := time.Now()
	for _, piece := range []string{"%25%32%35", "%26", "&", ";", "_method&", "_method=x;", "%25=%25&", "+", "_method=%25%32%35&"} {
		MethodsOf(request("GET", "/?"+strings.Repeat(piece, 64<<10/len(piece))), Form{})
	}
	if took := time.Since(start); took > 2*time.Second { // far above
		t.Errorf("hostile queries took %v", took)
	}
}

func TestQueryValues(t *testing.T) {
	for _, tt := range []struct {
		query, name string
		want        []string
	}{
		{"op=withdraw", "op", []string{"withdraw"}},
		{"OP=a&op=b%20c", "op", []string{"a", "b%20c", "b c"}},
		{"op[]=x;op%5b1%5d=y", "op", []string{"x;op%5b1%5d=y", "x", "y"}},
		{"user[name]=x", "user[name]", []string{"x"}},
		{"user.name=x", "user_name", []string{"x"}},
		{"user_name=x", "user.name", []string{"x"}},
		{"opx=1&xop=2", "op", nil},
	} {
		got, certain := QueryValues(tt.query, tt.name)
		for _, v := range tt.want {
			if !slices.Contains(got, v) {
				t.Errorf("QueryValues(%q, %q) = %q, lacks %q", tt.query, tt.name, got, v)
			}
		}
		if len(tt.want) == 0 && len(got) > 0 || !certain {
			t.Errorf("QueryValues(%q, %q) = %q, %v", tt.query, tt.name, got, certain)
		}
	}
}

func FuzzMethods(f *testing.F) {
	f.Add("GET", "_method=put", "DELETE")
	f.Add("POST", "a=%2526_method%253dx;b[]=%u0026", "a,b,c")
	f.Fuzz(func(t *testing.T, method, query, header string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL.RawQuery = method, query
		r.Header["X-Http-Method-Override"] = []string{header}
		m, err := MethodsOf(r, Form{})
		if err != nil {
			if !errors.Is(err, ErrTooMany) {
				t.Fatal(err)
			}
			return
		}
		sent := strings.ToUpper(method)
		if sent == "" {
			sent = "GET"
		}
		if m.Methods[0] != sent || len(m.Methods) > maxMethods {
			t.Fatalf("%q", m.Methods)
		}
		if sent == "HEAD" && !m.Has("GET") {
			t.Fatalf("HEAD without GET: %q", m.Methods)
		}
		// What Go's own parser finds is never missed.
		values, _ := url.ParseQuery(query)
		for _, v := range append(values["_method"], header) {
			if isToken(v) && !m.Has(strings.ToUpper(v)) && len(v) <= 64 && !strings.Contains(v, "'") && !m.CannotTell {
				t.Fatalf("%q not among %q", v, m.Methods)
			}
		}
	})
}

func BenchmarkMethods(b *testing.B) {
	headers := []string{
		"Accept", "text/html", "Accept-Encoding", "gzip", "Accept-Language", "de", "Cache-Control", "no-cache", "Connection", "keep-alive",
		"Cookie", "a=b", "Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none", "User-Agent", "x", "X-Forwarded-For", "::1", "X-Forwarded-Proto", "https",
	}
	for name, r := range map[string]*http.Request{
		"plain":    request("GET", "/reports/2024", headers...),
		"query":    request("GET", "/reports/2024?from=2024-01-01&to=2024-12-31&q=a%20b+c", headers...),
		"override": request("POST", "/?_method=delete", headers...),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := MethodsOf(r, Form{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
