//go:build components

package cluster

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/stepup-gateway/caddy-stepup/internal/store/postgres"
	"github.com/stepup-gateway/caddy-stepup/store"
	"github.com/stepup-gateway/caddy-stepup/store/storetest"
)

// open opens a database whose tables are there.
func open(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := start(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start begins to open a database, and returns what the first attempt came to.
func start(t *testing.T, url string) (*postgres.Store, error) {
	t.Helper()
	s, err := postgres.Start(postgres.Options{URL: url, Stale: time.Second, Logger: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.FirstTry(context.Background())
}

func created(t *testing.T, url string) string {
	t.Helper()
	if err := postgres.Create(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return url
}

func TestPostgresStore(t *testing.T) { overServers(t, testPostgresStore) }

func testPostgresStore(t *testing.T, s *server) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, created(t, s.database())) })
	storetest.RunSnapshots(t, func(t *testing.T) store.Store { return open(t, created(t, s.database())) })
	var databases sync.Map
	storetest.RunDurable(t, func(t *testing.T, dir string) store.Store {
		url, found := databases.Load(filepath.Dir(dir) + filepath.Base(dir))
		if !found {
			url = created(t, s.database())
			databases.Store(filepath.Dir(dir)+filepath.Base(dir), url)
		}
		return open(t, url.(string))
	})
}

func TestPostgresShared(t *testing.T) { overServers(t, testPostgresShared) }

func testPostgresShared(t *testing.T, s *server) {
	storetest.RunShared(t, func(t *testing.T) [2]store.Shared {
		url := created(t, s.database())
		return [2]store.Shared{open(t, url), open(t, url)}
	})
}

// TestThroughPgbouncer: a pooler that gives a connection for each transaction will
// do. With STEP_UP_LONG the suite of one store is run too.
func TestThroughPgbouncer(t *testing.T) { overServers(t, testThroughPgbouncer) }

func testThroughPgbouncer(t *testing.T, s *server) {
	through := func(t *testing.T) string { return s.bouncer("transaction", created(t, s.database())) }
	if os.Getenv("STEP_UP_LONG") != "" {
		storetest.Run(t, func(t *testing.T) store.Store { return open(t, through(t)) })
		storetest.RunSnapshots(t, func(t *testing.T) store.Store { return open(t, through(t)) })
	}
	storetest.RunShared(t, func(t *testing.T) [2]store.Shared {
		url := through(t)
		return [2]store.Shared{open(t, url), open(t, url)}
	})
}
