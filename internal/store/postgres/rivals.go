package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// askEvery is how often each server that the url names is asked whether it takes
	// writes: with the readings of the feed, at most 5 questions a second. askTimeout is
	// how long it may take: longer, and it counts as one that cannot be reached.
	askEvery   = 1100 * time.Millisecond
	askTimeout = time.Second
	// quietAfter is how many rounds in a row must show no rival until there is none: in
	// one of them it may have been too slow to answer.
	quietAfter = 3
)

// rivals are servers of one database of which more than one takes writes, or of which
// another one than that which does was promoted later. The zero value found none.
//
// Nobody can tell then which of them has what was acknowledged: what is protected is
// refused. After it is over a new generation begins, since what was acknowledged by
// the one that is gone is lost.
type rivals struct {
	hosts  []host // none, where the url names one host
	first  sync.Once
	failed map[string]string // why hosts could not be asked; the watcher's

	refused atomic.Pointer[error]

	mu     sync.Mutex
	quiet  int   // rounds without rivals since there were some
	over   bool  // they are gone, and the next generation has not begun
	before int64 // the generation in which there were some; negative: none was known
}

// refusal says why this process must not go on.
func (r *rivals) refusal() error {
	if err := r.refused.Load(); err != nil {
		return *err
	}
	return nil
}

// found notes what a round has found, in a generation: a sentence, or nothing. It
// reports whether that is new.
func (r *rivals) found(sentence string, generation int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.refused.Load() != nil
	switch {
	case sentence != "":
		if !was {
			r.before = generation
		}
		r.quiet, r.over, r.before = 0, false, max(r.before, generation)
		err := fmt.Errorf("%w: %s", store.ErrUnavailable, sentence)
		r.refused.Store(&err)
		return !was
	case was:
		r.quiet++
		r.over = r.quiet >= quietAfter
	}
	return false
}

// gone reports whether rivals were there and are no more.
func (r *rivals) gone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// cause says why another generation than this one has to begin; empty: it need not.
func (r *rivals) cause(generation int64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		return ""
	}
	if r.before < 0 {
		r.before = generation
	}
	if generation <= r.before {
		return "more than one database server took writes: what the other one acknowledged is lost"
	}
	return ""
}

// settle ends the refusal, where rivals are gone. It reports whether it did.
func (r *rivals) settle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		return false
	}
	r.over, r.quiet = false, 0
	r.refused.Store(nil)
	return true
}

// judge says of servers that answered at the same time why none of them can be used;
// empty: nothing speaks against it.
func judge(all []server) string {
	var writer *server
	for i := range all {
		a := &all[i]
		switch {
		case !a.writes, writer != nil && writer.same(*a):
		case writer != nil:
			return fmt.Sprintf("two database servers take writes, %s (timeline %d) and %s (timeline %d): end the one that is not to be used any more, or cut it off", writer.host, writer.timeline, a.host, a.timeline)
		default:
			writer = a
		}
	}
	if writer == nil {
		return ""
	}
	for _, a := range all {
		if a.system == writer.system && a.timeline > writer.timeline {
			return fmt.Sprintf("the database server %s takes writes on timeline %d, and %s has come to timeline %d: another server was promoted since. Use that one, or set up anew what followed it", writer.host, writer.timeline, a.host, a.timeline)
		}
	}
	return ""
}

// lookForRivals asks all servers once.
func (s *Store) lookForRivals(ctx context.Context) {
	r := &s.rivals
	if r.hosts == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers, failures := make([]server, len(r.hosts)), make([]error, len(r.hosts))
	var asking sync.WaitGroup
	for i, h := range r.hosts {
		asking.Go(func() { answers[i], failures[i] = h.ask(ctx) })
	}
	asking.Wait()
	var all []server
	for i, h := range r.hosts {
		if failures[i] == nil {
			all = append(all, answers[i])
		}
		s.tellFailure(h.name, failures[i])
	}
	generation := int64(-1)
	if id := s.known.Load(); id != nil {
		generation = id.generation
		all = s.withKnown(all, id)
	}
	sentence := judge(all)
	if r.found(sentence, generation) {
		s.lease.End()
		s.log.Error("more than one database server may take writes; what is protected is refused until only one does", zap.String("error", sentence))
	}
}

// withKnown adds the server that is in use, where it did not answer for itself, as
// one that has no connection left: what is read from it says that it is there.
func (s *Store) withKnown(all []server, id *identity) []server {
	heard := s.heard.Load()
	if heard == nil || !remote.Within(*heard, time.Now(), askTimeout) {
		return all
	}
	timeline, err := timelineOf(id.timeline)
	if err != nil {
		return all
	}
	known := server{host: "the one in use", writes: true, timeline: timeline, system: id.system, started: id.started}
	for _, a := range all {
		if a.same(known) {
			return all
		}
	}
	return append(all, known)
}

// tellFailure logs when a host can be asked no more, and when it can again.
func (s *Store) tellFailure(host string, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	switch was := s.rivals.failed[host]; {
	case (was == "") == (why == ""):
	case why != "":
		s.log.Info("a database server cannot be asked whether it takes writes", zap.String("host", host), zap.Error(err))
	default:
		s.log.Info("the database server answers again", zap.String("host", host))
	}
	s.rivals.failed[host] = why
}

// watchForRivals asks all servers again and again.
func (s *Store) watchForRivals(ctx context.Context) {
	s.rivals.first.Do(func() { s.lookForRivals(ctx) })
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.lookForRivals(ctx)
		}
	}
}
