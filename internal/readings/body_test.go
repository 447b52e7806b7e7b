package readings

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const urlencoded = "application/x-www-form-urlencoded"

// post is a request with a body of unannounced length.
func post(contentType, body string) *http.Request {
	r := request("POST", "/")
	if contentType != "" {
		r.Header["Content-Type"] = []string{contentType}
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1
	return r
}

func part(headers, value string) string {
	return "--B\r\n" + headers + "\r\n\r\n" + value + "\r\n--B--\r\n"
}

func TestS07MethodInTheBody(t *testing.T) {
	const disposition = `Content-Disposition: form-data; `
	many := strings.Repeat(part(disposition+`name="a"`, "b"), 20)
	for _, tt := range []struct {
		name, contentType, body string
		found, cannotTell       bool
	}{
		{"urlencoded", urlencoded, "a=b&_method=put", true, false},
		{"urlencoded, charset", urlencoded + "; charset=UTF-8", "_method=put", true, false},
		{"urlencoded, latin-1", urlencoded + `; charset="ISO-8859-1"`, "_method=put", true, false},
		{"urlencoded, odd case", "Application/X-WWW-Form-URLEncoded", "_method=put", true, false},
		{"urlencoded, sloppy", urlencoded + ", text/plain", "_method=put", true, false},
		{"urlencoded, escaped", urlencoded, "%5Fmethod=%50ut", true, true}, // %50UT to who does not decode
		{"urlencoded, BOM", urlencoded, "\ufeff_method=put", true, false},
		{"urlencoded, semicolon", urlencoded, "a=b;_method=put", true, false},
		{"urlencoded, not there", urlencoded, "a=b&method=put", false, false},
		{"no type", "", "_method=put", true, false},
		{"json", "application/json", `{"_method":"put"}`, true, false},
		{"json, deep and odd", "text/plain; a=/JSON", "\ufeff{\"a\":[{\"\\u005fmethod\" : \r\n\"\\u0070ut\"}]}", true, false},
		{"json, in a comment", "application/vnd.api+json; charset=utf-8", `{/*"*/"_method":"put"}`, true, false},
		{"json, twice", "application/json", `{"_method":1,"_method":"put"}`, true, false},
		{"json, another member", "application/json", `{"method":"put","x":"_method","put":"\"_method\""}`, false, false},
		{"json, a name at the end", "application/json", `{"a":"b","_method`, false, false},
		{"json, UTF-16", "application/json", "{\x00\"\x00", false, true},
		{"json, a stream", "application/grpc+json", `{}`, false, true},
		{"octets", "application/octet-stream", "_method=put", false, false},
		{"text", "text/plain", "_method=put", false, false},
		{"type with parameters missing", "application/json; charset", "{}", false, true},
		{"no type at all", "form", "_method=put", false, true},
		{"any type", "*/*", "_method=put", false, true},
		{"two in one", urlencoded + "; multipart/form-data", "_method=put", false, true},
		{"UTF-16", urlencoded + "; charset=utf-16", "_\x00m\x00", false, true},
		{"EBCDIC", urlencoded + "; charset=IBM037", "\x6d", false, true},
		{"charset twice", urlencoded + "; charset=utf-8; charset=utf-7", "_method=put", false, true},
		{"charset extended", urlencoded + "; charset*=us-ascii''utf-7", "_method=put", false, true},
		{"UTF-16 mark", urlencoded, "\xff\xfe_\x00", false, true},

		{"multipart", "multipart/form-data; boundary=B", part(disposition+`name="_method"`, "put"), true, false},
		{"multipart, second", "multipart/form-data; boundary=B", many + part(disposition+`name="_method"`, "put"), true, false},
		{"multipart, unquoted", "multipart/form-data; boundary=B", part(disposition+`name=_method`, "put"), true, false},
		{"multipart, unquoted and more", "multipart/form-data; boundary=B", part(disposition+`name=_method; filename=x`, "put"), true, false},
		{"multipart, single quotes", "multipart/form-data; boundary=B", part(disposition+`name='_method'`, "put"), true, false},
		{"multipart, quoted pair", "multipart/form-data; boundary=B", part(disposition+`name="_\method"`, "put"), true, false},
		{"multipart, escaped", "multipart/form-data; boundary=B", part(disposition+`name="%5Fmethod"`, "put"), true, false},
		{"multipart, extended", "multipart/form-data; boundary=B", part(disposition+`name*=utf-8''%5Fmethod`, "put"), true, false},
		{"multipart, spaces", "multipart/form-data; boundary=B", part(disposition+`NAME = "_method"`, "put"), true, false},
		{"multipart, folded", "multipart/form-data; boundary=B", part("Content-Disposition: form-data;\r\n name=\"_method\"", "put"), true, false},
		{"multipart, header last", "multipart/form-data; boundary=B", part("Content-Type: text/plain\r\ncontent-disposition:form-data;name=\"_method\"", "put"), true, false},
		{"multipart, name twice", "multipart/form-data; boundary=B", part(disposition+`name="a"; name="_method"`, "put"), true, false},
		{"multipart, LF only", "multipart/form-data; boundary=B", strings.ReplaceAll(part(disposition+`name="_method"`, "put"), "\r", ""), true, false},
		{"multipart, LF in header", "multipart/form-data; boundary=B", part(disposition+"x=\"\n\n\"; name=\"_method\"", "put"), true, false},
		{"multipart, other boundary", "multipart/form-data; boundary=C", part(disposition+`name="_method"`, "put"), true, false},
		{"multipart, subscript", "multipart/form-data; boundary=B", part(disposition+`name="_method[]"`, "put"), true, false},
		{"multipart, other type", "multipart/mixed; boundary=B", part(disposition+`name="_method"`, "put"), true, false},
		{"multipart, not there", "multipart/form-data; boundary=B", many, false, false},
		{"multipart, file", "multipart/form-data; boundary=B", part(disposition+`name="f"; filename="x.html"`, "<input name=\"_method\">\r\n\r\n"), false, false},
		{"multipart, pieces", "multipart/form-data; boundary=B", part(disposition+`name*0="_me"; name*1="thod"`, "put"), false, true},
		{"multipart, encoded word", "multipart/form-data; boundary=B", part(disposition+`name="=?utf-8?B?X21ldGhvZA==?="`, "put"), false, true},
		{"multipart, base64", "multipart/form-data; boundary=B", part(disposition+"name=\"_method\"\r\nContent-Transfer-Encoding: base64", "cHV0"), false, true},
		{"multipart, charset", "multipart/form-data; boundary=B", part(disposition+"name=\"_method\"\r\nContent-Type: text/plain; charset=utf-16", "p\x00"), false, true},
		{"multipart, value strange", "multipart/form-data; boundary=B", part(disposition+`name="_method"`, "pu\x00t"), false, true},
		{"multipart, cut short", "multipart/form-data; boundary=B", "--B\r\n" + disposition + `name="_method"`, false, true},
	} {
		for _, method := range []string{"POST", "GET"} {
			r := post(tt.contentType, tt.body)
			r.Method = method
			form := PeekForm(r, 1<<20)
			m, err := MethodsOf(r, form)
			if err != nil || m.Has("PUT") != tt.found || m.CannotTell != tt.cannotTell {
				t.Errorf("%s: %+v, %v; want PUT %v, cannot tell %v", tt.name, m, err, tt.found, tt.cannotTell)
			}
			if got, err := io.ReadAll(r.Body); string(got) != tt.body || err != nil {
				t.Errorf("%s: the upstream gets %q, %v", tt.name, got, err)
			}
		}
	}
}

func TestFormValues(t *testing.T) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("op", "with draw")
	w.WriteField("op", "pay")
	w.Close()
	form := PeekForm(post(w.FormDataContentType(), b.String()), 1<<20)
	if got, certain := form.Values("op"); !slices.Equal(got, []string{"with draw", "pay"}) || !certain {
		t.Errorf("%q, %v", got, certain)
	}
	if got, certain := form.Values("o"); len(got) != 0 || !certain {
		t.Errorf("%q, %v", got, certain)
	}
	if _, certain := (Form{CannotTell: true}).Values("op"); certain {
		t.Error("certain of what cannot be told")
	}
}

