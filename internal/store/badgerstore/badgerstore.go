// Package badgerstore keeps the gateway's state in an embedded Badger database: the engine for one gateway
// on one machine.
//
// It promises the contract of [store.Store]. One goroutine, the committer, is the only writer: it gathers the
// Apply calls that are waiting, judges their conditions in turn, and makes all that hold durable with one
// commit, so that many callers share the cost of one sync. Readers see the database as of the last commit
// that was acknowledged and never wait for one that is under way.
//
//	s, err := badgerstore.Open(badgerstore.Options{Dir: "/var/lib/step_up", Logger: log})
//	defer s.Close()
//
// A commit is durable once it is in a write-ahead log of ours (package wal), with one sync; Badger gets it
// after that and syncs nothing but its tables. The log holds what is not in tables yet. So what counts are
// tables, MANIFEST and the log, which are all judged, read-only, before Badger opens them (see judge); the
// rest of Badger's files carry nothing and are made anew at every opening.
//
// A mark outside the directory (package mark) holds how far the database had come; an older copy of the
// directory is told by it (see Store.Fence).
//
// A commit that fails puts the whole database out of use until it is opened again: what reached the disk is
// then unknown, and going on would show readers a state that a restart may take back.
//
// Above Badger's own tables it keeps the versions of a few thousand rows in memory, for the committer; a caller
// that reads the same keys often has a cache.
// It does not encrypt, since its callers seal their secrets. Badger maps its files:
// a fault of the disk can end the process that has the database open, or hold it up. Package procstore runs
// it in a process of its own.
package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/mark"
	"github.com/stepup-gateway/caddy-stepup/internal/store/wal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// A memory table of 8 MiB keeps an idle gateway small. Badger allocates it, its successor, and a log of
	// twice the size on disk.
	memTableSize = 8 << 20

	// Badger takes 15 % of the memory table, and about 12,000 entries, in one commit. Ours stay below both by
	// what a last Apply may add, so that Badger never has to refuse one.
	batchBytes   = memTableSize*15/100 - 64<<10
	batchEntries = 8192

	// Values up to this size live in the tables and their log. All of ours do, since larger ones are cut into
	// chunks: Badger's separate value log is never written to. A failed sync of it would only be logged by
	// Badger, it would cost each commit a second sync, and it would need collecting.
	valueThreshold = 512 << 10

	queueLength = 1024 // Apply calls that may wait before further ones wait for a place in the queue
)

// ErrFailed is wrapped by every error of a store that is out of use since a commit failed. It comes with
// store.ErrUnknown for those whose change was part of that commit.
var ErrFailed = errors.New("database is out of use since a fault of its disk; it must be opened anew")

// The errors of this package that other engines have too, under their short names.
var (
	ErrLocked  = store.ErrLocked
	ErrDamaged = store.ErrDamaged
	ErrNoSpace = store.ErrNoSpace
	ErrMissing = store.ErrMissing
)

// Options tell where the database is.
type Options struct {
	// Dir is the database's own directory. It is made if missing, with mode 0700; one that others than its
	// owner may enter is tightened to that.
	Dir string

	// Mark is the path of the file that holds how far the database has come. It must not lie in Dir: anyone who
	// puts back an older copy of the one would put back the other. Empty keeps none.
	Mark string

	// AtLeast is the sequence that the caller knows to have been acknowledged (see Store.Committed); 0 where
	// it knows of none. A database that has not come so far is an older copy.
	AtLeast uint64

	// Logger gets what Badger has to say, and what tidying up does. Nil is silence.
	Logger *zap.Logger

	// Now is the clock that the Expires of entries is told by; nil is time.Now. Entries are removed by how far
	// off Expires is when they are written, so that a clock of a test never makes one vanish early.
	Now func() time.Time
}

