package etcd

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/coreos/go-semver/semver"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// mostOps is how many operations and conditions a transaction has at most: those of
	// store.MaxOps, the names that are told, the signature and the guards.
	mostOps = store.MaxOps + 2
	// largestRequest is how large a transaction is at most.
	largestRequest = 1280 << 10
)

// oldestServer is the oldest version that will do. Before 3.5.8 progress of a watch
// was reported before what it had to deliver (etcd#15220), and before 3.5.13 it was
// not reported on a watch that had nothing to deliver (etcd#17507), events got lost
// by compaction, and leases were revoked that had not run out.
var oldestServer = semver.Version{Major: 3, Minor: 5, Patch: 13}

// members asks each member that answers how it is.
func members(ctx context.Context, c *clientv3.Client) []*clientv3.StatusResponse {
	var mu sync.Mutex
	var found []*clientv3.StatusResponse
	var wg sync.WaitGroup
	for _, endpoint := range c.Endpoints() {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			if status, err := c.Status(ctx, endpoint); err == nil {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, status)
			}
		})
	}
	wg.Wait()
	return found
}

// examine refuses servers on which what is promised cannot be kept. Those that do
// not answer are looked at when they do.
func examine(ctx context.Context, c *clientv3.Client) error {
	return judge(members(ctx, c))
}

func judge(found []*clientv3.StatusResponse) error {
	for _, status := range found {
		if err := checkVersion(status.Version); err != nil {
			return err
		}
	}
	return nil
}

func checkVersion(text string) error {
	version, err := semver.NewVersion(strings.TrimPrefix(text, "v"))
	if err != nil {
		return unfit("a member of etcd says that its version is %q, which cannot be read", text)
	}
	version.PreRelease, version.Metadata = "", ""
	if version.LessThan(oldestServer) {
		return unfit("a member is etcd %s, and %s is the oldest that will do", text, oldestServer)
	}
	return nil
}

// probe finds out whether the server takes transactions as large as they may become,
// by two whose condition never holds.
func (s *Store) probe(ctx context.Context, c *clientv3.Client) error {
	never := clientv3.Compare(clientv3.Version(s.at.meta()), "<", 0)
	many := make([]clientv3.Op, mostOps)
	for i := range many {
		many[i] = clientv3.OpPut(s.at.entry([]byte{byte(i)}), "")
	}
	large := clientv3.OpPut(s.at.entry([]byte("large")), strings.Repeat("x", largestRequest))
	for _, ops := range [][]clientv3.Op{many, {large}} {
		err := retried(ctx, func(ctx context.Context) error {
			_, err := c.Txn(clientv3.WithRequireLeader(ctx)).If(never).Then(ops...).Commit()
			if err != nil {
				return classify(err, false)
			}
			return nil
		})
		if errors.Is(err, store.ErrNoSpace) {
			return nil // etcd judges that first; the next start finds out
		}
		if err != nil {
			return err
		}
	}
	return nil
}
