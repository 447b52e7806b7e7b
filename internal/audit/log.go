package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options make a [Log]. All are needed.
type Options struct {
	// File is the path of the log, Head that of the file in which its head is kept.
	File, Head string
	// Node is the name of this gateway in each entry.
	Node string
	Now  func() time.Time
	// Problem is told when writing begins to fail and when it works again (nil), and
	// of what was found wrong with the log. It is called with a lock held.
	Problem func(error)
}

// Log writes a chain to a file. Entries are in the file, though not yet on the disk,
// when Write returns; they are synced within [SyncEvery]. A Log opens its file when it
// is first used, and opens it again where it was moved away. Its methods may be used
// concurrently.
type Log struct {
	o Options

	failing atomic.Bool

	mu      sync.Mutex
	file    *os.File // nil until it is opened
	head    *headFile
	last    Head
	waiting []pending // lines that could not be written yet, of the chain all the same
	size    int       // of those, in bytes
	torn    tears
	untold  int // entries that were lost since a record said so
	lost    int // in all
	dirty   bool
	err     struct{ open, write, sync, head error } // why they fail
	since   time.Time
	closed  bool
	syslogs map[*Syslog]int // by how many attached them

	stop, stopped chan struct{}
}

// pending is a line that is to be written.
type pending struct {
	head Head
	text []byte
}

const (
	// SyncEvery is how long a line may be in the file and not on the disk.
	SyncEvery = time.Second

	// maxWaiting and maxWaitingSize bound what is kept while the file cannot be
	// written, in lines and bytes. Entries beyond are lost, and counted.
	maxWaiting     = 4096
	maxWaitingSize = 4 << 20
)

// ErrClosed reports that a log was closed.
var ErrClosed = errors.New("the audit log is closed")

