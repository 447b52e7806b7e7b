package caddymodule_test

import (
	"strings"
	"testing"
)

// TestCheckRunning asks a running gateway what is wrong with its configuration, and who
// would be asked at some URLs.
func TestCheckRunning(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin+protectTransfer, ""))
	out, err := b.run("check", "--offline", b.URL+"/admin/x", b.URL+"/public")
	for _, want := range []string{
		"POST    " + b.URL + "/admin/x  step_up  ADMIN (rule 1)\n", "GET     " + b.URL + "/public   pass     -\n",
		"Rule 1: ADMIN (Caddyfile:", "note: Caddyfile:", "[plain-http-local]", "database  ", "drwx------",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("check did not write %q, %v:\n%s", want, err, out)
		}
	}
	if status, answer := b.admin("POST", "/step_up/check", map[string]any{}); status != 400 {
		t.Error("without a configuration:", status, answer)
	}
}
