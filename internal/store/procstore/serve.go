package procstore

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// argument is what the program is called with to be the process of a database.
const argument = "step-up-store"

// init takes over in the child: whatever program this package is linked into,
// its main never runs there. Packages that this one imports are ready by now,
// and nothing else is needed.
func init() {
	if len(os.Args) > 1 && os.Args[1] == argument {
		code := make(chan int)
		go func() { code <- childMain() }() // an init is bound to its thread: each wait would change threads
		os.Exit(<-code)
	}
}

// The exit codes of the child.
const (
	exitClosed = 0
	exitFailed = 3 // a reason was sent before
	exitMisuse = 4
)

const (
	// closeGrace is how long the child tries to close the database after its
	// parent ended. Its log makes up for a close that did not take place.
	closeGrace = 10 * time.Second

	// watchEvery is how often the child looks whether there is room on the
	// disk, and whether its directory is still where it was.
	watchEvery = 2 * time.Second

	// childMemory is where the child's collector begins to give memory back at
	// once: Caddy, which may be confined together with it, does not know of it.
	childMemory = 96 << 20

	// maxAtOnce bounds the calls that the child carries out at once. The
	// parent sends fewer.
	maxAtOnce = 2 * maxCalls
)

// childMain runs the child. It ends when it is told to, when its parent ended,
// or when the database failed.
func childMain() int {
	// Terminals and service managers signal the whole group. The parent tells
	// when to end; SIGPIPE comes when it died before it could.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	// Little lives here besides the database's own tables, so that collecting
	// often costs little.
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(childMemory)

	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeCharDevice != 0 {
		return misuse()
	}
	out := pollable(os.Stdout)
	os.Stdout = os.Stderr // what is printed by mistake is no frame
	in := bufio.NewReaderSize(pollable(os.Stdin), 64<<10)
	k, _, payload, err := readFrame(in)
	var h hello
	if err == nil && k == kindHello {
		err = json.Unmarshal(payload, &h)
	}
	if err != nil || h.Protocol == 0 {
		return misuse()
	}
	s := &server{
		out:   newOutbox(out),
		log:   childLog(h.Level),
		hello: h,
		calls: make(map[uint64]*running), snapshots: make(map[string]store.Snapshot),
	}
	return s.run(in)
}

func misuse() int {
	fmt.Fprintf(os.Stderr, "%s is the process of the step-up gateway's database. Caddy starts it by itself; it is of no use on its own.\n", argument)
	return exitMisuse
}

// A server is the child: one database and the pipe to the parent.
type server struct {
	out   *outbox
	log   *zap.Logger
	hello hello
	db    *badgerstore.Store

	mu        sync.Mutex
	calls     map[uint64]*running
	snapshots map[string]store.Snapshot // by the names that the parent gave them
	closing   bool

	running sync.WaitGroup // calls
	sent    status         // belongs to watch
	ended   sync.Once
}

func (s *server) run(in *bufio.Reader) int {
	if s.hello.Protocol != protocol || s.hello.Build != build() {
		return s.fail(fmt.Errorf("the program was replaced while Caddy was running; restart Caddy"))
	}
	// The parent may die while the database is being opened, which can take
	// long; the calls that come meanwhile wait in the pipe.
	first := make(chan frame, 1)
	go func() { first <- nextFrame(in) }()
	opening := make(chan error, 1)
	go func() { opening <- s.open() }()
	select {
	case err := <-opening:
		if err != nil {
			return s.fail(err)
		}
	case f := <-first: // none comes before the answer, but the end and kindClose
		if f.err == nil && f.kind != kindClose {
			return s.fail(errNonsense)
		}
		return exitFailed
	}
	s.sent = s.status()
	s.out.put(jsonFrame(kindOpened, opened{Protocol: protocol, Build: build(), status: s.sent}))
	s.out.send()
	go s.watch()
	for f := <-first; ; f = nextFrame(in) {
		if f.err != nil {
			return s.close(false)
		}
		if f.kind == kindClose {
			return s.close(true)
		}
		if err := s.take(f); err != nil {
			return s.fail(err)
		}
		if !hasFrame(in) {
			s.out.send() // what was answered at once
		}
	}
}

type frame struct {
	kind    kind
	id      uint64
	payload []byte
	err     error
}

func nextFrame(in io.Reader) (f frame) {
	f.kind, f.id, f.payload, f.err = readFrame(in)
	return f
}

// open opens the database. One that was open before is not made anew.
func (s *server) open() (err error) {
	s.db, err = badgerstore.Open(badgerstore.Options{Dir: s.hello.Dir, Mark: s.hello.Mark, AtLeast: s.hello.AtLeast, Logger: s.log})
	return err
}

// fail tells the parent why the database is out of use, and ends. The database
// is not closed: what failed once may fail so that the process hangs, and its
// log makes up for it.
func (s *server) fail(err error) int {
	s.ended.Do(func() {
		frame, _ := finish(appendError(newFrame(kindFailed, 0, 256), err))
		s.out.put(frame)
		s.out.flush(closeGrace)
	})
	return exitFailed
}

// close lets the calls in flight finish, closes the database, and tells so if
// anybody is there to hear it.
func (s *server) close(tell bool) int {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	if !tell {
		time.AfterFunc(closeGrace, func() { os.Exit(exitFailed) })
	}
	err := s.db.Close()
	s.running.Wait()
	frame, _ := finish(appendError(newFrame(kindClosed, 0, 256), err))
	s.out.put(frame)
	s.out.flush(closeGrace)
	return exitClosed
}

func (s *server) status() status {
	f := s.db.Fence()
	st := status{
		Committed: s.db.Committed(), Unmarked: s.db.Unmarked(),
		Fence: f.Kind, FenceReason: f.Reason, FenceNewest: f.Newest,
	}
	if err := s.db.Low(); errors.Is(err, store.ErrNoSpace) {
		st.Low = err.Error()
	}
	return st
}

// tell sends the status.
func (s *server) tell() {
	s.out.put(jsonFrame(kindStatus, s.status()))
	s.out.send()
}

// watch tells what changes about the database without a call, and fails when
// its directory is not where it was: whatever is written from then on is lost.
func (s *server) watch() {
	before, err := os.Stat(s.hello.Dir)
	for {
		time.Sleep(watchEvery)
		s.mu.Lock()
		closing := s.closing
		s.mu.Unlock()
		if closing {
			return
		}
		now, err2 := os.Stat(s.hello.Dir)
		switch {
		case errors.Is(err2, os.ErrNotExist):
			os.Exit(s.fail(fmt.Errorf("%w: %s was removed or unmounted; put it back", store.ErrMissing, s.hello.Dir)))
		case err == nil && err2 == nil && !os.SameFile(before, now):
			os.Exit(s.fail(fmt.Errorf("another directory took the place of %s", s.hello.Dir)))
		}
		if st := s.status(); (st.Low == "") != (s.sent.Low == "") || st.Unmarked != s.sent.Unmarked || st.Fence != s.sent.Fence {
			s.sent = st
			s.out.put(jsonFrame(kindStatus, st))
			s.out.send()
		}
	}
}
