//go:build components

package components

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
)

// lint returns what a linter finds wrong with an OpenAPI document, by rule and
// place. Rules named in except are not looked at.
func lint(t *testing.T, document string, except ...string) []string {
	t.Helper()
	dir := clients(t)
	document, err := filepath.Abs(document)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{filepath.Join(dir, "node_modules/@redocly/cli/bin/cli.js"), "lint", "--config=redocly.yaml", "--format=json", "--max-problems=1000", document}
	for _, rule := range except {
		args = append(args, "--skip-rule="+rule)
	}
	cmd := exec.Command(program(t, "node"), args...)
	var complaints bytes.Buffer
	cmd.Dir, cmd.Stderr = dir, &complaints
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	printed, failed := cmd.Output()
	var found struct {
		Totals   *struct{ Errors, Warnings int }
		Problems []struct {
			RuleID, Message string
			Location        []struct{ Pointer string }
		}
	}
	if err := json.Unmarshal(printed, &found); err != nil || found.Totals == nil {
		t.Fatalf("the linter does not look at %s: %v, %v\n%s%s", document, failed, err, printed, complaints.String())
	}
	var all []string
	for _, p := range found.Problems {
		where := ""
		if len(p.Location) > 0 {
			where = p.Location[0].Pointer
		}
		all = append(all, fmt.Sprintf("%s at %s: %s", p.RuleID, where, p.Message))
	}
	if len(all) == 0 && failed != nil {
		t.Fatalf("the linter fails without a finding: %v\n%s", failed, complaints.String())
	}
	return all
}

// held says what a contract holds to the document.
type held int

const (
	requestsAndAnswers held = iota
	// answersOnly is for requests that are wrong on purpose.
	answersOnly
)

// contract is a proxy in front of a server that answers in the server's place
// when a request or an answer is not as its OpenAPI document says.
type contract struct {
	url      string
	upstream *url.URL
}

// newContract starts the proxy. The document's paths begin at upstream.
func newContract(t *testing.T, document, upstream string, what held) *contract {
	t.Helper()
	dir := clients(t)
	document, err := filepath.Abs(document)
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{}
	if c.upstream, err = url.Parse(upstream); err != nil {
		t.Fatal(err)
	}
	port := freeport.Find(t)
	c.url = "http://127.0.0.1:" + port
	args := []string{filepath.Join(dir, "node_modules/.bin/prism"), "proxy", "--errors", "--cors=false", "--host=127.0.0.1", "--port=" + port}
	if what == answersOnly {
		args = append(args, "--validate-request=false")
	}
	cmd := exec.Command(program(t, "node"), append(args, document, upstream)...)
	log, err := os.Create(filepath.Join(t.TempDir(), "prism.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return c
		}
		select {
		case err := <-exited:
			exited <- err
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("prism ended: %v\n%s", err, said)
		default:
		}
	}
	t.Fatal("prism did not start in a minute")
	return nil
}

// send sends a request through the proxy. Where that finds a violation, its
// description is the second result.
func (c *contract) send(req *http.Request) (*http.Response, string, error) {
	through := req.Clone(req.Context())
	path, ok := strings.CutPrefix(req.URL.EscapedPath(), c.upstream.EscapedPath())
	if !ok || req.URL.Host != c.upstream.Host {
		return nil, "", fmt.Errorf("%s is not under %s", req.URL, c.upstream)
	}
	to, err := url.Parse(c.url + path)
	if err != nil {
		return nil, "", err
	}
	to.RawQuery = req.URL.RawQuery
	through.URL, through.Host = to, ""
	resp, err := http.DefaultTransport.RoundTrip(through)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, "", err
	}
	resp.Body, resp.Request = io.NopCloser(bytes.NewReader(body)), req
	// The proxy's own problems have a type, also where it could not read the
	// server's answer; the gateway's have none.
	var problem struct{ Type string }
	if resp.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(body, &problem) == nil && problem.Type != "" {
		return resp, string(body), nil
	}
	// Some violations, as of a status that the document does not name, are only
	// told.
	return resp, strings.Join(resp.Header.Values("Sl-Violations"), "; "), nil
}

