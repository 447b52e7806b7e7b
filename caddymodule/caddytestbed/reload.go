package caddytestbed

import (
	"net"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(new(listening)) }

// open is every listener of a site that has not been closed.
var open sync.Map // *listener to chan struct{}

// listening is a listener wrapper that every server of a bed has. caddy.Load
// returns when the server that it replaced is told to close its listener, not
// when it has: until then both take connections, and a request meant for the
// new configuration may be judged by the old one.
type listening struct{}

func (*listening) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.listeners.testbed", New: func() caddy.Module { return new(listening) }}
}

func (*listening) WrapListener(l net.Listener) net.Listener {
	watched := &listener{Listener: l, closed: make(chan struct{})}
	open.Store(watched, watched.closed)
	return watched
}

type listener struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		open.Delete(l)
		close(l.closed)
	})
	return err
}

// openListeners returns a channel for each open listener, closed with it.
func openListeners() []chan struct{} {
	var all []chan struct{}
	open.Range(func(_, closed any) bool {
		all = append(all, closed.(chan struct{}))
		return true
	})
	return all
}

// watch adds the wrapper to every server of a configuration.
func watch(config map[string]any) {
	apps, _ := config["apps"].(map[string]any)
	http, _ := apps["http"].(map[string]any)
	servers, _ := http["servers"].(map[string]any)
	for _, s := range servers {
		server := s.(map[string]any)
		wrappers, _ := server["listener_wrappers"].([]any)
		server["listener_wrappers"] = append(wrappers, map[string]any{"wrapper": "testbed"})
	}
}
