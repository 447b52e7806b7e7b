package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var id = ID{1, 2, 3}

func begin(t *testing.T, dir string, previous uint64) *Log {
	t.Helper()
	l, err := Begin(dir, id, previous, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func add(t *testing.T, l *Log, sequence uint64, payload string) {
	t.Helper()
	if err := l.Append(sequence, append(l.Buffer(), payload...)); err != nil {
		t.Fatal(err)
	}
}

// contents reads a log as "sequence:payload" lines.
func contents(t *testing.T, dir string) (Contents, []string, error) {
	t.Helper()
	var lines []string
	c, err := Read(dir, func(sequence uint64, payload []byte) error {
		lines = append(lines, fmt.Sprintf("%d:%s", sequence, payload))
		return nil
	})
	return c, lines, err
}

func TestAppendAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if c, err := Read(dir, nil); err != nil || c.Found {
		t.Fatalf("no log: %+v, %v", c, err)
	}
	l := begin(t, dir, 7)
	if c, err := Read(dir, nil); err != nil || !c.Found || c.Start != 7 || c.Last != 7 || c.ID != id {
		t.Fatalf("empty: %+v, %v", c, err)
	}
	for _, sequence := range []uint64{8, 9, 20} {
		add(t, l, sequence, "x")
	}
	if err := l.Append(20, append(l.Buffer(), 'y')); err == nil {
		t.Error("a sequence was taken twice")
	}
	if err := l.Append(21, l.Buffer()); err == nil {
		t.Error("an empty record was taken")
	}
	if err := l.Append(21, make([]byte, MaxPayload+1)); err == nil {
		t.Error("a record over the limit was taken")
	}
	add(t, l, 21, string(bytes.Repeat([]byte("l"), 1<<20)))
	c, lines, err := contents(t, dir)
	if err != nil || c.Start != 7 || c.Last != 21 || c.Torn || len(lines) != 4 || lines[2] != "20:x" || len(lines[3]) != 3+1<<20 {
		t.Errorf("%+v, %d, %v", c, len(lines), err)
	}
}

// TestSegments fills several segments, and removes those that are not needed.
func TestSegments(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, dir, 0)
	part := string(make([]byte, 1<<20))
	for i := range uint64(30) {
		add(t, l, i+1, part)
	}
	if l.Sealed() < 3 {
		t.Fatalf("%d segments", l.Sealed())
	}
	if c, lines, err := contents(t, dir); err != nil || c.Start != 0 || c.Last != 30 || len(lines) != 30 {
		t.Fatalf("%+v, %d, %v", c, len(lines), err)
	}
	names, _ := segmentNames(dir)
	for i, name := range names {
		other := t.TempDir()
		if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(other, name))
		c, _, err := contents(t, other)
		switch {
		case i == 0:
			if err != nil || c.Start == 0 {
				t.Errorf("without the first segment: %+v, %v", c, err)
			}
		case i == len(names)-1:
			if err != nil || c.Last == 30 {
				t.Errorf("without the last segment: %+v, %v", c, err)
			}
		default:
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("without segment %d: %v, want ErrDamaged", i, err)
			}
		}
	}
	last := l.sealed[1].last
	if err := l.Prune(last - 1); err != nil || l.sealed[0].last != last {
		t.Errorf("pruning: %v, %+v", err, l.sealed)
	}
	if err := l.Prune(last); err != nil {
		t.Fatal(err)
	}
	if c, _, err := contents(t, dir); err != nil || c.Start != last || c.Last != 30 {
		t.Errorf("after pruning: %+v, %v", c, err)
	}
	l.Close()
	begin(t, dir, 30)
	if c, lines, err := contents(t, dir); err != nil || c.Start != 30 || len(lines) != 0 {
		t.Errorf("begun anew: %+v, %v", c, err)
	}
}

// TestDamage flips a bit of each byte of a log, and cuts it off at each: what is
// read is what was written, or the log is told to be damaged, or it ends torn and
// names what is lost.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, dir, 0)
	for i := range uint64(5) {
		add(t, l, i+1, fmt.Sprintf("record %d", i+1))
	}
	end := l.at
	path := filepath.Join(dir, segmentName(0))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, lines, err := contents(t, dir)
		for i, line := range lines {
			if line != fmt.Sprintf("%d:record %d", i+1, i+1) {
				t.Fatalf("%s: read %q", what, line)
			}
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s: %v", what, err)
		}
		if err == nil && c.Last < 5 && !c.Torn && len(data) == len(whole) {
			t.Fatalf("%s: ends with %d, in silence", what, c.Last)
		}
		if err == nil && len(data) == len(whole) && c.Last < 4 {
			t.Fatalf("%s: valid records follow record %d, and nobody is told", what, c.Last)
		}
	}
	for at := range end {
		damaged := bytes.Clone(whole)
		damaged[at] ^= byte(1 << rand.IntN(8))
		check(fmt.Sprintf("byte %d", at), damaged)
		check(fmt.Sprintf("cut at byte %d", at), whole[:at])
	}
	// Another database's log is none of ours.
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	other := begin(t, t.TempDir(), 0)
	other.id = ID{9}
	if err := os.WriteFile(filepath.Join(other.dir, segmentName(5)), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(other.dir, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a segment under another name: %v", err)
	}
}

// TestFailedAppend holds that a log takes nothing after a write that failed, since
// it is not known what reached the disk.
func TestFailedAppend(t *testing.T) {
	l := begin(t, t.TempDir(), 0)
	add(t, l, 1, "a")
	l.f.Close()
	if err := l.Append(2, append(l.Buffer(), 'b')); err == nil {
		t.Fatal("appended to a closed file")
	}
	if err := l.Append(3, append(l.Buffer(), 'c')); err == nil {
		t.Error("appended after a failure")
	}
	if c, _, err := contents(t, l.dir); err != nil || c.Last != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	l, err := Begin(dir, id, 0, false)
	if err != nil {
		f.Fatal(err)
	}
	l.Append(1, append(l.Buffer(), "payload"...))
	l.Close()
	whole, err := os.ReadFile(filepath.Join(dir, segmentName(0)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[:200])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Contents
		if err := c.segment(segmentName(0), data, true, nil); err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	})
}

// TestTornRecord writes a record of which any part did not reach the disk when the
// power failed: the log ends before it, or with it, and is not damaged.
func TestTornRecord(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, dir, 0)
	for i := range uint64(5) {
		add(t, l, i+1, string(bytes.Repeat([]byte{byte(i + 1)}, 700)))
	}
	from := l.at
	payload := make([]byte, 20_000)
	for i := range payload {
		payload[i] = byte(rand.Uint32())
	}
	add(t, l, 6, string(payload))
	path := filepath.Join(dir, segmentName(0))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const sector = 512
	for range 300 {
		torn := bytes.Clone(whole)
		lost := 0
		for at := from / sector * sector; at < l.at; at += sector {
			if rand.IntN(3) == 0 {
				clear(torn[max(at, from):min(at+sector, l.at)])
				lost++
			}
		}
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Read(dir, nil)
		if want := uint64(5); err != nil || lost > 0 && c.Last != want || lost == 0 && c.Last != 6 {
			t.Fatalf("%d sectors lost: %+v, %v", lost, c, err)
		}
	}
}
