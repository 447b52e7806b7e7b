//go:build components

package components

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/tests/gateway"
)

// alertmanager runs Debian's Alertmanager and gives its address.
func alertmanager(t *testing.T) string {
	t.Helper()
	dir, port := t.TempDir(), freeport.Find(t)
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route:\n  receiver: nobody\nreceivers:\n- name: nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, port, exec.Command(program(t, "prometheus-alertmanager"), "--config.file="+config, "--storage.path="+dir,
		"--web.listen-address=127.0.0.1:"+port, "--cluster.listen-address="))
}

// TestAlertmanager creates a silence as a program does: it is told what to prove
// and where, proves it, and sends the same bytes again.
func TestAlertmanager(t *testing.T) {
	application := alertmanager(t)
	up := newTap(t, application)
	g := gateway.Start(t, example(t, "alertmanager", "localhost:9093"), gateway.Options{Upstream: up.addr})
	p := g.NewPerson("alice")
	auth := new(http.Request)
	auth.Header = make(http.Header)
	auth.SetBasicAuth("alice", "wonderland")
	p.Client.Transport = signed{auth.Header.Get("Authorization"), p.Client.Transport}
	p.Enroll(t, "")

	// Not as any library would write it.
	silence := fmt.Sprintf("{ \"matchers\":[ {\"name\":\"alertname\",\"value\":\"Disk\\u0046ull\",\"isRegex\":false,\"isEqual\":true} ],\r\n\t"+
		`"startsAt":%q,"endsAt":%q, "createdBy" : "alice", "comment":"replacing disk 3, \"no\" page please – ü" }`+"\n\n",
		time.Now().UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	create := func(path string) (*http.Response, []byte) {
		t.Helper()
		resp, answer, err := p.Do("POST", path, map[string]string{"Content-Type": "application/json", "Accept": "application/json"}, strings.NewReader(silence))
		if err != nil {
			t.Fatal(err)
		}
		return resp, answer
	}
	const api = "/api/v2/silences"
	if resp, body, err := p.Do("GET", api, nil, nil); err != nil || resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "[]" {
		t.Fatalf("reading: %v %v %s", resp, err, body)
	}
	for _, path := range []string{"//api/v2/silences", "/api/v2/silences/", "/api/v2/%73ilences", "/x/../api/v2/silences", "/api/v2/silences?_method=GET", "/api/v1/silences"} {
		if resp, answer := create(path); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s %s", path, resp.Status, answer)
		}
	}
	resp, answer := create(api)
	var problem struct {
		Action    string `json:"action_type"`
		Challenge string `json:"challenge_id"`
	}
	if err := json.Unmarshal(answer, &problem); err != nil || resp.StatusCode != http.StatusUnauthorized || problem.Action != "CHANGE_ALERTING" {
		t.Fatalf("without a proof: %s %s", resp.Status, answer)
	}
	if came := up.take(); len(came) != 0 {
		t.Fatalf("without a proof %d requests reached Alertmanager", len(came))
	}
	if status, err := p.Verify(problem.Challenge, "totp", p.Code(t)); status != http.StatusOK {
		t.Fatal(err)
	}
	if resp, answer = create(api); resp.StatusCode != http.StatusOK {
		t.Fatalf("with a proof: %s %s", resp.Status, answer)
	}
	if came := up.take(); len(came) != 1 || came[0].method != "POST" || came[0].target != api || string(came[0].body) != silence {
		t.Errorf("Alertmanager got %q", came)
	}
	var created struct{ SilenceID string }
	if err := json.Unmarshal(answer, &created); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}

	// Alertmanager's own word for it, past the gateway.
	direct, err := http.Get("http://" + application + api)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Body.Close()
	var silences []struct {
		ID, CreatedBy, Comment string
		Matchers               []struct{ Name, Value string }
		Status                 struct{ State string }
	}
	text, err := io.ReadAll(direct.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &silences); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if len(silences) != 1 || silences[0].ID != created.SilenceID || silences[0].Comment != `replacing disk 3, "no" page please – ü` ||
		len(silences[0].Matchers) != 1 || silences[0].Matchers[0].Value != "DiskFull" || silences[0].Status.State != "active" {
		t.Errorf("Alertmanager has %s", text)
	}

	// The proof was for one request: neither another silence nor the end of this
	// one.
	if resp, answer = create(api); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("another silence: %s %s", resp.Status, answer)
	}
	if resp, body, err := p.Do("DELETE", "/api/v2/silence/"+created.SilenceID, nil, nil); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("ending it: %v %v %s", resp, err, body)
	}
	if came := up.take(); len(came) != 0 {
		t.Errorf("%d more requests reached Alertmanager", len(came))
	}
}

// signed sends every request with the same Authorization.
type signed struct {
	authorization string
	http.RoundTripper
}

func (s signed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", s.authorization)
	return s.RoundTripper.RoundTrip(r)
}
