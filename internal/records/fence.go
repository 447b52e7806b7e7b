package records

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// A database that lost what it had acknowledged, since an older copy of it was
// put back, shows grants unspent that were spent. So everything that can be used
// once belongs to a generation, and is good only while that is the current one; no
// clock is asked. A new one begins where the engine cannot report whether something
// was lost (store.FenceUnsure). Where it can tell that something was
// (store.FenceRolledBack), nothing is read or written until an operator accepts
// what is there; see [DB.AcceptFence].

// Fencing is how a database stands with what it may have lost.
type Fencing struct {
	// Kind and Reason are what the engine found and nobody has accepted yet.
	Kind   store.FenceKind
	Reason string
	// Generation counts from 0. It began at Since, which is zero for the first,
	// because of what Cause says.
	Generation uint64
	Since      time.Time
	Cause      string
	// CodesAfter is the time before which codes of authenticator apps may have
	// been used; zero: none needs to be refused for that.
	CodesAfter time.Time
	// CodesBarred reports that recovery codes of earlier generations are not
	// taken.
	CodesBarred bool
	// Unconfirmed reports that authenticators wait to be confirmed; see Restored.
	Unconfirmed bool
	// AppliedAgain counts the records that this process changed when the generation
	// began, since what it had acknowledged was lost; NotKept those of which it
	// could not tell, since it keeps so many only.
	AppliedAgain, NotKept int
}

// fencing is shared by all views of one database.
type fencing struct {
	engine     store.Fenced // nil: it cannot tell
	generation atomic.Uint64
	state      atomic.Pointer[fenceState]
	// rolledBack is what the engine said last, for the hot path.
	rolledBack atomic.Bool
	teller     atomic.Pointer[func(Fencing)]

	lost   atomic.Uint64 // how often the engine went out of use
	looked atomic.Uint64 // lost, when the state was read last; see stillHere

	mu      sync.Mutex // one change of the state at a time
	settled uint64     // lost + 1 when a generation began, since when the engine was not opened anew
	began   bool       // one did since the database was opened
	viewed  failedLately
	// announced is the generation that the teller knows, of a shared engine.
	announced uint64
	// again and dropped are what applyAgain did last.
	again, dropped atomic.Int64
}

func newFencing(s fenceState) *fencing {
	f := new(fencing)
	f.keep(s)
	f.announced = s.Generation
	return f
}

func (f *fencing) keep(s fenceState) {
	f.state.Store(&s)
	f.generation.Store(s.Generation)
}

func isRolledBack(s store.Store) bool {
	engine, ok := s.(store.Fenced)
	return ok && engine.Fence().Kind == store.FenceRolledBack
}

// raiseFence makes the engine be asked from now on, and begins the next generation
// where it is unsure.
func (db *DB) raiseFence(ctx context.Context) error {
	db.fence.engine, _ = db.store.(store.Fenced)
	if isRolledBack(db.store) {
		db.fence.rolledBack.Store(true)
		return nil
	}
	return db.serving(ctx)
}

// heed makes the engine tell what is to be forgotten. It is called once the database
// is open: one that could not be opened would go on to be told.
func (db *DB) heed() {
	if db.shared != nil {
		db.shared.OnTold(db.forgetTold)
		db.forgetView() // what was told since it was read
	}
	if s, ok := db.store.(store.Supervised); ok {
		s.OnLost(db.forgetCached)
		s.OnBack(db.lookAgain)
		db.lookAgain()
	}
}

// forgetCached is called when the engine went out of use: nothing passes by what
// was cached before.
func (db *DB) forgetCached() {
	db.fence.lost.Add(1)
	db.grants.forgetAll()
}

// lookAgain is called when the engine is back.
func (db *DB) lookAgain() {
	if db.fence.engine != nil && db.fence.refuses(db.fence.engine.Fence()) {
		db.fence.tell()
	}
}

// refuses notes whether the engine has an older copy, and reports whether that
// is new.
func (f *fencing) refuses(found store.Fence) bool {
	rolledBack := found.Kind == store.FenceRolledBack
	return f.rolledBack.Swap(rolledBack) != rolledBack && rolledBack
}

// Generation is the current one, or that of the view.
func (db *DB) Generation() uint64 {
	if db.in != nil {
		return db.in.Generation
	}
	return db.fence.generation.Load()
}

// RolledBack returns store.ErrRolledBack while the database is an older copy that
// no operator has accepted. It is an atomic load.
func (db *DB) RolledBack() error {
	if db.fence.rolledBack.Load() && !db.mending {
		return store.ErrRolledBack
	}
	return nil
}

// serving returns nil if what is read counts.
func (db *DB) serving(ctx context.Context) error {
	if err := db.unlost(ctx); err != nil {
		return err
	}
	return db.stillHere(ctx)
}

