package store

import (
	"context"
	"time"
)

// Supervised is implemented by engines that can go out of use and come back
// without being opened anew by their caller.
type Supervised interface {
	Store

	// Health returns how the engine is. It never blocks.
	Health() Health

	// OnLost registers a function that is called each time the engine went out
	// of use, before the first call is refused for it: whatever was cached may be
	// out of date by the time it is back. OnBack registers one that is called each
	// time it is back in use, before the first call is served; Fence tells then
	// whether what it came back with is older than what it had acknowledged.
	OnLost(func())
	OnBack(func())
}

// Health is how an engine is.
type Health struct {
	// Down is why the engine is out of use, and nil while it is in use. Its text
	// is a sentence for operators.
	Down error

	// Low is why the engine refuses every change but those that take access
	// away (see [Taking]), and nil while it refuses none.
	Low error

	// Waiting is the age of the oldest change that waits to be made durable;
	// zero while none waits.
	Waiting time.Duration

	// Unmarked reports that no mark is kept outside the database, so that an older
	// copy of it would go unnoticed.
	Unmarked bool
}

// Fenced is implemented by engines that can report whether the database lost
// changes that it had acknowledged: an older copy was put back.
type Fenced interface {
	Store

	// Fence returns what was found when the database was opened. It never blocks.
	Fence() Fence

	// AcceptFence makes the database as it is now the one that counts: the fence
	// is [FenceNone] from then on, also after a restart. The caller has voided
	// before what must not be good again.
	AcceptFence(ctx context.Context) error
}

// A FenceKind tells how sure it is that nothing acknowledged was lost.
type FenceKind uint8

const (
	// FenceNone: the database holds all that was acknowledged.
	FenceNone FenceKind = iota
	// FenceUnsure: it cannot be told, since the mark is missing or cannot be
	// read though the database had one. What can be used once must not be good
	// again; nothing else is refused.
	FenceUnsure
	// FenceRolledBack: the database is older than what was acknowledged. Only
	// an operator can say what is good.
	FenceRolledBack
)

// Fence is what an engine found when it was opened.
type Fence struct {
	Kind FenceKind
	// Reason says what was found, as a sentence for operators; empty with
	// FenceNone.
	Reason string
	// Newest is the latest time at which something was acknowledged that may be
	// lost, as far as it is known: the clock of the last mark.
	Newest time.Time
}

type takingKey struct{}

// Taking returns a context whose Apply takes access away and gives none: a
// revocation, a reset, the end of a key. An engine that is short of space goes
// on with these when it refuses all else.
func Taking(ctx context.Context) context.Context {
	return context.WithValue(ctx, takingKey{}, true)
}

// IsTaking reports whether ctx came from [Taking].
func IsTaking(ctx context.Context) bool {
	taking, _ := ctx.Value(takingKey{}).(bool)
	return taking
}
