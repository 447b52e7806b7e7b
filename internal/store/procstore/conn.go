package procstore

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// A conn is one child and the calls that wait for it.
type conn struct {
	s   *Store
	cmd *exec.Cmd
	pipes

	opened chan status   // of capacity one
	lost   chan struct{} // closed: nothing more comes from the child
	exited chan struct{} // closed: the process is gone, and its lock with it

	mu      sync.Mutex
	next    uint64
	calls   map[uint64]*call
	queue   []*call  // not given to the writer yet
	control [][]byte // frames that belong to no call
	bytes   int      // in calls
	heard   time.Time
	answers int
	reason  error // why it was lost
	ended   bool  // takes no more calls
	wake    chan struct{}
	closed  error  // what kindClosed said
	clean   bool   // kindClosed came
	said    string // what came on its standard error besides its log
}

// startConn starts a child. The error is about this machine, not about the
// database.
func startConn(s *Store, atLeast uint64) (*conn, error) {
	path, err := program()
	if err != nil {
		return nil, fmt.Errorf("starting the process of the database: %w", err)
	}
	name := ownName
	if name == "" {
		name = path
	}
	c := &conn{
		s:      s,
		cmd:    &exec.Cmd{Path: path, Args: []string{name, argument}, Env: childEnv()},
		opened: make(chan status, 1),
		lost:   make(chan struct{}),
		exited: make(chan struct{}),
		calls:  make(map[uint64]*call),
		wake:   make(chan struct{}, 1),
		heard:  time.Now(),
	}
	if c.pipes, err = startPiped(c.cmd); err != nil {
		return nil, fmt.Errorf("starting the process of the database: %w", err)
	}
	c.send(jsonFrame(kindHello, hello{
		Protocol: protocol, Build: build(), Dir: s.o.Dir, Mark: s.o.Mark, AtLeast: atLeast, Level: int8(s.log.Level()),
	}))
	go c.write()
	go c.run()
	return c, nil
}

// childEnv is what the child gets of the environment: nothing that is secret.
func childEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LANG", "TZ", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR", "GORACE"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// add registers a call and queues its frame.
func (c *conn) add(change bool, frame []byte) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, c.unavailable()
	}
	if len(c.calls) >= maxCalls || c.bytes > 0 && c.bytes+len(frame) > maxBytes {
		return nil, errBusy
	}
	c.next++
	call := &call{id: c.next, change: change, began: time.Now(), frame: frame, size: len(frame), done: make(chan result, 1)}
	setID(frame, call.id)
	c.calls[call.id] = call
	c.queue = append(c.queue, call)
	c.bytes += call.size
	if len(c.calls) == 1 {
		c.heard = time.Now() // there was nothing to answer before
	}
	c.poke()
	return call, nil
}

func (c *conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send queues a frame that belongs to no call.
func (c *conn) send(frame []byte) {
	c.mu.Lock()
	c.control = append(c.control, frame)
	c.mu.Unlock()
	c.poke()
}

// withdraw takes back a call whose frame was not written yet, and tells the
// child that nobody waits for one which was. It reports whether nothing was
// written.
func (c *conn) withdraw(call *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, waits := c.calls[call.id]; !waits {
		return false
	}
	if call.frame != nil {
		call.frame = nil
		c.remove(call)
		return true
	}
	frame, _ := finish(newFrame(kindCancel, call.id, 0))
	c.control = append(c.control, frame)
	c.poke()
	return false
}

func (c *conn) remove(call *call) {
	delete(c.calls, call.id)
	c.bytes -= call.size
}

// write passes frames to the child, all that wait in as few system calls as
// they fit in.
func (c *conn) write() {
	w := bufio.NewWriterSize(c.in, 64<<10)
	for {
		select {
		case <-c.wake:
		case <-c.lost:
			return
		}
		runtime.Gosched() // whoever is about to call goes with it
		c.mu.Lock()
		frames := c.control
		c.control = nil
		// What was queued first goes first, and a cancel after what it cancels.
		calls := make([][]byte, 0, len(c.queue)+len(frames))
		for _, call := range c.queue {
			if call.frame != nil {
				calls = append(calls, call.frame)
				call.frame = nil
			}
		}
		clear(c.queue)
		c.queue = c.queue[:0]
		c.mu.Unlock()
		for _, f := range append(calls, frames...) {
			if _, err := w.Write(f); err != nil {
				return // the reader tells
			}
		}
		if err := w.Flush(); err != nil {
			return
		}
	}
}

// read takes the child's frames until it ends or makes no sense.
func (c *conn) read(out io.Reader) {
	r := bufio.NewReaderSize(out, 64<<10)
	for {
		k, id, payload, err := readFrame(r)
		if err == nil {
			err = c.take(k, id, payload)
		}
		if err != nil {
			c.mu.Lock()
			if c.reason == nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				c.reason = err
			}
			clean := c.clean
			c.mu.Unlock()
			if !clean {
				c.kill() // it ended, or cannot be understood
			}
			return
		}
	}
}

// take handles one frame. io.EOF is the end that the child announced.
func (c *conn) take(k kind, id uint64, payload []byte) error {
	switch k {
	case kindAnswer:
		r, err := parseResult(payload)
		if err != nil {
			return err
		}
		return c.answer(id, r)
	case kindOpened:
		var o opened
		if err := json.Unmarshal(payload, &o); err != nil || o.Protocol != protocol || o.Build != build() {
			return errNonsense
		}
		select {
		case c.opened <- o.status:
		default:
			return errNonsense
		}
		return nil
	case kindStatus:
		var st status
		if err := json.Unmarshal(payload, &st); err != nil {
			return errNonsense
		}
		c.s.note(c, st)
		return nil
	case kindFailed, kindClosed:
		p := parser{rest: payload}
		said := p.error()
		if err := p.end(); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if k == kindClosed {
			c.clean, c.closed = true, said
		} else if c.reason == nil {
			c.reason = said
		}
		return io.EOF
	}
	return errNonsense
}

func (c *conn) answer(id uint64, r result) error {
	c.mu.Lock()
	call, ok := c.calls[id]
	if ok {
		c.remove(call)
	}
	c.heard = time.Now()
	c.answers++
	c.mu.Unlock()
	if !ok {
		return errNonsense // each is answered once, also those that nobody waits for
	}
	c.s.acknowledged(r.committed)
	call.done <- r
	c.s.answered(c)
	return nil
}

func (c *conn) unavailable() error {
	reason := c.reason
	if reason == nil {
		reason = errEnded
	}
	return outOfUse(reason)
}

// fail answers all calls that wait: what was sent may have taken place.
func (c *conn) fail() { c.failAs(nil) }

// failAs is fail with what calls are told that changed nothing.
func (c *conn) failAs(unbegun error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	down := unbegun
	if down == nil {
		down = c.unavailable()
	}
	for _, call := range c.calls {
		err := down
		if call.change && call.frame == nil && !c.clean {
			err = fmt.Errorf("%w: %w", store.ErrUnknown, down)
		}
		call.done <- result{err: err}
	}
	clear(c.calls)
	c.queue, c.control, c.bytes = nil, nil, 0
}

// oldest returns when the oldest call began, or the oldest change, that waits;
// zero if none does.
func (c *conn) oldest(changes bool) (at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.calls {
		if (call.change || !changes) && (at.IsZero() || call.began.Before(at)) {
			at = call.began
		}
	}
	return at
}

func (c *conn) answered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answers
}

func (c *conn) lastHeard() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

func (c *conn) kill() { c.cmd.Process.Kill() }