// unlost returns nil if what is read lacks nothing, beginning the next generation
// where the engine is unsure.
func (db *DB) unlost(ctx context.Context) error {
	f := db.fence
	if f.engine == nil || db.mending {
		return db.fenced()
	}
	found := f.engine.Fence()
	if f.refuses(found) {
		db.grants.forgetAll()
		f.tell()
	}
	switch found.Kind {
	case store.FenceNone:
		return nil
	case store.FenceRolledBack:
		return rolledBack(found)
	}
	return db.settleFence(ctx)
}

func rolledBack(found store.Fence) error {
	return fmt.Errorf("%w; %s", store.ErrRolledBack, found.Reason)
}

// settleFence begins the next generation for an engine that is unsure, once for each
// time that it is.
func (db *DB) settleFence(ctx context.Context) error {
	f := db.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	lost := f.lost.Load()
	switch found := f.engine.Fence(); {
	case found.Kind == store.FenceRolledBack:
		return rolledBack(found)
	case found.Kind == store.FenceNone || f.settled == lost+1:
		return nil
	default:
		if err := db.begin(ctx, found, clock.Now(), func(*fenceState) error { return nil }); err != nil {
			return err
		}
		f.settled = lost + 1
		f.tell()
		// Where the engine cannot note it now it is unsure again at the next
		// opening, which begins one generation more.
		_ = f.engine.AcceptFence(ctx)
		return nil
	}
}

// begin begins the next generation because of what the engine found. The lock is
// held.
func (db *DB) begin(ctx context.Context, found store.Fence, now time.Time, also func(*fenceState) error) error {
	latest, err := db.latest(ctx)
	if err != nil {
		return err
	}
	for _, t := range []time.Time{found.Newest, now} {
		if t.After(latest) {
			latest = t
		}
	}
	err = db.changeState(ctx, func(s *fenceState) error {
		s.next(now, found.Reason, latest)
		return also(s)
	})
	if err != nil {
		return err
	}
	db.fence.began = true
	db.grants.forgetAll()
	return nil
}

// changeState changes the stored state if nobody else does at the same time. The
// lock is held.
func (db *DB) changeState(ctx context.Context, change func(*fenceState) error) error {
	e, err := db.store.Get(ctx, metaKey)
	if err != nil {
		return fmt.Errorf("reading the generation: %w", err)
	}
	m, err := readMeta(e.Value)
	if err != nil {
		return err
	}
	state, err := m.fence(db.ring)
	if err != nil {
		return err
	}
	if err := change(&state); err != nil {
		return err
	}
	ops := make([]store.Op, 1, 2)
	if ops[0], err = m.put(db.ring, e, state); m.Form != metaForm {
		var n int64
		if n, err = db.countAccounts(ctx); err == nil {
			ops, err = db.found(e, m, n, state)
		}
	}
	if err != nil {
		return err
	}
	if err := db.apply(context.WithoutCancel(ctx), ops); err != nil {
		return fmt.Errorf("writing the generation: %w", err)
	}
	db.fence.keep(state)
	db.forgetView()
	return nil
}

// fenceState is the current one, or that of the view.
func (db *DB) fenceState() *fenceState {
	if db.in != nil {
		return db.in
	}
	return db.fence.state.Load()
}

// Fencing returns how the database stands.
func (db *DB) Fencing() Fencing { return db.fence.now() }

func (f *fencing) now() Fencing {
	s := f.state.Load()
	out := Fencing{
		Generation: s.Generation, Since: s.Since, Cause: s.Cause, CodesAfter: s.CodesAfter,
		CodesBarred: s.Recovery > 0, Unconfirmed: s.Unconfirmed, AppliedAgain: int(f.again.Load()), NotKept: int(f.dropped.Load()),
	}
	if f.engine != nil {
		found := f.engine.Fence()
		out.Kind, out.Reason = found.Kind, found.Reason
	}
	return out
}

// OnFence makes f be told when the database turns out to be an older copy, and
// when a new generation began; at once where either is so already.
func (db *DB) OnFence(f func(Fencing)) {
	db.fence.teller.Store(&f)
	db.fence.mu.Lock()
	began := db.fence.began
	db.fence.mu.Unlock()
	if began || db.fence.rolledBack.Load() {
		f(db.Fencing())
	}
}

func (f *fencing) tell() {
	if teller := f.teller.Load(); teller != nil {
		(*teller)(f.now())
	}
}

// TakesRecoveryCodes reports whether recovery codes that were given under the
// generation are taken: those that an older copy shows unused may have been used.
func (db *DB) TakesRecoveryCodes(generation uint64) bool {
	return generation >= db.fenceState().Recovery
}

// TakesKey reports whether the API key is taken, or suspended since an older copy
// was accepted, in which it may have come back.
func (db *DB) TakesKey(k *APIKey) bool { return k.Generation >= db.fenceState().Keys }