func TestS22CompressedOrLongBodiesCannotBeTold(t *testing.T) {
	r := post(urlencoded, "a=b")
	r.Header.Set("Content-Encoding", "gzip")
	if f := PeekForm(r, 100); !f.CannotTell {
		t.Error("gzip")
	}
	r = post(urlencoded, "a=b")
	r.Header.Set("Content-Encoding", "identity")
	if f := PeekForm(r, 100); f.CannotTell {
		t.Error("identity")
	}
	r = post(urlencoded, "a=b")
	r.Header["Content-Type"] = []string{urlencoded, "text/plain"}
	if f := PeekForm(r, 100); !f.CannotTell {
		t.Error("two types")
	}
	for n := 8; n <= 12; n++ {
		body := strings.Repeat("a", n)
		for _, announced := range []int64{-1, int64(n)} {
			r := post(urlencoded, body)
			r.ContentLength = announced
			if f := PeekForm(r, 10); f.CannotTell != (n > 10) {
				t.Errorf("%d bytes of at most 10, announced %d: cannot tell %v", n, announced, f.CannotTell)
			}
			if got, err := io.ReadAll(r.Body); string(got) != body || err != nil || r.ContentLength != announced {
				t.Errorf("%d bytes: the upstream gets %q, %v", n, got, err)
			}
		}
	}
}

// closing counts Close calls.
type closing struct {
	io.Reader
	closed int
}

func (c *closing) Close() error { c.closed++; return nil }

