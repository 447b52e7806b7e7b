package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// lagging is how long a watch may lag behind a linearizable read until another one
	// is begun, on another member as like as not: that of this one may be cut off.
	lagging = time.Second
	// tickEvery is how often each process writes its time.
	tickEvery = time.Second
)

// feed is a watch on what is told, in one state of the database. It has a stream of
// its own: progress is reported for all watches of a stream together.
type feed struct {
	id    *identity
	watch clientv3.Watcher
	stop  context.CancelFunc
	ended chan struct{}
	err   error // once ended

	delivered atomic.Int64  // up to which revision everything was passed on
	moved     chan struct{} // delivered has grown
	confirmed atomic.Pointer[confirmation]
}

// confirmation is a linearizable read: what has a higher revision was written after
// it began.
type confirmation struct {
	began    time.Time // by the clock that others are told
	revision int64
}

// follow asks how far the database is, waits until the watch has delivered
// everything up to there, and renews the lease from when it asked. That a member
// has delivered all it knows of would not do: it may have been cut off.
func (s *Store) follow(ctx context.Context) error {
	return s.known.Do(ctx, func(id *identity) error {
		began, shown := time.Now(), clock.Now()
		revision, err := s.confirm(ctx, id, began)
		if err != nil {
			return err
		}
		if err := retried(ctx, func(ctx context.Context) error { return s.hearUpTo(ctx, id, revision) }); err != nil {
			return err
		}
		s.feed.confirmed.Store(&confirmation{shown, revision})
		if err := s.clocks.refusal(); err != nil {
			s.lease.End()
			return err
		}
		s.lease.Renew(began)
		return nil
	})
}

// hearUpTo waits until everything up to the revision was delivered.
func (s *Store) hearUpTo(ctx context.Context, id *identity, revision int64) error {
	if err := s.watchOn(ctx, id, revision); err != nil {
		return err
	}
	err := s.feed.reach(ctx, revision)
	if err != nil {
		s.feed.end()
	}
	return err
}

// confirm returns a revision that nothing is above that was written before now. It
// writes this process's time where that is due.
func (s *Store) confirm(ctx context.Context, id *identity, now time.Time) (int64, error) {
	if remote.Within(s.ticked, now, tickEvery-remote.VisitEvery/2) {
		resp, err := s.read(ctx, id, clientv3.OpGet(s.at.meta(), clientv3.WithKeysOnly()))
		if err != nil {
			return 0, err
		}
		return resp.Header.Revision, nil
	}
	if err := s.renew(ctx, id); err != nil {
		return 0, err
	}
	text := strconv.FormatInt(clock.Now().UnixNano(), 10)
	err := retried(ctx, func(ctx context.Context) error {
		return s.commit(ctx, id, s.guards(id), []clientv3.Op{s.sign(id), clientv3.OpPut(s.at.time(s.run), text, clientv3.WithLease(id.lease))})
	})
	if err != nil {
		return 0, err
	}
	s.ticked = now
	return id.seen.Load(), nil
}

// watchOn begins a watch where there is none on this state of the database, or it
// has ended: where the last one came to, if etcd still has that.
func (s *Store) watchOn(ctx context.Context, id *identity, revision int64) error {
	last := s.feed
	if last != nil && last.id == id && last.isRunning() {
		return nil
	}
	from, anew := revision, true
	if last != nil {
		last.end()
		if last.id.raw == id.raw && !errors.Is(last.err, rpctypes.ErrCompacted) && last.delivered.Load() > 0 {
			from, anew = last.delivered.Load(), false
		}
	}
	f := &feed{id: id, watch: clientv3.NewWatcher(id.client), ended: make(chan struct{}), moved: make(chan struct{}, 1)}
	var watching context.Context
	watching, f.stop = context.WithCancel(clientv3.WithRequireLeader(context.Background()))
	f.delivered.Store(from - 1)
	opened := make(chan clientv3.WatchChan, 1)
	go func() {
		opened <- f.watch.Watch(watching, s.at.watched(), clientv3.WithPrefix(), clientv3.WithRev(from))
	}()
	select {
	case answers := <-opened:
		s.feed = f
		go s.hear(f, answers)
	case <-ctx.Done():
		f.stop()
		f.watch.Close()
		return classify(ctx.Err(), false)
	}
	if anew {
		// What is read from here on is not older than where the watch begins.
		s.Pass(nil)
	}
	return nil
}

func (f *feed) isRunning() bool {
	select {
	case <-f.ended:
		return false
	default:
		return true
	}
}

// end ends the watch, and waits for what it passes on.
func (f *feed) end() {
	if f == nil {
		return
	}
	f.stop()
	f.watch.Close()
	<-f.ended
}

// hear passes on what the watch delivers, in its order.
func (s *Store) hear(f *feed, answers clientv3.WatchChan) {
	defer close(f.ended)
	for answer := range answers {
		switch err := answer.Err(); {
		case err != nil:
			f.err = err
			return
		case answer.Header.ClusterId != f.id.cluster:
			f.err = remote.ErrMoved
			return
		case answer.IsProgressNotify():
			f.reached(answer.Header.Revision)
			continue
		}
		for _, event := range answer.Events {
			s.heard(f, event)
		}
		// The header may name a revision of which this is not all.
		if n := len(answer.Events); n > 0 {
			f.reached(answer.Events[n-1].Kv.ModRevision)
		}
	}
	f.err = errors.New("the watch has ended")
}

func (f *feed) reached(revision int64) {
	raise(&f.delivered, revision)
	raise(&f.id.seen, revision) // also what others have written must not be lost
	remote.Wake(f.moved)
}

func (s *Store) heard(f *feed, event *clientv3.Event) {
	run, isTime := bytes.CutPrefix(event.Kv.Key, []byte(s.at.times()))
	switch {
	case isTime && event.Type == clientv3.EventTypeDelete:
		s.clocks.gone(string(run))
	case isTime:
		if last := f.confirmed.Load(); last != nil && event.Kv.ModRevision > last.revision && string(run) != s.run {
			s.clocks.told(string(run), string(event.Kv.Value), last.began, clock.Now())
		}
	case string(event.Kv.Key) == s.at.told() && event.Type == clientv3.EventTypePut:
		var names [][]byte
		if err := json.Unmarshal(event.Kv.Value, &names); err != nil {
			names = nil // whatever it means, nothing is kept that it may be about
		}
		s.Pass(names)
	}
}

// reach waits until everything up to the revision was delivered. Progress must be
// asked for: a watch says nothing while nothing happens.
func (f *feed) reach(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), lagging)
	defer cancel()
	for pause := 10 * time.Millisecond; f.delivered.Load() < revision; {
		if err := f.watch.RequestProgress(ctx); err != nil {
			return fmt.Errorf("%w: %w", errNow, classify(err, false))
		}
		again := time.After(pause)
		pause = min(2*pause, 100*time.Millisecond)
	wait:
		for f.delivered.Load() < revision {
			select {
			case <-f.moved:
			case <-again:
				break wait
			case <-f.ended:
				// Another member may take it: this one has no leader any more, or has not
				// heard yet of the user's token.
				return fmt.Errorf("%w: %w: watching etcd: %w", errNow, store.ErrUnavailable, f.err)
			case <-ctx.Done():
				return fmt.Errorf("%w: a member of etcd lags behind the others, or is cut off from them", store.ErrUnavailable)
			}
		}
	}
	return nil
}
