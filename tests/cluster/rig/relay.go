package rig

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Fault is what a relay does to its link.
type Fault int

const (
	// Whole carries everything.
	Whole Fault = iota
	// Cut ends all connections with a reset, and refuses new ones.
	Cut
	// Stalled carries nothing in either direction, and drops nothing: what was sent
	// arrives when the link is whole again.
	Stalled
	// Deaf carries what is sent to the server, and holds back what it answers.
	Deaf
	// Dropping loses everything in both directions. The connections that lost
	// something end when the link is whole again.
	Dropping
)

func (f Fault) String() string { return [...]string{"whole", "cut", "stalled", "deaf", "dropping"}[f] }

// Relay is one link: what connects to Addr is carried to a server, as the fault
// allows.
type Relay struct {
	Addr     string
	to       string
	listener net.Listener
	ended    sync.WaitGroup

	mu     sync.Mutex
	fault  Fault
	change chan struct{} // closed when the fault changes
	links  map[*link]bool
	closed bool
}

// link is one connection.
type link struct {
	in, out net.Conn
	lost    bool // it lost something
}

// NewRelay listens on a free port of loopback; to is the server's address.
func NewRelay(to string) (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{Addr: l.Addr().String(), to: to, listener: l, change: make(chan struct{}), links: map[*link]bool{}}
	r.ended.Go(r.accept)
	return r, nil
}

// Set begins a fault, or ends it with Whole.
func (r *Relay) Set(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
	close(r.change)
	r.change = make(chan struct{})
	for l := range r.links {
		if f == Cut || f == Whole && l.lost {
			l.reset()
		}
	}
}

// Close ends the relay and all connections, and waits for them.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.listener.Close()
	r.Set(Cut)
	r.ended.Wait()
}

func (r *Relay) accept() {
	for {
		in, err := r.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			r.ended.Go(func() { r.carry(in) })
		}
	}
}

func (r *Relay) carry(in net.Conn) {
	l := &link{in: in}
	if !r.add(l) {
		return
	}
	defer func() {
		r.mu.Lock()
		delete(r.links, l)
		r.mu.Unlock()
		l.reset()
	}()
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	r.mu.Lock()
	l.out = out
	cut := r.fault == Cut
	r.mu.Unlock()
	if cut {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { r.pump(l, out, in, Deaf) })
	both.Go(func() { r.pump(l, in, out, Whole) })
	both.Wait()
}

// add notes a new connection, unless the link refuses it.
func (r *Relay) add(l *link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == Cut || r.closed {
		l.reset()
		return false
	}
	r.links[l] = true
	return true
}

// pump carries one direction; passes is the fault that does not concern it.
func (r *Relay) pump(l *link, to, from net.Conn, passes Fault) {
	defer l.reset()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && r.lets(l, passes) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err == io.EOF {
				r.lets(l, passes) // an end is no faster than what was sent
			}
			return
		}
	}
}

// lets waits until the link carries something, and reports false where it is lost.
func (r *Relay) lets(l *link, passes Fault) bool {
	for {
		r.mu.Lock()
		fault, change := r.fault, r.change
		if fault == Dropping {
			l.lost = true
		}
		lost := l.lost
		r.mu.Unlock()
		switch {
		case lost, fault == Cut:
			return false
		case fault == Whole, fault == passes:
			return true
		}
		<-change
	}
}

// reset ends both sides at once, and leaves nothing behind that is still sent.
func (l *link) reset() {
	for _, c := range []net.Conn{l.in, l.out} {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
			tcp.Close()
		}
	}
}
