package caddymodule_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// unpack extracts what is under one folder of a .tar.gz, and under "key", to dir:
// the folder as "data".
func unpack(t *testing.T, archive, folder, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(zipped); ; {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name, isData := strings.CutPrefix(head.Name, folder+"/")
		if isData {
			name = filepath.Join("data", name)
		} else if name, _ = strings.CutPrefix(head.Name, "key/"); name == head.Name {
			continue
		}
		if head.Typeflag == tar.TypeDir || name == "" {
			continue
		}
		data, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDatabaseOfTheVersionBefore opens databases that the version before made
// (testdata/before/make.sh), after an orderly end and after a kill: who enrolled
// still proves, what was used is used, who was reset needs an invite, a server's key
// works.
func TestDatabaseOfTheVersionBefore(t *testing.T) {
	said, err := os.ReadFile("testdata/before/before.json")
	if err != nil {
		t.Fatal(err)
	}
	var before struct {
		Alice string   `json:"alice"`
		Codes []string `json:"recovery_codes"`
		Key   struct {
			Key string `json:"key"`
		} `json:"key"`
	}
	if err := json.Unmarshal(said, &before); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"ended", "killed"} {
		t.Run(state, func(t *testing.T) {
			b := newBed(t)
			unpack(t, "testdata/before/before.tar.gz", state, b.Dir)
			b.Load(b.withAPI(b.config(keyFile, "tenant staff\n"+protectAdmin, ""), ""))
			alice := &person{b: b, name: "alice", secret: before.Alice}
			recover := func(code string) int {
				_, challenge := alice.do("POST", "/.step-up/api/challenges", map[string]string{"action_type": "ADMIN"})
				resp, _ := alice.do("POST", "/.step-up/api/challenges/"+challenge["challenge_id"].(string)+"/verify",
					map[string]string{"method": "recovery_code", "code": code})
				return resp.StatusCode
			}
			grant := alice.win("ADMIN")
			if resp, answer := alice.do("GET", "/admin/", nil, grant); resp.StatusCode != http.StatusOK {
				t.Errorf("with a grant: %d %v", resp.StatusCode, answer)
			}
			if status := recover(before.Codes[1]); status != http.StatusOK {
				t.Errorf("a recovery code: %d", status)
			}
			if status := recover(before.Codes[1]); status == http.StatusOK {
				t.Error("a recovery code was good twice")
			}
			if status := recover(before.Codes[0]); (status == http.StatusOK) != (state == "ended") {
				t.Errorf("the recovery code that was used before the kill: %d", status)
			}
			bob := &person{b: b, name: "bob"}
			if resp, answer := bob.do("POST", "/.step-up/api/totp", map[string]string{}); resp.StatusCode != http.StatusForbidden {
				t.Errorf("who was reset enrolls: %d %v", resp.StatusCode, answer)
			}
			key := &server{b: b, key: before.Key.Key}
			if status, answer := key.do("GET", "/api/backend/v1/user/alice/mfa", nil); status != http.StatusOK {
				t.Errorf("the server's key: %d %v", status, answer)
			}
		})
	}
}