// New returns a log, without opening it.
func New(o Options) *Log {
	return &Log{o: o, syslogs: make(map[*Syslog]int), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// Open opens the file, if that was not done yet.
func (l *Log) Open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open()
}

func (l *Log) open() error {
	switch {
	case l.closed:
		return ErrClosed
	case l.file != nil:
		return nil
	}
	f, err := openFile(l.o.File)
	if err != nil {
		return err
	}
	h, kept, err := openHead(l.o.Head)
	if err != nil {
		f.Close()
		return err
	}
	end, err := endOf(f)
	if err == nil && kept.Seq > 0 && end.last.Seq > 0 && kept.Chain != end.last.Chain {
		err = fmt.Errorf("%s is of the chain %s, and %s of the chain %s: move the log away, or remove the head if the log is the right one", l.o.File, end.last.Chain, l.o.Head, kept.Chain)
	}
	if err != nil {
		f.Close()
		h.f.Close()
		return err
	}
	l.file, l.head = f, h
	l.goOn(end, kept)
	go l.run()
	return nil
}

// goOn continues the chain of the file, or of the head that was kept.
func (l *Log) goOn(end ending, kept Head) {
	l.torn.found(end.torn)
	switch {
	case end.last.Seq == 0 && kept.Seq == 0:
		rand.Read(l.last.Chain[:]) // never fails: crypto/rand ends the program instead
		l.append(l.record(Begun, "first_start"))
	case kept.Seq == 0:
		l.last = end.last
		l.append(l.record(Opened, "no_head"))
	case end.last.Seq == 0, end.last.Seq > kept.Seq, end.last == kept:
		l.last = kept
		if end.last.Seq > kept.Seq {
			l.last = end.last
		}
		l.append(l.record(Opened, "start"))
	default:
		l.last = kept
		e := l.record(Missing, "")
		e.MissingFrom = end.last.Seq + 1
		if end.last.Seq == kept.Seq {
			e.MissingFrom = kept.Seq
		}
		l.o.Problem(fmt.Errorf("lines %d to %d of the audit log are missing at the end of %s: the power failed before they were on the disk, or somebody took them out or altered them", e.MissingFrom, kept.Seq, l.o.File))
		l.append(e)
		l.append(l.record(Opened, "start"))
	}
}

func (l *Log) record(what Record, cause string) Entry {
	return Entry{Time: l.o.Now().UTC(), Event: EventLog, Outcome: string(what), Cause: cause, Actor: "system"}
}

// Write appends an entry, and returns its place in the chain. ok is false if it was
// lost.
func (l *Log) Write(e Entry) (at Head, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(); err != nil {
		l.err.write = err
		l.tell()
		l.untold++
		l.lost++
		return at, false
	}
	return l.append(e)
}

func (l *Log) append(e Entry) (at Head, ok bool) {
	if len(l.waiting) >= maxWaiting || l.size >= maxWaitingSize {
		l.flush()
	}
	if len(l.waiting) >= maxWaiting || l.size >= maxWaitingSize {
		l.untold++
		l.lost++
		return at, false
	}
	e.Node = l.o.Node
	line, text, err := next(l.last, e)
	if err != nil { // never happens: entries hold texts, numbers and a time
		l.err.write = err
		l.tell()
		return at, false
	}
	at = line.head()
	l.last = at
	l.waiting, l.size = append(l.waiting, pending{at, text}), l.size+len(text)
	for s := range l.syslogs {
		s.deliver(&line, text)
	}
	l.flush()
	return at, true
}

// flush writes what waits, and then what is to be said about it.
func (l *Log) flush() {
	for len(l.waiting) > 0 {
		if l.err.write = l.put(l.waiting[0].text); l.err.write != nil {
			l.tell()
			return
		}
		l.dirty = true
		l.err.head = l.head.write(l.waiting[0].head)
		l.size -= len(l.waiting[0].text)
		l.waiting = l.waiting[1:]
	}
	l.waiting, l.err.write = nil, nil
	l.tell()
	for _, text := range l.torn.take() {
		e := l.record(Torn, "")
		e.TornBytes, e.TornDigest = len(text), digestOf(text)
		l.append(e)
	}
	if n := l.untold; n > 0 {
		l.untold = 0
		e := l.record(Lost, "")
		e.LeftOut = n
		l.append(e)
	}
}

// put writes one line. A part of it that was written is taken back, or is ended before
// the next one.
func (l *Log) put(text []byte) error {
	if l.torn.unended {
		if _, err := l.file.Write([]byte("\n")); err != nil {
			return fmt.Errorf("writing the audit log: %w", err)
		}
		l.torn.unended = false
	}
	n, err := l.file.Write(text)
	if err == nil {
		l.torn.lineFollows()
		return nil
	}
	if n > 0 {
		if info, serr := l.file.Stat(); serr != nil || l.file.Truncate(info.Size()-int64(n)) != nil {
			l.torn.add(text[:n])
		}
	}
	return fmt.Errorf("writing the audit log: %w", err)
}

func (l *Log) fault() error {
	return errors.Join(l.err.open, l.err.write, l.err.sync, l.err.head)
}

// tell tells when writing begins to fail, and when it works again.
func (l *Log) tell() {
	err := l.fault()
	if fails := err != nil; l.failing.Swap(fails) != fails {
		l.since = l.o.Now()
		l.o.Problem(err)
	}
}

// Close writes what waits, and closes the file. Entries that come later are lost.
func (l *Log) Close() error {
	l.mu.Lock()
	opened := l.file != nil && !l.closed
	l.closed = true
	l.mu.Unlock()
	if !opened {
		return nil
	}
	close(l.stop)
	<-l.stopped
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
	return errors.Join(l.file.Sync(), l.head.f.Sync(), l.file.Close(), l.head.f.Close())
}

// Attach sends the lines from now on to s too, which may be attached several times.
func (l *Log) Attach(s *Syslog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syslogs[s]++
}

// Detach undoes one Attach.
func (l *Log) Detach(s *Syslog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.syslogs[s]--; l.syslogs[s] <= 0 {
		delete(l.syslogs, s)
	}
}

// Status is how a log is.
type Status struct {
	// Head is the last line of the chain; zero while the log is not open.
	Head Head
	// Waiting counts the lines that wait for the file to be writable, Lost the
	// entries that no line tells of.
	Waiting, Lost int
	// Err is why the file cannot be written or synced; nil if it can. Since is when
	// that changed last.
	Err   error
	Since time.Time
}

// Status returns how the log is.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Status{Head: l.last, Waiting: len(l.waiting), Lost: l.lost, Err: l.fault(), Since: l.since}
}

// Fails reports whether lines cannot be written now. It costs one atomic load.
func (l *Log) Fails() bool { return l.failing.Load() }
