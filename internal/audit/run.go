package audit

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// run syncs the file, opens it again when it was moved away, and writes what waits.
func (l *Log) run() {
	defer close(l.stopped)
	for tick := time.NewTicker(SyncEvery); ; {
		select {
		case <-l.stop:
			tick.Stop()
			return
		case <-tick.C:
			l.look()
		}
	}
}

func (l *Log) look() {
	l.mu.Lock()
	l.reopen()
	l.flush()
	f, dirty := l.file, l.dirty
	l.dirty = false
	l.mu.Unlock()
	if !dirty {
		return
	}
	// Only this goroutine closes the file while it runs, so it may be synced without
	// keeping others from writing.
	err := f.Sync()
	if err == nil {
		err = l.head.f.Sync()
	}
	if err != nil {
		err = fmt.Errorf("syncing the audit log: %w", err)
	}
	l.mu.Lock()
	l.err.sync = err
	l.dirty = l.dirty || err != nil
	l.tell()
	l.mu.Unlock()
}

// reopen opens the file anew if another one, or none, has its name now.
func (l *Log) reopen() {
	mine, err := l.file.Stat()
	if err != nil {
		return
	}
	if named, err := os.Stat(l.o.File); err == nil && os.SameFile(mine, named) {
		l.err.open = nil
		return
	}
	f, err := openFile(l.o.File)
	if err == nil {
		var end ending
		if end, err = endOf(f); err == nil && end.last.Seq > 0 {
			err = fmt.Errorf("%s was moved away, and another log has its name now: move that one away too", l.o.File)
		}
		if err != nil {
			f.Close()
		}
	}
	l.err.open = err
	l.tell()
	if err != nil {
		return // the old one is written to until it works
	}
	if l.flush(); len(l.waiting) == 0 {
		err = l.file.Sync()
	}
	if err = errors.Join(err, l.file.Close()); err != nil {
		l.o.Problem(fmt.Errorf("closing the audit log that was moved away: %w", err))
	}
	l.file = f
	l.append(l.record(Opened, "rotated"))
}