// through is a transport for requests to the upstream that fails the test for
// each violation.
func (c *contract) through(t *testing.T) http.RoundTripper { return watched{t, c} }

type watched struct {
	t *testing.T
	*contract
}

func (w watched) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, violation, err := w.send(req)
	if violation != "" {
		w.t.Errorf("%s %s is not as the document says: %s", req.Method, req.URL.Path, violation)
	}
	return resp, err
}

// TestContractIsSeenBroken tries the linter and the proxy on a document and a
// server with known faults: that they find nothing elsewhere means something.
func TestContractIsSeenBroken(t *testing.T) {
	const document = `
openapi: 3.1.0
info: {title: A document, version: "1", description: It is small.}
servers: [{url: /api}]
security: [{key: []}]
paths:
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    post:
      operationId: changeThing
      summary: Change a thing
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [n], additionalProperties: false, properties: {n: {type: integer}}}}}
      responses:
        "200": {description: Changed., content: {application/json: {schema: {type: object, required: [n], additionalProperties: false, properties: {n: {type: [integer, "null"]}}}}}}
        "404": {description: There is none.}
components:
  securitySchemes: {key: {type: http, scheme: bearer}}
`
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "openapi.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write(document)
	if found := lint(t, good); len(found) > 0 {
		t.Errorf("the linter finds %q in a good document", found)
	}
	for rule, text := range map[string]string{
		"security-defined":           strings.Replace(document, "security: [{key: []}]\n", "", 1),
		"path-parameters-defined":    strings.Replace(document, "    parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n", "", 1),
		"operation-4xx-response":     strings.Replace(document, `        "404": {description: There is none.}`+"\n", "", 1),
		"no-unresolved-refs":         strings.Replace(document, "schema: {type: string}", `schema: {$ref: "#/components/schemas/None"}`, 1),
		"operation-summary":          strings.Replace(document, "      summary: Change a thing\n", "", 1),
		"no-invalid-schema-examples": strings.Replace(document, "schema: {type: string}", "schema: {type: string, examples: [7]}", 1),
	} {
		if found := lint(t, write(text)); !strings.Contains(strings.Join(found, "\n"), rule+" at #") {
			t.Errorf("the linter does not find %s but %q", rule, found)
		}
	}

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/things/good":
			io.WriteString(w, `{"n":null}`)
		case "/api/things/member":
			io.WriteString(w, `{"n":1,"more":2}`)
		case "/api/things/type":
			io.WriteString(w, `{"n":"1"}`)
		case "/api/things/html":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, `<p>`)
		case "/api/things/empty":
		case "/api/things/status":
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, `{}`)
		case "/api/things/none":
			w.Header().Del("Content-Type")
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	for what, held := range map[string]held{"requests and answers": requestsAndAnswers, "answers only": answersOnly} {
		c := newContract(t, good, server.URL+"/api", held)
		for path, wrong := range map[string]bool{"good": false, "none": false, "member": true, "type": true, "html": true, "empty": true, "status": true} {
			if violation := tryContract(t, c, server.URL+"/api/things/"+path, `{"n":1}`); (violation != "") != wrong {
				t.Errorf("%s: %s has the violation %q", what, path, violation)
			}
		}
		if violation := tryContract(t, c, server.URL+"/api/things/good", `{"n":1,"m":1}`); (violation != "") != (held == requestsAndAnswers) {
			t.Errorf("%s: a wrong request has the violation %q", what, violation)
		}
		if violation := tryContract(t, c, server.URL+"/api/nothing", `{"n":1}`); violation == "" {
			t.Errorf("%s: an unknown path is no violation", what)
		}
	}
}

func tryContract(t *testing.T, c *contract, url, body string) string {
	t.Helper()
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer x")
	_, violation, err := c.send(req)
	if err != nil {
		t.Fatal(err)
	}
	return violation
}
