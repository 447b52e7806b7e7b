// Package freeport finds ports for the servers of tests.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports for connections to other servers are taken by the system from above these
// (Linux from 32768, others from 49152), so that none takes one between its being
// found and a server's listening.
const first, last = 10000, 32000

var (
	mu    sync.Mutex
	given = make(map[int]bool)
)

// Fataler is the part of testing.T that is needed.
type Fataler interface {
	Helper()
	Fatal(args ...any)
}

// Find is Pick for tests, which end where there is none.
func Find(t Fataler) string {
	t.Helper()
	port, err := Pick()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Pick returns a port on which nobody listens, and which was not returned before.
func Pick() (port string, err error) {
	mu.Lock()
	defer mu.Unlock()
	for range 100 {
		n := first + rand.IntN(last-first)
		if given[n] {
			continue
		}
		port = strconv.Itoa(n)
		var l net.Listener
		if l, err = net.Listen("tcp", ":"+port); err == nil {
			given[n] = true
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("no free port: %w", err)
}
