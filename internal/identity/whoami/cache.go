package whoami

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// briefly is how long it is remembered that there was no name. Short, because
// somebody may be logging in just now, or the application coming back.
const briefly = time.Second

// key is the digest of everything that one question is about.
type key [sha256.Size]byte

// answer is what the application says about one session, and between which times
// that holds.
type answer struct {
	user, session string
	email         string // "" where none was found
	asked, until  time.Time
}

// narrow leaves of the time in which an answer holds that in which another does too.
func (a *answer) narrow(other answer) {
	if other.asked.After(a.asked) {
		a.asked = other.asked
	}
	if other.until.Before(a.until) {
		a.until = other.until
	}
}

// question is put to the application once, for all requests with the same
// credentials that come while its answer holds.
type question struct {
	asked time.Time
	done  chan struct{} // closed once what follows is set

	answer answer
	err    error
	until  time.Time // when the answer ceases to hold
}

// cache remembers questions under the digest of what they are about.
type cache struct {
	ttl time.Duration
	max int
	now func() time.Time

	mu        sync.Mutex
	questions map[key]*question
	swept     time.Time
}

// errUnanswered stands for an answer that did not come because of a panic.
var errUnanswered = errors.New("asking the application who is signed in: no answer")

// ask returns the answer to the question of that key, by ask where none holds. One
// that another request has asked is waited for, where it was asked no longer ago
// than answers hold.
func (c *cache) ask(ctx context.Context, k key, ask func() (answer, error)) (answer, error) {
	q, mine := c.find(k)
	if mine {
		c.put(q, ask)
		return q.told()
	}
	select {
	case <-q.done:
		return q.told()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// told is what came of a question that was put.
func (q *question) told() (answer, error) {
	if q.err != nil {
		return answer{}, q.err
	}
	a := q.answer
	a.asked, a.until = q.asked, q.until
	return a, nil
}

// put asks, and tells all that wait.
func (c *cache) put(q *question, ask func() (answer, error)) {
	q.err = errUnanswered // unless ask returns
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		q.until = q.asked.Add(c.ttl)
		if q.err != nil {
			// A failure holds from when it was told, or a slow one would be
			// asked for again at once.
			q.until = c.now().Add(min(c.ttl, briefly))
		}
		close(q.done)
	}()
	q.answer, q.err = ask()
}

// find returns the question of that key which holds now, or a new one that the
// caller must put.
func (c *cache) find(k key) (q *question, mine bool) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.questions[k]; q != nil && c.holds(q, now) {
		return q, false
	}
	c.makeRoom(k, now)
	q = &question{asked: now, done: make(chan struct{})}
	c.questions[k] = q
	return q, true
}

// holds reports whether a request that came now may use the question's answer. A
// clock that was set back makes no answer hold longer.
func (c *cache) holds(q *question, now time.Time) bool {
	if now.Before(q.asked) {
		return false
	}
	select {
	case <-q.done:
		return now.Before(q.until)
	default:
		return now.Before(q.asked.Add(c.ttl))
	}
}

// makeRoom keeps the questions within their number: first those go that do not
// hold any more, then any.
func (c *cache) makeRoom(k key, now time.Time) {
	if _, there := c.questions[k]; there || len(c.questions) < c.max {
		return
	}
	if now.Sub(c.swept) >= briefly || now.Before(c.swept) {
		c.swept = now
		for other, q := range c.questions {
			if !c.holds(q, now) {
				delete(c.questions, other)
			}
		}
	}
	for other := range c.questions {
		if len(c.questions) < c.max {
			return
		}
		delete(c.questions, other)
	}
}
