package badgerstore

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestS13LogsHoldNoValues opens, fills, compacts and closes a database, and wants neither keys nor values in
// the log at DEBUG, nor anything above it.
func TestS13LogsHoldNoValues(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	s, err := Open(Options{Dir: t.TempDir(), Logger: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	for range 60 { // over two memory tables
		if err := s.Apply(t.Context(), put("secret-key", strings.Repeat("secret-value", 20<<10))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Flatten(1); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if logs.Len() == 0 {
		t.Error("Badger logs nothing, so nothing was tested")
	}
	for _, e := range logs.All() {
		if e.Level != zapcore.DebugLevel {
			t.Errorf("%s: %s, want nothing above DEBUG", e.Level, e.Message)
		}
		if strings.Contains(e.Message, "secret") {
			t.Errorf("%s", e.Message)
		}
	}
}

func TestLogLevels(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	l := badgerLog{zap.New(core).Sugar()}
	l.Errorf("one %d\n", 1)
	l.Warningf("two")
	l.Infof("\tthree\n")
	l.Debugf("four")
	want := []struct {
		level   zapcore.Level
		message string
	}{{zapcore.ErrorLevel, "badger: one 1"}, {zapcore.WarnLevel, "badger: two"}, {zapcore.DebugLevel, "badger: three"}}
	got := logs.All()
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i, w := range want {
		if got[i].Level != w.level || got[i].Message != w.message {
			t.Errorf("%s %q, want %s %q", got[i].Level, got[i].Message, w.level, w.message)
		}
	}
}
