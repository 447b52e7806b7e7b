package backendapi

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

var update = flag.Bool("update", false, "make openapi.json anew from openapi.yaml")

// described is the document, as it is written.
var described = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromFile("openapi.yaml")
})

// operationOf finds the operation of a request in the document, and the ids in its
// path. The library's own router takes no text after an id.
func operationOf(doc *openapi3.T, r *http.Request) (*routers.Route, map[string]string) {
	for path, item := range doc.Paths.Map() {
		ids, ok := match(path, strings.Split(r.URL.EscapedPath(), "/"))
		op := item.GetOperation(r.Method)
		if !ok || op == nil {
			continue
		}
		params := make(map[string]string)
		for _, segment := range strings.Split(path, "/") {
			if name, _, ok := strings.Cut(strings.TrimPrefix(segment, "{"), "}"); ok {
				params[name] = ids[len(params)]
			}
		}
		return &routers.Route{Spec: doc, Path: path, PathItem: item, Method: r.Method, Operation: op}, params
	}
	return nil, nil
}

func TestDocumentIsServedAsWritten(t *testing.T) {
	doc, err := described()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return // what is embedded is the old one
	}
	w := newWorld(t)
	got := w.want(w.get("/openapi.json", ""), http.StatusOK)
	if got.text != string(want) {
		t.Error("openapi.json is not openapi.yaml: run go generate")
	}
	w.want(w.do(ask{method: http.MethodPost, path: "/openapi.json"}), http.StatusMethodNotAllowed)
	w.want(w.do(ask{method: http.MethodGet, path: "/openapi.json", plain: true}), http.StatusForbidden)
}

func TestDocumentNamesEveryCallAndNoOther(t *testing.T) {
	doc, err := described()
	if err != nil {
		t.Fatal(err)
	}
	operations := make(map[string]bool)
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			operations[method+" "+path] = false
		}
	}
	for _, rt := range routes() {
		name := rt.method + " " + rt.pattern
		if _, ok := operations[name]; !ok {
			t.Errorf("%s is served and not described", name)
		}
		operations[name] = true
	}
	for name, served := range operations {
		if !served {
			t.Errorf("%s is described and not served", name)
		}
	}
}

// conforms holds an answer against the document, and where it is a success the
// request too: what is taken must be what the document lets one send.
func conforms(t testing.TB, sent *http.Request, body string, got *httptest.ResponseRecorder) {
	t.Helper()
	doc, err := described()
	if err != nil {
		t.Fatal(err)
	}
	sent = sent.Clone(context.Background())
	sent.Body = io.NopCloser(strings.NewReader(body))
	route, params := operationOf(doc, sent)
	if route == nil {
		if got.Code != http.StatusNotFound && got.Code != http.StatusMethodNotAllowed && sent.Method != http.MethodHead {
			t.Errorf("%s %s is not in the document and is answered with %d", sent.Method, sent.URL, got.Code)
		}
		return
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}
	request := &openapi3filter.RequestValidationInput{Request: sent, PathParams: params, Route: route, Options: options}
	// What the secrets dialect takes beyond JSON no schema can say.
	if got.Code < 300 && (body == "" || json.Valid([]byte(body))) {
		if err := openapi3filter.ValidateRequest(context.Background(), request); err != nil {
			t.Errorf("%s %s succeeds, and the document does not let one send it: %v\n%s", sent.Method, sent.URL, err, body)
		}
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: got.Code, Header: got.Header(),
		Body: io.NopCloser(bytes.NewReader(got.Body.Bytes())), Options: options,
	})
	if err != nil {
		t.Errorf("%s %s: %d is not as documented: %v\n%s", sent.Method, sent.URL, got.Code, err, got.Body)
	}
}
