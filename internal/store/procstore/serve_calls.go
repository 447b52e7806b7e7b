package procstore

import (
	"context"
	"errors"
	"os"

	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// running is a call that was begun and has no answer yet. Only the goroutine that
// reads the frames uses it.
type running struct{ cancel func() }

// take begins one call, or withdraws one.
func (s *server) take(f frame) error {
	switch f.kind {
	case kindCancel:
		s.mu.Lock()
		call := s.calls[f.id]
		s.mu.Unlock()
		if call != nil {
			call.cancel()
		}
		return nil
	case kindGet:
		// It takes less time than handing it to somebody else would.
		return s.put(f.id, s.get(f.payload))
	}
	call := new(running)
	s.mu.Lock()
	_, twice := s.calls[f.id]
	if twice || len(s.calls) >= maxAtOnce {
		s.mu.Unlock()
		return errNonsense
	}
	s.calls[f.id] = call
	s.mu.Unlock()
	s.running.Add(1)
	if f.kind == kindApply {
		return s.apply(f, call)
	}
	work, err := s.parse(f)
	if err == nil {
		s.start(f.id, call, work)
	}
	return err
}

// apply begins a change, for which no goroutine has to wait unless it is large.
func (s *server) apply(f frame, call *running) error {
	taking, ops, err := parseApply(f.payload)
	if err != nil {
		return err
	}
	withdraw, begun := s.db.Begin(taking, ops, func(err error, more bool) { s.finish(f.id, result{err: err}, more) })
	if begun {
		call.cancel = withdraw
		return nil
	}
	s.start(f.id, call, func(ctx context.Context) result {
		if taking {
			ctx = store.Taking(ctx)
		}
		return result{err: s.db.Apply(ctx, ops...)}
	})
	return nil
}

// start begins work in a goroutine of its own.
func (s *server) start(id uint64, call *running, work func(context.Context) result) {
	ctx, cancel := context.WithCancel(context.Background())
	call.cancel = cancel
	go func() {
		r := work(ctx)
		cancel()
		s.finish(id, r, false)
	}()
}

// finish answers a call that was begun. It sends the answer unless more follow.
func (s *server) finish(id uint64, r result, more bool) {
	s.mu.Lock()
	delete(s.calls, id)
	s.mu.Unlock()
	defer s.running.Done()
	if err := s.put(id, r); err != nil {
		os.Exit(s.fail(err))
	}
	if !more {
		s.out.send()
	}
}

// put queues the answer to a call. It returns an error if the answer says that the
// database failed.
func (s *server) put(id uint64, r result) error {
	r.committed = s.db.Committed()
	s.out.put(resultSegments(id, r)...)
	if errors.Is(r.err, badgerstore.ErrFailed) {
		return r.err
	}
	return nil
}

func (s *server) get(key []byte) result {
	e, err := s.db.Get(context.Background(), key)
	if err != nil {
		return result{err: err}
	}
	e.Key = nil // the parent knows it
	return result{entries: []store.Entry{e}}
}

// parse returns what a call does that takes a goroutine.
func (s *server) parse(f frame) (func(context.Context) result, error) {
	switch f.kind {
	case kindList:
		prefix, after, limit, err := parseList(f.payload)
		return func(ctx context.Context) result {
			entries, err := s.db.List(ctx, prefix, after, limit)
			return result{entries: entries, err: err}
		}, err
	case kindDump:
		snapshot, after, limit, err := parseDump(f.payload)
		return func(ctx context.Context) result { return s.dump(ctx, snapshot, after, limit) }, err
	case kindSnapshot:
		return func(ctx context.Context) result { return s.beginSnapshot(ctx, string(f.payload)) }, nil
	case kindRelease:
		return func(context.Context) result { return s.endSnapshot(string(f.payload)) }, nil
	case kindAccept:
		return func(ctx context.Context) result {
			err := s.db.AcceptFence(ctx)
			s.tell()
			return result{err: err}
		}, nil
	}
	return nil, errNonsense
}