// A Store is one open database. It implements [store.Store] and [store.Fenced].
type Store struct {
	db   *badger.DB
	dir  *directory
	wal  *wal.Log   // the committer's
	mark *mark.File // nil where none is kept
	log  *zap.Logger
	now  func() time.Time

	queue   chan *request
	stop    chan struct{} // closed: the database is closing
	drained chan struct{} // closed: the committer took its last request
	kick    chan struct{} // asks for a sweep of orphans
	tidied  chan struct{} // closed: nothing tidies up any more

	closing sync.Once
	closed  atomic.Bool
	failure atomic.Pointer[error] // why the database is out of use

	// readers is held shared by every read for as long as it lasts. Held exclusively there is none, and
	// versions that only an earlier reader could have wanted may go, or the database be closed.
	readers sync.RWMutex

	// committed is the timestamp of the last acknowledged commit, which is what readers read at.
	committed atomic.Uint64

	// sequence is the last version given out, and belongs to the committer, as do birth, marked, which is what
	// the mark says, pruned, when segments of the log were last removed, and pace.
	sequence uint64
	birth    birth
	marked   mark.Mark
	pruned   time.Time
	pace     pace

	fence      atomic.Pointer[store.Fence]
	markFailed atomic.Bool // the last write of the mark failed
	unsynced   atomic.Bool // the mark was written since it was last synced

	// free tells how many bytes the disk has left, and write makes a commit durable. They are fields so that
	// a benchmark can put a slower disk under the committer, and a test a full or a failing one.
	free  func() (uint64, error)
	write func(entries map[string]*badger.Entry, ts uint64) error

	versions versions // what the committer need not read

	blobs blobSet // large values that are being written

	snapshots snapshots // that are open
}

func badgerOptions(dir string, log *zap.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(false). // the log is what is durable; tables and MANIFEST are synced in any case
		WithLogger(badgerLog{log.WithOptions(zap.AddCallerSkip(1)).Sugar()}).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumCompactors(2).
		// Badger builds a table in memory, in blocks that double until an entry fits, and keeps up to 8 of the buffers.
		// With blocks that take a chunk at once, and small tables, that is a third of what it is otherwise.
		WithBlockSize(chunkSize + 64<<10).
		WithBaseTableSize(1 << 20).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(1 << 20). // never written to; Badger wants one, and maps twice the size
		WithCompression(options.None). // sealed values do not compress
		WithBlockCacheSize(0).         // without compression tables are read through the page cache
		WithIndexCacheSize(0).         // and their small indexes are kept
		WithMetricsEnabled(false).
		WithDetectConflicts(false).                          // one writer has none
		WithChecksumVerificationMode(options.NoVerification) // see judge and verify
}

// Committed returns the sequence of the last acknowledged change.
func (s *Store) Committed() uint64 { return s.committed.Load() }

// Unmarked reports whether no mark is kept, or it cannot be written.
func (s *Store) Unmarked() bool { return s.mark == nil || s.markFailed.Load() }

// Close implements [store.Store].
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		s.closed.Store(true)
		close(s.stop)
		<-s.drained
		<-s.tidied
		s.readers.Lock() // waits for the reads in flight; later ones see closed
		defer s.readers.Unlock()
		s.syncMark()
		if s.failure.Load() == nil && s.Fence().Kind == store.FenceNone {
			err = s.dir.note(closed)
		}
		err = errors.Join(err, s.release())
	})
	return err
}

// release closes all files that are open. Badger writes its tables then, through memory maps, which on a full
// disk end the process: where there is little space it is left as it is, since all is in the log.
func (s *Store) release() (err error) {
	if free, freeErr := s.free(); s.db != nil && freeErr == nil && free >= reserveOpen {
		if err = s.db.Close(); err != nil {
			err = fmt.Errorf("closing database: %w", err)
		}
	}
	if s.wal != nil {
		err = errors.Join(err, s.wal.Close())
	}
	if s.mark != nil {
		err = errors.Join(err, s.mark.Close())
	}
	return errors.Join(err, s.dir.close())
}

// usable reports whether the database may be asked, and else why not.
func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	return ctx.Err()
}

var (
	_ store.Fenced    = (*Store)(nil)
	_ store.Snapshots = (*Store)(nil)
)