func TestPeekFormKeepsErrorsAndClose(t *testing.T) {
	broken := errors.New("connection reset")
	body := &closing{Reader: io.MultiReader(strings.NewReader("a=b&c"), iotest.ErrReader(broken))}
	r := post(urlencoded, "")
	r.Body = body
	if f := PeekForm(r, 100); !f.CannotTell {
		t.Error("half a form can be told")
	}
	got, err := io.ReadAll(r.Body)
	if string(got) != "a=b&c" || err != broken {
		t.Errorf("the upstream gets %q, %v", got, err)
	}
	r.Body.Close()
	if _, err := r.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose || body.closed != 1 {
		t.Errorf("after close: %v, closed %d times", err, body.closed)
	}
}

func TestPeekFormLeavesOthersAlone(t *testing.T) {
	for _, r := range []*http.Request{request("GET", "/"), post("text/csv", "{}"), post("image/png", "x")} {
		before := r.Body
		if f := PeekForm(r, 100); f.CannotTell || r.Body != before {
			t.Errorf("%q: %+v", r.Header["Content-Type"], f)
		}
	}
}

// Over real HTTP: the client waits for "100 Continue", the body is chunked,
// and it is peeked twice.
func TestPeekFormOverHTTP(t *testing.T) {
	const body = "a=b&_method=delete"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, second := PeekForm(r, 1<<20), PeekForm(r, 1<<20)
		m, err := MethodsOf(r, first)
		got, readErr := io.ReadAll(r.Body)
		if again, _ := second.Values("_method"); err != nil || readErr != nil || string(got) != body || !m.Has("DELETE") || len(again) != 1 {
			t.Errorf("%+v, %v, %q, %v, %q", m, err, got, readErr, again)
		}
	}))
	defer server.Close()
	for _, expect := range []string{"", "100-continue"} {
		r, _ := http.NewRequest("POST", server.URL, io.MultiReader(strings.NewReader(body)))
		r.Header.Set("Content-Type", urlencoded)
		if expect != "" {
			r.Header.Set("Expect", expect)
		}
		resp, err := (&http.Transport{ExpectContinueTimeout: time.Minute}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}

func TestS19HostileBodiesAreBounded(t *testing.T) {
	for contentType, pieces := range map[string][]string{
		urlencoded: {"&", ";", "_method&", "%25%32%35&", "%25%32%35", "+%5b=", "_method=%25%32%35;"},
		"multipart/form-data; boundary=B": {
			"content-disposition", "content-disposition\n\n", "content-disposition\r\n\r\n", "name=", "content-disposition name=%25%32%35", "name=_method",
			"content-disposition:name=_method\n\n", "\n", "\r\n",
		},
	} {
		for _, piece := range pieces {
			body := "content-disposition" + strings.Repeat(piece, 1<<20/len(piece))
			r := post(contentType, body)
			start := time.Now()
			MethodsOf(r, PeekForm(r, 2<<20))
			if took := time.Since(start); took > 3*time.Second { // far above
				t.Errorf("%q: took %v", piece, took)
			} else if testing.Verbose() {
				t.Logf("%q: %v", piece, took)
			}
		}
	}
}

func FuzzPeekForm(f *testing.F) {
	f.Add(urlencoded, "a=b&_method=put", 100)
	f.Add("multipart/form-data; boundary=B", part(`Content-Disposition: form-data; name="_method"`, "put"), 1000)
	f.Add("multipart/form-data; boundary=B", "Content-Disposition\n\nname*=\"\\", 3)
	f.Fuzz(func(t *testing.T, contentType, body string, limit int) {
		limit = max(0, min(limit, 1<<16))
		r := post(contentType, body)
		r.Body = io.NopCloser(iotest.HalfReader(strings.NewReader(body)))
		form := PeekForm(r, limit)
		m, err := MethodsOf(r, form)
		got, readErr := io.ReadAll(r.Body)
		if string(got) != body || readErr != nil {
			t.Fatalf("the upstream gets %q, %v instead of %q", got, readErr, body)
		}
		// Whatever method Go's own parser finds must have been found.
		parsed := post(contentType, body)
		if err != nil || m.CannotTell || len(body) > limit {
			return
		}
		if parsed.ParseMultipartForm(1<<20) != nil && parsed.PostForm == nil {
			return
		}
		for _, v := range parsed.PostForm["_method"] {
			if isToken(v) && len(v) <= 64 && !strings.ContainsAny(v, "'") && !m.Has(strings.ToUpper(v)) {
				t.Fatalf("Go finds method %q in %q, not among %q", v, body, m.Methods)
			}
		}
	})
}

func BenchmarkPeekForm(b *testing.B) {
	body := strings.Repeat("name=value&", 20) + "_method=delete"
	b.ReportAllocs()
	for b.Loop() {
		r := post(urlencoded, body)
		if m, err := MethodsOf(r, PeekForm(r, 1<<20)); err != nil || !m.Has("DELETE") {
			b.Fatal(m, err)
		}
	}
}
