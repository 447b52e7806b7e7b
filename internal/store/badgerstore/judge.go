package badgerstore

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"

	"github.com/stepup-gateway/caddy-stepup/internal/store/wal"
)

// A judgement is what a directory holds, found by reading alone, before Badger
// opens it: Badger repairs what it takes for the end of an interrupted write by
// cutting it off, and removes the tables that its MANIFEST does not name.
type judgement struct {
	empty   bool         // no change was ever made durable here
	logged  bool         // the database has a log of ours; those of before had none
	flushed uint64       // all changes up to this sequence are in tables
	log     wal.Contents // the changes after that, where logged
}

// last is the sequence of the last change.
func (j *judgement) last() uint64 { return max(j.flushed, j.log.Last) }

func logDir(dir string) string { return filepath.Join(dir, "log") }

// judge reads every file that counts. What is damaged is an [ErrDamaged] that
// says which file and what to do; nothing is changed.
func judge(dir string) (judgement, error) {
	j, err := judgeFiles(dir)
	if errors.Is(err, wal.ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w; nothing was changed: restore the directory from a backup", err)
	}
	return j, err
}

func judgeFiles(dir string) (j judgement, err error) {
	names, err := fileNames(dir)
	if err != nil {
		return j, err
	}
	if j.log, err = wal.Read(logDir(dir), nil); err != nil {
		return j, err
	}
	tables, manifested, err := readManifest(dir)
	if err != nil {
		return j, err
	}
	var form rowForms
	for id := range tables {
		found, err := judgeTable(table.NewFilename(id, dir))
		if err != nil {
			return j, err
		}
		j.flushed = max(j.flushed, found.highest)
		form.see(found.sequenceTS, found.sequence)
	}
	j.logged = j.log.Found || len(form.newest) == sequenceRow
	switch {
	case j.logged && !j.log.Found:
		return j, fmt.Errorf("%w: its log is gone (%s)", ErrDamaged, logDir(dir))
	case j.logged && j.log.Start > j.flushed:
		return j, fmt.Errorf("%w: the tables end with change %d and the log begins after change %d; a table or MANIFEST lost what is between", ErrDamaged, j.flushed, j.log.Start)
	case !manifested && names.any(".sst"):
		return j, fmt.Errorf("%w: there are tables, but no MANIFEST", ErrDamaged)
	}
	var waiting bool
	if !j.logged {
		if waiting, err = judgeMemtables(dir, names.with(".mem")); err != nil {
			return j, err
		}
	}
	j.empty = len(tables) == 0 && !waiting && j.log.Last == 0
	return j, nil
}

type nameList []string

func fileNames(dir string) (nameList, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading database directory: %w", err)
	}
	names := make(nameList, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (l nameList) with(ending string) (with nameList) {
	for _, name := range l {
		if strings.HasSuffix(name, ending) {
			with = append(with, name)
		}
	}
	return with
}

func (l nameList) any(ending string) bool { return len(l.with(ending)) > 0 }

// readManifest returns the tables that MANIFEST names, and whether there is one.
// A last entry that was cut short is left out, as Badger will: whether something
// is missing then is told by the sequences.
func readManifest(dir string) (tables map[uint64]badger.TableManifest, found bool, err error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("opening MANIFEST: %w", err)
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		return nil, true, fmt.Errorf("%w: MANIFEST: %v", ErrDamaged, err)
	}
	return m.Tables, true, nil
}

// tableContents is what judgeTable found in a table.
type tableContents struct {
	highest    uint64 // sequence
	sequence   []byte // the newest sequence row in it, and its timestamp
	sequenceTS uint64
}

// judgeTable compares all checksums of a table. Badger reads tables through a
// memory map and panics where lengths in them make no sense.
func judgeTable(path string) (found tableContents, err error) {
	name := filepath.Base(path)
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: table %s does not read", ErrDamaged, name)
		}
	}()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return found, fmt.Errorf("%w: table %s is gone", ErrDamaged, name)
	}
	if err != nil {
		return found, fmt.Errorf("examining table %s: %w", name, err)
	}
	if info.Size() == 0 {
		return found, fmt.Errorf("%w: table %s is empty", ErrDamaged, name)
	}
	file, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return found, fmt.Errorf("opening table %s: %w", name, err)
	}
	defer file.Close(-1)
	t, err := table.OpenTable(file, table.Options{ReadOnly: true, BlockSize: 4 << 10})
	if err == nil {
		err = t.VerifyChecksum()
	}
	if err != nil {
		return found, fmt.Errorf("%w: table %s: %v", ErrDamaged, name, withoutKeys(err))
	}
	found.highest = t.MaxVersion()
	it := t.NewIterator(0)
	defer it.Close()
	if it.Seek(y.KeyWithTs(sequenceKey, math.MaxUint64)); it.Valid() && bytes.Equal(y.ParseKey(it.Key()), sequenceKey) {
		found.sequence, found.sequenceTS = bytes.Clone(it.Value().Value), y.ParseTs(it.Key())
	}
	return found, nil
}

// withoutKeys is an error of Badger without what it may quote.
func withoutKeys(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text[:min(len(text), 200)]
}

// rowForms finds the newest of several sequence rows.
type rowForms struct {
	ts     uint64
	newest []byte
}

func (f *rowForms) see(ts uint64, row []byte) {
	if row != nil && ts >= f.ts {
		f.ts, f.newest = ts, row
	}
}
