package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// offline runs a command that asks no gateway.
func (b *bed) offline(args ...string) (string, error) {
	c := newStepUpCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(args)
	err := c.Execute()
	return out.String(), err
}

// takeBackup is a backup of the running Caddy, and what the command says of it.
func (b *bed) takeBackup(file string) map[string]any {
	b.t.Helper()
	c := newStepUpCommand()
	var out, told bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&told)
	c.SetArgs([]string{"backup", file, "--json", "--address", "localhost:" + b.AdminPort})
	made := map[string]any{}
	err := c.Execute()
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &made)
	}
	if err != nil || !strings.Contains(told.String(), "saved ") {
		b.t.Fatalf("%v: %s%s", err, &out, &told)
	}
	return made
}

// An operator takes backups while Caddy runs, verifies and restores one into another
// directory with the audit log, and starts on it: what was issued before is void, what
// was taken away since is so again.
func TestS25BackupThroughCaddy(t *testing.T) {
	b := newBed(t)
	text := withMark(b.withAPI(b.config(keyFile, protectAdmin+protectTransfer, ""), ""), "{{dir}}/mark")
	b.Load(text)
	alice, bob := b.enroll("alice"), b.enroll("bob")
	revoked, stays := b.newServer(anyVerb...), b.newServer(anyVerb...)
	once, lasting := alice.win("TRANSFER"), bob.win("ADMIN")
	if _, health := b.admin("GET", "/step_up/health", nil); health["last_backup"] != nil {
		t.Error("a backup before the first:", health)
	}
	file := filepath.Join(b.Dir, "one.backup")
	made := b.takeBackup(file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || made["rows"].(float64) < 8 || made["warning"] != nil {
		t.Fatal(info, err, made)
	}
	if _, health := b.admin("GET", "/step_up/health", nil); health["last_backup"] != made["moment"] {
		t.Error("health:", health, made["moment"])
	}

	// Nothing is replaced, but with --force, and no link is followed.
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(b.Dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"backup", file}, {"backup", link, "--force"}, {"backup", b.Dir, "--force"}, {"backup", filepath.Join(b.Dir, "none", "x")}} {
		if out, err := b.run(args...); err == nil {
			t.Errorf("%v: %s", args, out)
		}
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, first) {
		t.Error("a refused backup changed the file:", err)
	}
	if left, _ := filepath.Glob(filepath.Join(b.Dir, ".*.partial")); len(left) > 0 {
		t.Error("left:", left)
	}

	if resp, answer := alice.do("POST", "/transfer", map[string]string{}, once); resp.StatusCode != 200 {
		t.Fatal(resp.StatusCode, answer)
	}
	code := alice.code()
	if status, answer := alice.answer("totp", code); status != 200 {
		t.Fatal(status, answer)
	}
	b.mustRun("keys", "revoke", revoked.id)
	b.mustRun("reset", "bob")
	b.takeBackup(filepath.Join(b.Dir, "two.backup"))

	// The configuration of another place; in use, it is refused.
	elsewhere := filepath.Join(b.Dir, "elsewhere.json")
	moved := strings.NewReplacer("{{dir}}/data", "{{dir}}/restored", "{{dir}}/mark", "{{dir}}/restored.mark").Replace(text)
	here := filepath.Join(b.Dir, "here.json")
	for path, text := range map[string]string{elsewhere: moved, here: text} {
		config, err := b.Adapt(text)
		if err == nil {
			err = os.WriteFile(path, config, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if out, err := b.offline("restore", file, "--config", here); err == nil || !strings.Contains(err.Error(), "a gateway uses the database") {
		t.Error("into what is in use:", out, err)
	}
	if out, err := b.offline("backup", "verify", file, "--config", here); err != nil || !strings.Contains(out, "each row opens") {
		t.Error(out, err)
	}
	cut := filepath.Join(b.Dir, "cut.backup")
	if err := os.WriteFile(cut, first[:len(first)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := b.offline("restore", cut, "--config", elsewhere); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Error("a backup that was cut off:", out, err)
	}
	if _, err := os.Stat(filepath.Join(b.Dir, "restored")); err == nil {
		t.Error("the store was touched before the backup was verified")
	}
	audit := filepath.Join(b.Dir, "caddy.log")
	late := filepath.Join(b.Dir, "late.log")
	log, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(log), "\n")
	if err := os.WriteFile(late, []byte(strings.Join(lines[len(lines)-8:], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := b.offline("restore", file, "--config", elsewhere, "--audit", late)
	if err != nil || !strings.Contains(out, "does not reach back") || !strings.Contains(out, "The authenticators of 2 users are suspended") {
		t.Fatal("with a log that begins too late:", out, err)
	}
	if out, err := b.offline("restore", file, "--config", elsewhere); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Error("over a database:", out, err)
	}
	if err := os.RemoveAll(filepath.Join(b.Dir, "restored")); err != nil {
		t.Fatal(err)
	}
	if out, err = b.offline("restore", file, "--config", elsewhere, "--audit", audit); err != nil {
		t.Fatal(out, err)
	}
	for _, line := range []string{"The mark of the database that is gone was moved to", "API key " + revoked.id + " of tenant default was revoked", "bob was reset"} {
		if !strings.Contains(out, line) {
			t.Errorf("missing %q in\n%s", line, out)
		}
	}
	if strings.Contains(out, "not known") {
		t.Error(out)
	}

	b.stop()
	b.Load(moved)
	if resp, answer := alice.do("POST", "/transfer", map[string]string{}, once); resp.StatusCode != 401 {
		t.Error("a spent grant:", resp.StatusCode, answer)
	}
	if resp, answer := bob.do("GET", "/admin/", nil, lasting); resp.StatusCode != 401 {
		t.Error("a time-based grant:", resp.StatusCode, answer)
	}
	if status, answer := alice.answer("totp", code); status != 422 {
		t.Error("a used code:", status, answer)
	}
	if status, answer := bob.answer("totp", bob.code()); status != 409 {
		t.Error("who was reset:", status, answer)
	}
	if status, answer := revoked.do("GET", "/api/backend/v1/user/alice/mfa", nil); status != 401 {
		t.Error("a revoked key:", status, answer)
	}
	if status, answer := stays.do("GET", "/api/backend/v1/user/alice/mfa", nil); status == 401 || status == 503 {
		t.Error("another key:", status, answer)
	}
	if status := b.mustRun("fence"); status["generation"] != 1.0 || status["unconfirmed"] != nil {
		t.Error("fence:", status)
	}
}

// An older copy that nobody has accepted is not backed up.
func TestS25FencedIsNotBackedUp(t *testing.T) {
	b := newBed(t)
	text := withMark(b.config(keyFile, protectAdmin, ""), "{{dir}}/mark")
	b.Load(text)
	b.stop()
	copied := b.copyData()
	b.Load(text)
	b.enroll("alice")
	b.stop()
	b.putBack(copied)
	b.Load(text)
	file := filepath.Join(b.Dir, "one.backup")
	if out, err := b.run("backup", file); err == nil || !strings.Contains(err.Error(), "older copy") {
		t.Error(out, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a file")
	}
}
