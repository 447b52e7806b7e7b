package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// withMark keeps the mark beside the database instead of where all tests share.
func withMark(text, mark string) string {
	return strings.Replace(text, "dir {{dir}}/data\n", "dir {{dir}}/data\n\t\t\tmark "+mark+"\n", 1)
}

// stop stops Caddy, so that the database's directory is at rest.
func (b *bed) stop() {
	b.t.Helper()
	if err := caddy.Stop(); err != nil {
		b.t.Fatal(err)
	}
}

// copyData copies the database's directory, and putBack puts the copy in its
// place; both while Caddy is stopped.
func (b *bed) copyData() string {
	b.t.Helper()
	to := filepath.Join(b.t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(filepath.Join(b.Dir, "data"))); err != nil {
		b.t.Fatal(err)
	}
	return to
}

func (b *bed) putBack(from string) {
	b.t.Helper()
	data := filepath.Join(b.Dir, "data")
	if err := os.RemoveAll(data); err != nil {
		b.t.Fatal(err)
	}
	if err := os.CopyFS(data, os.DirFS(from)); err != nil {
		b.t.Fatal(err)
	}
}

// enrolWithCodes is enroll that keeps the recovery codes.
func (b *bed) enrollWithCodes(name string) (*person, []string) {
	b.t.Helper()
	p := &person{b: b, name: name}
	resp, begun := p.do("POST", "/.step-up/api/totp", map[string]string{})
	if resp.StatusCode != http.StatusCreated {
		b.t.Fatalf("enrolling %s: %d %v", name, resp.StatusCode, begun)
	}
	p.secret = begun["secret"].(string)
	_, done := p.do("POST", "/.step-up/api/totp/"+begun["id"].(string)+"/confirm", map[string]string{"code": p.code()})
	var codes []string
	for _, c := range done["recovery_codes"].([]any) {
		codes = append(codes, c.(string))
	}
	return p, codes
}

// answer answers a new challenge for ADMIN.
func (p *person) answer(method, code string) (int, map[string]any) {
	p.b.t.Helper()
	resp, challenge := p.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": "ADMIN"})
	if resp.StatusCode != http.StatusCreated {
		return resp.StatusCode, challenge
	}
	resp, verified := p.do("POST", "/.step-up/api/challenges/"+challenge["challenge_id"].(string)+"/verify", map[string]string{"method": method, "code": code})
	return resp.StatusCode, verified
}

// removeOwn removes the person's only authenticator.
func (p *person) removeOwn() {
	p.b.t.Helper()
	_, me := p.do("GET", "/.step-up/api/me", nil)
	path := "/.step-up/api/authenticators/" + me["authenticators"].([]any)[0].(map[string]any)["id"].(string)
	_, challenge := p.do("DELETE", path, nil)
	resp, verified := p.do("POST", "/.step-up/api/challenges/"+challenge["challenge_id"].(string)+"/verify", map[string]string{"method": "totp", "code": p.code()})
	if resp.StatusCode != http.StatusOK {
		p.b.t.Fatal("proving a removal:", verified)
	}
	if resp, answer := p.do("DELETE", path, nil, resp.Cookies()...); resp.StatusCode != http.StatusNoContent {
		p.b.t.Fatal("removing:", resp.StatusCode, answer)
	}
}

