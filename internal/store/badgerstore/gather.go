package badgerstore

import "time"

// A pace is what the committer saw of its last commit.
type pace struct {
	callers int           // who were told its outcome, or waited for the next by then
	took    time.Duration // to make it durable
}

const (
	// A commit waits for callers that were there at the last one, for this part of what that one took.
	patience = 8

	// leastPatience is what a timer is good for. A disk for which less would be right is fast enough.
	leastPatience = 50 * time.Microsecond
)

// gather takes what waits in the queue. Those who were told the outcome of the last commit are likely to be
// about to come again: without them this one would leave as many to the next as it has itself, and everybody
// would wait for two.
func (b *batch) gather() {
	b.takeQueued()
	wait := b.s.pace.took / patience
	if len(b.pending) >= b.s.pace.callers || wait < leastPatience {
		return
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	for len(b.pending) < b.s.pace.callers {
		select {
		case r := <-b.s.queue:
			b.take(r)
		case <-late.C:
			return
		case <-b.s.stop:
			return
		}
	}
	b.takeQueued()
}

func (b *batch) takeQueued() {
	for {
		select {
		case r := <-b.s.queue:
			b.take(r)
		default:
			return
		}
	}
}
