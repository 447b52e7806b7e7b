//go:build components

package cluster

import (
	"sync"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/store/etcd"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/store/storetest"
)

func TestEtcdStore(t *testing.T) {
	s := newEtcd(t)
	storetest.Run(t, func(t *testing.T) store.Store { return openEtcd(t, s.database()) })
	storetest.RunSnapshots(t, func(t *testing.T) store.Store { return openEtcd(t, s.database()) })
	var databases sync.Map
	storetest.RunDurable(t, func(t *testing.T, dir string) store.Store {
		o, found := databases.Load(dir)
		if !found {
			o = s.database()
			databases.Store(dir, o)
		}
		return openEtcd(t, o.(etcd.Options))
	})
}

func TestEtcdShared(t *testing.T) {
	s := newEtcd(t)
	storetest.RunShared(t, func(t *testing.T) [2]store.Shared {
		o := s.database()
		return [2]store.Shared{openEtcd(t, o), openEtcd(t, o)}
	})
}
