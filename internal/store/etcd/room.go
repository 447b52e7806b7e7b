package etcd

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// defaultQuota is that of etcd; servers before 3.6 do not tell theirs.
	defaultQuota = 2 << 30
	// mostFull is how much of the quota may be in use, in percent, until everything
	// that grows is refused, so that what takes away still fits.
	mostFull = 80
	// lookEvery is how often the members are looked at, and lookAfter after how many
	// bytes that this process has written.
	lookEvery = 10 * time.Second
	lookAfter = 4 << 20
)

// room is whether there is space for what grows.
type room struct {
	low     atomic.Pointer[error]
	written atomic.Int64 // bytes since the last look
	look    chan struct{}
}

// take notes that bytes are written.
func (r *room) take(n int) {
	if r.written.Add(int64(n)) > lookAfter {
		remote.Wake(r.look)
	}
}

func (r *room) refusal(c *change) error {
	low := r.low.Load()
	if low == nil || c.taking {
		return nil
	}
	for i := range c.ops {
		if c.ops[i].Value != nil {
			return *low
		}
	}
	return nil
}

// lookOften looks at the members until ctx ends: whether they are full, and whether
// they will do.
func (s *Store) lookOften(ctx context.Context) {
	for wait := time.Second; ; wait = lookEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-s.room.look:
		}
		s.room.written.Store(0)
		if id := s.known.Load(); id != nil {
			s.judge(members(ctx, id.client))
		}
	}
}

func (s *Store) judge(found []*clientv3.StatusResponse) {
	if len(found) == 0 {
		return
	}
	low, bad := lowOf(found), judge(found)
	if bad != nil {
		s.unfit.Store(&bad)
	} else {
		s.unfit.Store(nil)
	}
	if low == nil {
		s.room.low.Store(nil)
	} else if s.room.low.Swap(&low) == nil {
		s.log.Error("etcd is nearly full; only what takes access away is changed", zap.Error(low))
	}
	s.SetLow(low)
}

// lowOf says why nothing may grow, of the member that is fullest.
func lowOf(found []*clientv3.StatusResponse) error {
	for _, status := range found {
		quota := status.DbSizeQuota
		if quota == 0 {
			quota = defaultQuota
		}
		if quota > 0 && status.DbSize > quota/100*mostFull {
			return fmt.Errorf("%w: the database of an etcd member has %d MiB of %d MiB that its quota allows: defragment the members, or raise --quota-backend-bytes", store.ErrNoSpace, status.DbSize>>20, quota>>20)
		}
	}
	return nil
}
