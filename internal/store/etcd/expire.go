package etcd

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leases are those of etcd's by which it removes what nobody misses. A lease is one
// for many entries that run out at about the same time, and ends some time after the
// last of them, since it is gateways' clocks by which they do. For etcd it is the
// time that has gone by that counts, and never less than was asked for.
type leases struct {
	mu      sync.Mutex
	granted map[time.Time]*granted // by when they end
	asking  chan struct{}
}

type granted struct {
	id   clientv3.LeaseID
	at   time.Time
	left int // how many entries more it takes
}

const (
	// expirySlack is how much later than they run out entries are removed.
	expirySlack = 10 * time.Minute
	// entriesPerLease bounds what etcd removes at a time.
	entriesPerLease = 1000
	// longestLease is beyond what is worth tidying.
	longestLease = 2 * 365 * 24 * time.Hour
)

// leaseEnd returns when the lease of an entry ends that runs out then, as it is now;
// false: none is needed.
func leaseEnd(expires, now time.Time) (time.Time, bool) {
	if expires.IsZero() || expires.Sub(now) > longestLease {
		return time.Time{}, false
	}
	end := expires.Add(expirySlack)
	if soonest := now.Add(expirySlack); end.Before(soonest) {
		end = soonest
	}
	step := 10 * time.Minute
	switch ttl := end.Sub(now); {
	case ttl > 10*24*time.Hour:
		step = 24 * time.Hour
	case ttl > 12*time.Hour:
		step = time.Hour
	}
	return end.Round(0).UTC().Truncate(step).Add(step), true
}

// lease returns the lease for an entry that runs out then; none for one that does not.
func (l *leases) lease(ctx context.Context, client *clientv3.Client, expires time.Time) (clientv3.LeaseID, error) {
	now := time.Now()
	end, ok := leaseEnd(expires, now)
	if !ok {
		return clientv3.NoLease, nil
	}
	for {
		id, wait := l.take(end, now)
		switch {
		case id != clientv3.NoLease:
			return id, nil
		case wait == nil:
			return l.ask(ctx, client, end, now)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return clientv3.NoLease, classify(ctx.Err(), false)
		}
	}
}

// take returns a lease that is there; otherwise what to wait for, if somebody else
// asks for one, or nil: then it is the caller who must ask.
func (l *leases) take(end, now time.Time) (clientv3.LeaseID, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.granted[end]; g != nil && g.left > 0 && steady(g.at, now) {
		g.left--
		return g.id, nil
	}
	if l.asking != nil {
		return clientv3.NoLease, l.asking
	}
	l.asking = make(chan struct{})
	return clientv3.NoLease, nil
}

// steady reports whether the wall clock was not set since then, so that a lease that
// was asked for then still ends when its name says.
func steady(then, now time.Time) bool {
	return (now.Sub(then) - now.Round(0).Sub(then.Round(0))).Abs() < expirySlack/2
}

func (l *leases) ask(ctx context.Context, client *clientv3.Client, end, now time.Time) (clientv3.LeaseID, error) {
	resp, err := client.Grant(clientv3.WithRequireLeader(ctx), int64(end.Sub(now)/time.Second)+1)
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.asking)
	l.asking = nil
	if err != nil {
		return clientv3.NoLease, classify(err, false)
	}
	if l.granted == nil {
		l.granted = map[time.Time]*granted{}
	}
	for e := range l.granted {
		if e.Before(now) {
			delete(l.granted, e)
		}
	}
	l.granted[end] = &granted{id: resp.ID, at: now, left: entriesPerLease - 1}
	return resp.ID, nil
}

// forget makes leases be asked for anew.
func (l *leases) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.granted = nil
}
