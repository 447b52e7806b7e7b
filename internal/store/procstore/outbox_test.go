package procstore

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A slowPipe takes a write only once it is let to, and notes what came.
type slowPipe struct {
	let    chan error
	mu     sync.Mutex
	writes []string
}

func (p *slowPipe) Write(b []byte) (int, error) {
	err := <-p.let
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes = append(p.writes, string(b))
	return len(b), err
}

// What many put goes out in few writes, in order; anyone who sends writes for others no
// longer than one write takes.
func TestOutboxSharesWrites(t *testing.T) {
	pipe := &slowPipe{let: make(chan error)}
	o := newOutbox(pipe)
	o.put([]byte("a"), []byte("b"))
	first := make(chan struct{})
	go func() { o.send(); close(first) }()
	pipe.let <- nil // it is at the first write; what is put from now on is for the next
	<-first
	o.put([]byte("c"))
	go o.send()
	for {
		o.mu.Lock()
		writing := o.writing
		o.mu.Unlock()
		if writing {
			break
		}
		time.Sleep(time.Millisecond)
	}
	for i := range 5 {
		o.put(fmt.Append(nil, i))
		o.send() // returns: somebody is at it
	}
	pipe.let <- nil
	pipe.let <- nil
	o.flush(time.Minute)
	if got := strings.Join(pipe.writes, " "); got != "ab c 01234" {
		t.Errorf("writes %q", got)
	}
}

// Nothing waits for a pipe that nobody reads any more.
func TestOutboxWithoutReader(t *testing.T) {
	pipe := &slowPipe{let: make(chan error, 1)}
	o := newOutbox(pipe)
	pipe.let <- errors.New("broken pipe")
	o.put([]byte("a"))
	o.send()
	for range 3 {
		o.put([]byte("b"))
		o.send()
	}
	o.flush(time.Minute)
	if len(pipe.writes) != 1 || len(o.pending) != 0 {
		t.Errorf("%d writes, %d pieces wait", len(pipe.writes), len(o.pending))
	}
}