// An older copy of the directory is put back, with all that was used and taken
// away since good again in it. None of it works, before the operator accepts the
// copy and after.
func TestS25OlderCopyThroughCaddy(t *testing.T) {
	b := newBed(t)
	text := withMark(b.withAPI(b.config(keyFile, protectAdmin+protectTransfer, ""), ""), "{{dir}}/mark")
	b.Load(text)
	alice, bob, dave := b.enroll("alice"), b.enroll("bob"), b.enroll("dave")
	carol, codes := b.enrollWithCodes("carol")
	revoked, stays := b.newServer(anyVerb...), b.newServer(anyVerb...)
	once, lasting := alice.win("TRANSFER"), bob.win("ADMIN")
	b.stop()
	copied := b.copyData()
	b.Load(text)

	if resp, answer := alice.do("POST", "/transfer", map[string]string{}, once); resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode, answer)
	}
	code := carol.code()
	for method, code := range map[string]string{"totp": code, "recovery_code": codes[0]} {
		if status, answer := carol.answer(method, code); status != 200 {
			t.Fatal(method, status, answer)
		}
	}
	b.mustRun("keys", "revoke", revoked.id)
	b.mustRun("reset", "bob")
	dave.removeOwn()
	b.enroll("erin")
	b.stop()
	b.putBack(copied)
	b.Load(text)

	reached := len(b.app.requests())
	alice.isRefused("POST", "/transfer", once)
	bob.isRefused("GET", "/admin/", lasting)
	(&person{b: b}).isRefused("GET", "/admin/", lasting)
	carol.isRefused("GET", "/.step-up/api/me")
	carol.isRefused("GET", "/.step-up/")
	if status, answer := carol.answer("recovery_code", codes[0]); status != 503 {
		t.Error("a used recovery code:", status, answer)
	}
	for _, s := range []*server{revoked, stays} {
		if status, answer := s.try("alice", "TRANSFER", timeBased, 60, alice.code()); status != 503 || answer["error_code"] != "store_rolled_back" {
			t.Error("a server:", status, answer)
		}
	}
	if n := len(b.app.requests()); n != reached {
		t.Errorf("%d refused requests reached the application", n-reached)
	}
	if resp, _ := alice.do("GET", "/public", nil); resp.StatusCode != 200 || len(b.app.requests()) != reached+1 {
		t.Error("what is not protected does not pass:", resp.StatusCode)
	}
	if status, health := b.admin("GET", "/step_up/health", nil); status != 503 || !strings.Contains(health["reason"].(string), "older copy") {
		t.Error("health:", status, health)
	}
	if n := strings.Count(b.Log(), "caddy step-up fence accept --audit FILE"); n != 1 {
		t.Errorf("the log says %d times what to run", n)
	}
	if status := b.mustRun("fence"); status["kind"] != "rolled_back" || !strings.Contains(status["reason"].(string), "acknowledged") {
		t.Error("fence:", status)
	}
	if out, err := b.run("users"); err == nil {
		t.Error("users are read from the older copy:", out)
	}
	if out, err := b.run("fence", "accept"); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Error("accepted without being asked:", out, err)
	}
	empty := filepath.Join(t.TempDir(), "console.log")
	if err := os.WriteFile(empty, []byte("2026-11-28 INFO reset done\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := b.run("fence", "accept", "--yes", "--audit", empty); err == nil || !strings.Contains(err.Error(), "format json") {
		t.Error("a log without audit lines:", out, err)
	}

	out, err := b.run("fence", "accept", "--yes", "--audit", filepath.Join(b.Dir, "caddy.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"API key " + revoked.id + " of tenant default was revoked",
		"bob was reset; to let them enroll again: caddy step-up invite --tenant default bob",
		"dave removed authenticator ",
		"carol used a recovery code; theirs are not accepted until they are renewed",
		"erin added authenticator ", "which is gone: caddy step-up invite --tenant default erin",
		"API key " + stays.id + " is suspended: caddy step-up keys enable " + stays.id,
	} {
		if !strings.Contains(out, line) {
			t.Errorf("missing %q in\n%s", line, out)
		}
	}
	for _, no := range []string{"alice", "Without --audit", "not known"} {
		if strings.Contains(out, no) {
			t.Errorf("%q in\n%s", no, out)
		}
	}

	again := func() {
		t.Helper()
		if resp, answer := alice.do("POST", "/transfer", map[string]string{}, once); resp.StatusCode != 401 {
			t.Error("a spent grant:", resp.StatusCode, answer)
		}
		if resp, answer := bob.do("GET", "/admin/", nil, lasting); resp.StatusCode != 401 {
			t.Error("a time-based grant:", resp.StatusCode, answer)
		}
		if status, answer := carol.answer("totp", code); status != 422 || answer["code"] != "invalid_code" {
			t.Error("a used code:", status, answer)
		}
		if status, answer := carol.answer("recovery_code", codes[0]); status != 403 {
			t.Error("a used recovery code:", status, answer)
		}
		for _, who := range []*person{bob, dave} {
			if status, answer := who.answer("totp", who.code()); status != 409 || answer["code"] != "not_enrolled" {
				t.Errorf("%s: %d %v", who.name, status, answer)
			}
			if resp, answer := who.do("POST", "/.step-up/api/totp", map[string]string{}); resp.StatusCode != 403 {
				t.Errorf("%s enrolls without an invite: %d %v", who.name, resp.StatusCode, answer)
			}
		}
		if status, answer := revoked.do("GET", "/api/backend/v1/user/alice/mfa", nil); status != 401 {
			t.Error("a revoked key:", status, answer)
		}
	}
	again()
	if status, answer := stays.do("GET", "/api/backend/v1/user/alice/mfa", nil); status != 401 || !strings.Contains(answer["user_facing_error"].(string), "suspended") {
		t.Error("a suspended key:", status, answer)
	}
	if list, err := b.run("keys", "list"); err != nil || !strings.Contains(list, "suspended") {
		t.Error(list, err)
	}
	b.mustRun("keys", "enable", stays.id)
	if status, answer := stays.do("GET", "/api/backend/v1/user/alice/mfa", nil); status == 401 || status == 503 {
		t.Error("an enabled key:", status, answer)
	}
	frank := b.enroll("frank")
	grant := frank.win("ADMIN")
	b.stop()
	b.Load(text)
	again()
	if resp, answer := frank.do("GET", "/admin/", nil, grant); resp.StatusCode != 200 {
		t.Error("a grant of the new generation:", resp.StatusCode, answer)
	}
	if status := b.mustRun("fence"); status["kind"] != "none" || status["generation"] != 1.0 || status["recovery_codes_barred"] != true {
		t.Error("fence:", status)
	}
	if _, err := b.run("fence", "accept", "--yes"); err == nil || !strings.Contains(err.Error(), "nothing to accept") {
		t.Error("accepted twice:", err)
	}
	b.mustRun("fence", "accept", "--yes", "--codes")
	if status := b.mustRun("fence"); status["recovery_codes_barred"] != false {
		t.Error("codes are not trusted:", status)
	}
}

// isRefused checks that a request gets 503 store_rolled_back, in a program's form
// and as a page.
func (p *person) isRefused(method, path string, cookies ...*http.Cookie) {
	p.b.t.Helper()
	resp, answer := p.do(method, path, nil, cookies...)
	page := strings.HasPrefix(path, "/.step-up/") && !strings.Contains(path, "/api/")
	if resp.StatusCode != 503 || !page && answer["code"] != "store_rolled_back" || resp.Header.Get("Retry-After") != "60" {
		p.b.t.Errorf("%s %s: %d %v, Retry-After %q", method, path, resp.StatusCode, answer, resp.Header.Get("Retry-After"))
	}
	r, err := http.NewRequest(method, p.b.URL+path, nil)
	if err != nil {
		p.b.t.Fatal(err)
	}
	if strings.Contains(path, "/api/") {
		return
	}
	if p.name != "" {
		r.Header.Set("X-Test-User", p.name)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	resp, answer = p.b.send(r)
	if text, _ := answer["text"].(string); resp.StatusCode != 503 || !strings.Contains(text, "restored from an older copy") || resp.Header.Get("Retry-After") != "60" {
		p.b.t.Errorf("%s %s as a page: %d %v", method, path, resp.StatusCode, answer)
	}
}

// Where the mark is gone nothing but what can be used once is void, and the log
// says so.
func TestS25MarkIsGone(t *testing.T) {
	b := newBed(t)
	text := withMark(b.config(keyFile, protectAdmin, ""), "{{dir}}/mark")
	b.Load(text)
	alice := b.enroll("alice")
	grant := alice.win("ADMIN")
	b.stop()
	remove(t, filepath.Join(b.Dir, "mark"))
	b.Load(text)
	if resp, answer := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != 401 {
		t.Error("a grant of before:", resp.StatusCode, answer)
	}
	bob := b.enroll("bob")
	if resp, answer := bob.do("GET", "/admin/", nil, bob.win("ADMIN")); resp.StatusCode != 200 {
		t.Error("something is refused:", resp.StatusCode, answer)
	}
	if status, health := b.admin("GET", "/step_up/health", nil); status != 200 {
		t.Error("health:", health)
	}
	if n := strings.Count(b.Log(), "it cannot be told whether the database is an older copy"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if status := b.mustRun("fence"); status["kind"] != "none" || status["generation"] != 1.0 || status["cause"] == "" {
		t.Error(status)
	}
	b.stop()
	b.Load(text)
	if status := b.mustRun("fence"); status["generation"] != 1.0 {
		t.Error("another generation at the next start:", status)
	}
}

// A mark that would be copied back with the data, or that cannot be written, is
// refused with a sentence; without one an older copy is not noticed.
func TestS25MarkSetting(t *testing.T) {
	b := newBed(t)
	if err := os.WriteFile(filepath.Join(b.Dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mark, want := range map[string]string{
		"{{dir}}/data/mark": "lies inside the database's directory",
		"{{dir}}/data":      "lies inside the database's directory",
		"{{dir}}/file/mark": "cannot be written",
		"{env.NO_SUCH}":     "reading mark",
	} {
		if err := b.TryLoad(withMark(b.config(keyFile, protectAdmin, ""), mark)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("mark %s: %v", mark, err)
		}
	}
	b.Load(withMark(b.config(keyFile, protectAdmin, ""), "{{dir}}/mark"))
	if err := b.TryLoad(withMark(b.config(keyFile, protectAdmin, ""), "{{dir}}/other")); err == nil || !strings.Contains(err.Error(), "another mark") {
		t.Error("two marks of one database:", err)
	}
	b.stop()

	off := withMark(b.config(keyFile, protectAdmin, ""), "off")
	b.Load(off)
	alice := b.enroll("alice")
	b.stop()
	copied := b.copyData()
	b.Load(off)
	alice.win("ADMIN")
	b.stop()
	b.putBack(copied)
	b.Load(off)
	if resp, _ := alice.do("GET", "/admin/", nil); resp.StatusCode != 401 {
		t.Error("without a mark:", resp.StatusCode)
	}
}
