package procstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// endGrace is how long a child that is ending is waited for to tell why.
const endGrace = time.Second

// maxChildLine bounds a line of the child's standard error.
const maxChildLine = 64 << 10

// run reads what the child says until it has ended.
func (c *conn) run() {
	said := make(chan string, 1)
	go func() { said <- c.listen(c.errs) }()
	c.read(c.out)
	// What it said last may tell why. A process that hangs in the kernel
	// neither ends nor closes its pipes.
	text := ""
	select {
	case text = <-said:
	case <-time.After(endGrace):
	}
	c.in.Close()
	gone := make(chan error, 1)
	go func() {
		err := c.cmd.Wait()
		closeAll([]*os.File{c.out, c.errs})
		gone <- err
	}()
	select {
	case err := <-gone:
		c.noteEnd(err, text)
		close(c.lost)
	case <-time.After(endGrace):
		c.noteEnd(nil, text)
		close(c.lost)
		<-gone
	}
	close(c.exited)
}

// listen reads the child's standard error. It returns what was no log line.
func (c *conn) listen(errs io.Reader) string {
	var w words
	r := bufio.NewReaderSize(errs, maxChildLine)
	for {
		line, err := r.ReadSlice('\n')
		if line = trimEnd(line); len(line) > 0 && !logLine(c.s.log, line) {
			w.add(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return strings.TrimSpace(string(w.kept))
		}
	}
}

func trimEnd(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// noteEnd completes the reason of a loss with how the process ended and what it
// said last.
func (c *conn) noteEnd(err error, said string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = said
	if c.reason != nil || c.clean {
		return
	}
	how := "it does not end"
	if c.cmd.ProcessState != nil {
		how = c.cmd.ProcessState.String()
	} else if err != nil {
		how = err.Error()
	}
	if line, _, _ := strings.Cut(said, "\n"); line != "" {
		how += ": " + line[:min(len(line), 200)]
	}
	c.reason = fmt.Errorf("%w (%s)", errEnded, how)
}

// why is what the child said last, and the reason for which it was lost.
func (c *conn) why() (said string, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		return c.said, errEnded
	}
	return c.said, c.reason
}
