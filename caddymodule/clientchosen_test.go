package caddymodule_test

import (
	"strings"
	"testing"
)

// A rule that is left by leaving out a header loads, and says so.
func TestS28RuleByHeaderIsWarnedOf(t *testing.T) {
	b := newBed(t)
	b.Load(b.config(keyFile, protectAdmin, ""))
	if strings.Contains(b.Log(), "what a client chooses") {
		t.Error("a rule by path is warned of")
	}
	b.Load(b.config(keyFile, `protect KIND {
			match {
				header X-Kind money
				path /pay
			}
			grant time_based 10m
		}`, ""))
	if log := b.Log(); !strings.Contains(log, "what a client chooses") || !strings.Contains(log, `"matchers":["header"]`) || !strings.Contains(log, "protect KIND") {
		t.Errorf("not warned of: %s", log[max(0, len(log)-2000):])
	}
}
