package audit

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// SyslogOptions make a [Syslog]. All are needed but TLS.
type SyslogOptions struct {
	// Network is udp, tcp, tls or unix, a datagram socket.
	Network string
	// Address is host:port, or the path of a socket.
	Address string
	// TLS verifies the receiver, of the network tls. Its server name is that of
	// Address unless it is set.
	TLS *tls.Config
	// Problem is told when sending begins to fail and when it works again (nil).
	Problem func(error)
}

// Syslog sends lines to a receiver of syslog, in the form of RFC 5424: over TCP with
// octet counting (RFC 6587), over TLS as RFC 5425 says, one datagram each otherwise.
// Nobody waits for it. Lines wait up to [maxQueued] of them; those beyond are lost
// here, and counted. No transport of syslog acknowledges lines, so some that were
// sent may be lost with a connection.
type Syslog struct {
	o    SyslogOptions
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	conn atomic.Pointer[connection] // nil before the first

	mu    sync.Mutex
	queue [][]byte
	sent  int
	lost  int
	err   error
	since time.Time
}

const (
	maxQueued = 8192

	dialTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
	// drain is how long Close goes on sending.
	drain = 2 * time.Second
)

// NewSyslog returns a Syslog that connects once it has something to send.
func NewSyslog(o SyslogOptions) *Syslog {
	s := &Syslog{o: o, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *Syslog) deliver(l *Line, text []byte) {
	message := message(l, text, os.Getpid())
	s.mu.Lock()
	if len(s.queue) < maxQueued {
		s.queue = append(s.queue, message)
	} else {
		s.lost++
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close sends what waits, for a short time, and ends.
func (s *Syslog) Close() error {
	close(s.stop)
	select {
	case <-s.done:
	case <-time.After(drain):
		s.conn.Load().close() // a receiver that takes nothing is not waited for
		<-s.done
	}
	return nil
}

// SyslogStatus is how a Syslog is.
type SyslogStatus struct {
	// Waiting counts the lines that wait to be sent, Sent those that were, Lost those
	// that never will be.
	Waiting, Sent, Lost int
	// Err is why the last attempt failed; nil if it did not. Since is when that
	// changed last.
	Err   error
	Since time.Time
}

// Status returns how the Syslog is.
func (s *Syslog) Status() SyslogStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SyslogStatus{Waiting: len(s.queue), Sent: s.sent, Lost: s.lost, Err: s.err, Since: s.since}
}

func (s *Syslog) run() {
	defer close(s.done)
	var c *connection
	pause := firstPause
	stop, end := s.stop, (<-chan time.Time)(nil)
	for {
		message := s.first()
		if message == nil {
			select {
			case <-s.wake:
				continue
			case <-s.stop:
				c.close()
				return
			}
		}
		var err error
		if c.isOver() {
			c.close()
			c, err = s.connect()
			s.conn.Store(c)
		}
		if err == nil {
			if err = c.send(message); err == nil {
				s.took()
				pause = firstPause
				s.tell(nil)
				continue
			}
			c.close()
			c = nil
		}
		if s.tell(err); errors.Is(err, syscall.EMSGSIZE) {
			s.drop()
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, longestPause)
		case <-stop:
			stop, end, pause = nil, time.After(drain), firstPause
		case <-end:
			s.mu.Lock()
			s.lost += len(s.queue)
			s.mu.Unlock()
			return
		}
		timer.Stop()
	}
}

// first is the message that is to be sent next, nil if none is.
func (s *Syslog) first() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	return s.queue[0]
}

func (s *Syslog) took() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = s.queue[1:]
	s.sent++
}

// drop gives up a message that no datagram takes.
func (s *Syslog) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = s.queue[1:]
	s.lost++
}

func (s *Syslog) tell(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (err == nil) != (s.err == nil) {
		s.since = time.Now()
		s.o.Problem(err)
	}
	s.err = err
}

// connection is one to the receiver.
type connection struct {
	net.Conn
	counted bool          // messages have their length before them
	over    chan struct{} // closed once the receiver has ended it
}

func (s *Syslog) connect() (*connection, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	c := &connection{over: make(chan struct{})}
	var err error
	switch s.o.Network {
	case "tls":
		c.Conn, err = tls.DialWithDialer(&d, "tcp", s.o.Address, s.o.TLS)
		c.counted = true
	case "tcp":
		c.Conn, err = d.Dial("tcp", s.o.Address)
		c.counted = true
	case "unix":
		c.Conn, err = d.Dial("unixgram", s.o.Address)
	default:
		c.Conn, err = d.Dial("udp", s.o.Address)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to syslog at %s: %w", s.o.Address, err)
	}
	if c.counted {
		go c.watch()
	}
	return c, nil
}

// watch notices when the receiver ends the connection, to which nothing is ever sent:
// what is written afterwards would be lost without an error.
func (c *connection) watch() {
	defer close(c.over)
	for buf := make([]byte, 256); ; {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func (c *connection) isOver() bool {
	if c == nil {
		return true
	}
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

func (c *connection) close() {
	if c != nil {
		c.Close()
	}
}

func (c *connection) send(message []byte) error {
	if c.counted {
		message = fmt.Appendf(nil, "%d %s", len(message), message)
	}
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("sending to syslog: %w", err)
	}
	if _, err := c.Write(message); err != nil {
		return fmt.Errorf("sending to syslog at %s: %w", c.RemoteAddr(), err)
	}
	return nil
}
