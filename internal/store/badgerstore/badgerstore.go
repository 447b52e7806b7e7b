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
// A commit that fails puts the whole database out of use until it is opened again: what reached the disk is
// then unknown, and going on would show readers a state that a restart may take back.
//
// It keeps nothing in memory above Badger's own tables; a caller that reads the same keys often has a cache.
// It does not encrypt, since its callers seal their secrets, and it does not back up.
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

	"github.com/stepup-gateway/caddy-stepup/internal/store"
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
var ErrFailed = errors.New("database is out of use since a write failed; check the disk and restart")

// The errors of this package that other engines have too, under their short names.
var (
	ErrLocked  = store.ErrLocked
	ErrDamaged = store.ErrDamaged
	ErrNoSpace = store.ErrNoSpace
)

// Options tell where the database is.
type Options struct {
	// Dir is the database's own directory. It is made if missing, with mode 0700; one that others than its
	// owner may enter is tightened to that.
	Dir string

	// Logger gets what Badger has to say, and what tidying up does. Nil is silence.
	Logger *zap.Logger

	// Now is the clock that the Expires of entries is told by; nil is time.Now. Entries are removed by how far
	// off Expires is when they are written, so that a clock of a test never makes one vanish early.
	Now func() time.Time
}

// A Store is one open database. It implements [store.Store].
type Store struct {
	db  *badger.DB
	dir *directory
	log *zap.Logger
	now func() time.Time

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

	// sequence is the last version given out, and belongs to the committer.
	sequence uint64

	// room tells whether the disk has space for a commit, and write makes one durable. They are fields so that
	// a benchmark can put a slower disk under the committer, and a test a full or a failing one.
	room  func() error
	write func(entries map[string]*badger.Entry, ts uint64) error

	blobs blobSet // large values that are being written
}

// Open opens the database, making it if there is none. If another process has it open, the error is an
// ErrLocked and says what to do.
func Open(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("opening database: no directory given")
	}
	s := &Store{
		log:     o.Logger,
		now:     o.Now,
		queue:   make(chan *request, queueLength),
		stop:    make(chan struct{}),
		drained: make(chan struct{}),
		kick:    make(chan struct{}, 1),
		tidied:  make(chan struct{}),
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.now == nil {
		s.now = time.Now
	}
	dir, err := openDirectory(o.Dir)
	if err != nil {
		return nil, err
	}
	// Managed: timestamps are ours, see the package comment about readers.
	s.db, err = openBadger(badgerOptions(o.Dir, s.log))
	if err != nil {
		dir.close()
		return nil, openError(o.Dir, err)
	}
	s.dir = dir
	s.room, s.write = dir.checkSpace, s.commit
	if err = verify(s.db); err == nil {
		err = s.restore()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening database in %s: %w", o.Dir, err), s.db.Close(), dir.close())
	}
	go s.runCommitter()
	go s.runTidying()
	return s, nil
}

func badgerOptions(dir string, log *zap.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithLogger(badgerLog{log.WithOptions(zap.AddCallerSkip(1)).Sugar()}).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(1 << 20). // never written to; Badger wants one, and maps twice the size
		WithCompression(options.None). // sealed values do not compress
		WithBlockCacheSize(0).         // without compression tables are read through the page cache
		WithIndexCacheSize(0).         // and their small indexes are kept
		WithMetricsEnabled(false).
		WithDetectConflicts(false).                          // one writer has none
		WithChecksumVerificationMode(options.NoVerification) // see verify
}

// verify reads every table once and compares its checksums. Badger could do that whenever it reads, but then
// takes what is damaged for absent, and its compactions drop it: a spent code would be good again. So damage is
// looked for at every start, which takes a second or so for each gigabyte, and by the checksums of our own rows.
func verify(db *badger.DB) (err error) {
	defer func() {
		if recover() != nil { // Badger panics where the length of a checksum is damaged
			err = fmt.Errorf("%w: a table does not read; restore a backup", ErrDamaged)
		}
	}()
	if err := db.VerifyChecksum(); err != nil {
		return fmt.Errorf("%w: %v; restore a backup", ErrDamaged, err)
	}
	return nil
}

// restore finds where the last run ended. Badger's own idea of the highest timestamp may fall back, once the
// entry that carried it is deleted and compacted away; the sequence row is rewritten by every commit.
func (s *Store) restore() error {
	txn := s.db.NewTransactionAt(^uint64(0), false)
	defer txn.Discard()
	sequence, err := readSequence(txn)
	if err != nil {
		return err
	}
	s.sequence = max(sequence, s.db.MaxVersion())
	s.committed.Store(s.sequence)
	s.db.SetDiscardTs(s.sequence)
	return nil
}

// Close implements [store.Store].
func (s *Store) Close() (err error) {
	s.closing.Do(func() {
		s.closed.Store(true)
		close(s.stop)
		<-s.drained
		<-s.tidied
		s.readers.Lock() // waits for the reads in flight; later ones see closed
		defer s.readers.Unlock()
		if err = s.db.Close(); err != nil {
			err = fmt.Errorf("closing database: %w", err)
		}
		err = errors.Join(err, s.dir.close())
	})
	return err
}

// usable tells whether the database may be asked, and else why not.
func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	return ctx.Err()
}

var _ store.Store = (*Store)(nil)
