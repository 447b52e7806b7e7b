package store

import (
	"context"
	"time"
)

// VersionBits are those of a version of a shared engine that tell it from others of
// its generation, which stands above them.
const VersionBits = 40

// Generation returns the generation in which a shared engine gave out the version.
func (v Version) Generation() uint64 { return uint64(v) >> VersionBits }

// Shared is implemented by engines whose database several processes change at the
// same time. What one of them has read is out of date once another one changes it;
// so whoever takes something away tells its name in the same change, and every
// process forgets what it keeps under that name.
//
// The methods of [Store] are for a database on which nobody acts yet, and for its
// first record; what was decided in a generation is applied with ApplyIn.
type Shared interface {
	Supervised

	// ApplyIn is Apply for what was decided in a generation: it fails with
	// [ErrFenced], and nothing has changed, where that has ended. It tells the names
	// to every process, this one included, if and only if the change takes place.
	ApplyIn(ctx context.Context, generation uint64, told [][]byte, ops ...Op) error

	// OnTold registers a function that is called with names that were told, in any
	// order and maybe more than once. Nil stands for all names there are. It must not
	// call the store.
	OnTold(func(names [][]byte))

	// Current reports whether all that was told until Stale ago has been passed to
	// the functions of OnTold, so that what is kept in memory may be used by somebody
	// who began now, as [time.Now] tells it. It looks at no clock, which costs as much
	// as all else about a live grant.
	Current(now time.Time) bool

	// Stale is how old what is used may be: also what was read counts only if the
	// reading began less than that ago. Zero asks the database each time.
	Stale() time.Duration

	// Generation returns the current generation, which ends when the database may
	// have lost something that was acknowledged, and why it began. Names of the one
	// before mean nothing: the functions of OnTold are called with nil before it is
	// the current one. [Version.Generation] tells it of the versions given out in it.
	Generation() (generation uint64, cause string)

	// EndGeneration ends the current generation, though nothing was lost, and begins
	// the next one for a cause. What another process decided before fails with
	// ErrFenced from then on, whenever it comes. It returns the generation that it
	// began, and fails with ErrFenced where another process was faster.
	EndGeneration(ctx context.Context, cause string) (began uint64, err error)

	// Others returns how many other processes use the database, as far as can be
	// told: those that asked it within the last seconds. It takes some seconds.
	Others(ctx context.Context) (int, error)
}
