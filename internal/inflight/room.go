// Package inflight bounds what requests that are read whole may take, of memory
// and for each person.
//
// [Room.Take] reserves memory before a byte of the request is read. Who finds no
// room waits, in order and for a time, and so does who has as much as one person
// may have; the former must not wait behind the latter. What waits costs its
// connection and no more. [Rate] counts requests of each person over time.
//
// The package counts; it allocates nothing of what is reserved.
package inflight

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrFull reports that there was no room, and none came in time.
var ErrFull = errors.New("too many requests are being read")

// Who is the digest of a person.
type Who [32]byte

// Bounds are what a [Room] holds a reservation to. Each caller brings its own, so
// that configurations which share a room during a reload need not agree.
type Bounds struct {
	// Bytes bounds what is reserved in all, and Each what is for one person.
	// A single reservation over Each is granted while the person has no other.
	Bytes, Each int64
	// Waiting bounds those who wait in all, and WaitingEach those of one person.
	Waiting, WaitingEach int
	// Wait is how long one waits.
	Wait time.Duration
}

// Room is memory that is reserved. The zero value is an empty one. It may be used
// concurrently.
type Room struct {
	mu      sync.Mutex
	used    int64
	people  map[Who]*share // those who have or want something
	waiting list.List      // of *waiter, the one who waits the longest first
}

type share struct {
	used     int64
	waiting  int
	reserved int // reservations
}

type waiter struct {
	who     Who
	n       int64
	b       Bounds
	granted chan struct{}
}

// Taken is a reservation. A nil one reserves nothing.
type Taken struct {
	room *Room
	who  Who
	once sync.Once
	n    int64
}

// Take reserves n bytes for who. It waits for room until b.Wait is over, and
// fails with [ErrFull] then, or at once where too many wait or n can never be
// reserved. It fails with the error of ctx once that ends.
func (r *Room) Take(ctx context.Context, who Who, n int64, b Bounds) (*Taken, error) {
	w := &waiter{who: who, n: n, b: b, granted: make(chan struct{})}
	place, err := r.ask(w)
	if err != nil {
		return nil, err
	}
	taken := &Taken{room: r, who: who, n: n}
	if place == nil {
		return taken, nil
	}
	timer := time.NewTimer(b.Wait)
	defer timer.Stop()
	select {
	case <-w.granted:
		return taken, nil
	case <-timer.C:
		err = ErrFull
	case <-ctx.Done():
		err = ctx.Err()
	}
	if r.leave(place) {
		return nil, err
	}
	return taken, nil // granted meanwhile
}

// ask reserves, or joins those who wait and returns its place there.
func (r *Room) ask(w *waiter) (*list.Element, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.n > w.b.Bytes {
		return nil, ErrFull
	}
	s := r.people[w.who]
	if s == nil {
		s = new(share)
		if r.people == nil {
			r.people = make(map[Who]*share)
		}
		r.people[w.who] = s
	}
	if r.fits(w, s) && !r.blocked(w) {
		r.grant(w, s)
		return nil, nil
	}
	if r.waiting.Len() >= w.b.Waiting || s.waiting >= w.b.WaitingEach {
		r.forget(w.who, s)
		return nil, ErrFull
	}
	s.waiting++
	return r.waiting.PushBack(w), nil
}

// blocked reports whether somebody waits for memory that w would take: nobody is
// overtaken but those who wait for their own other requests.
func (r *Room) blocked(w *waiter) bool {
	for e := r.waiting.Front(); e != nil; e = e.Next() {
		other := e.Value.(*waiter)
		if s := r.people[other.who]; other.who == w.who || !s.full(other) {
			return true
		}
	}
	return false
}

// full reports whether w has as much as one person may have.
func (s *share) full(w *waiter) bool { return s.reserved > 0 && s.used+w.n > w.b.Each }

func (r *Room) fits(w *waiter, s *share) bool { return r.used+w.n <= w.b.Bytes && !s.full(w) }

func (r *Room) grant(w *waiter, s *share) {
	r.used += w.n
	s.used += w.n
	s.reserved++
}

func (r *Room) forget(who Who, s *share) {
	if s.waiting == 0 && s.reserved == 0 {
		delete(r.people, who)
	}
}

// leave gives a place up. It reports false where the reservation was granted.
func (r *Room) leave(place *list.Element) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := place.Value.(*waiter)
	select {
	case <-w.granted:
		return false
	default:
	}
	r.waiting.Remove(place)
	s := r.people[w.who]
	s.waiting--
	r.forget(w.who, s)
	r.serve() // the next may need less
	return true
}

// Release gives the reservation back. Doing so again does nothing.
func (t *Taken) Release() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		r := t.room
		r.mu.Lock()
		defer r.mu.Unlock()
		r.used -= t.n
		s := r.people[t.who]
		s.used -= t.n
		s.reserved--
		r.forget(t.who, s)
		r.serve()
	})
}

// serve grants what fits now to those who wait, in order. Those who have as much
// as one person may have are passed over; the first who lacks memory ends it.
func (r *Room) serve() {
	for e := r.waiting.Front(); e != nil; {
		w, next := e.Value.(*waiter), e.Next()
		switch s := r.people[w.who]; {
		case s.full(w):
		case !r.fits(w, s):
			return
		default:
			r.waiting.Remove(e)
			s.waiting--
			r.grant(w, s)
			close(w.granted)
		}
		e = next
	}
}

// Used is how many bytes are reserved, and Waiting how many wait.
func (r *Room) Used() (bytes int64, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used, r.waiting.Len()
}
