// Package memorystore is a store engine as somebody else's Caddy module would be: it
// imports the public packages of the gateway alone. It keeps the state in memory,
// so a restart of Caddy forgets all enrollments; it is for looking at, and for
// trying out.
//
//	{
//		step_up {
//			store memory try
//		}
//	}
package memorystore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func init() {
	caddy.RegisterModule(Memory{})
}

// Memory keeps the state in memory.
type Memory struct {
	// Name tells databases apart. Default: memory.
	Name string `json:"name,omitempty"`
}

// CaddyModule returns the module's id.
func (Memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.stores.memory", New: func() caddy.Module { return new(Memory) }}
}

// UnmarshalCaddyfile reads the store. Syntax:
//
//	memory [NAME]
func (m *Memory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		m.Name = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// Location returns the name of the database.
func (m *Memory) Location() string { return "memory:" + m.Name }

// Start opens the database, which lasts as long as the process.
func (m *Memory) Start() (store.Opening, error) {
	return store.Steady(Open(m.Location())), nil
}

// data is one database.
type data struct {
	mu      sync.RWMutex
	entries map[string]store.Entry
	version store.Version // the last one that was given
}

var databases sync.Map // of *data, by location

// Open opens a database of this process.
func Open(location string) store.Store {
	d, _ := databases.LoadOrStore(location, &data{entries: make(map[string]store.Entry)})
	return &opened{data: d.(*data)}
}

// opened is a database until it is closed.
type opened struct {
	*data
	closed bool // guarded by mu
}

func (o *opened) usable(ctx context.Context) error {
	if o.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Get reads one entry.
func (o *opened) Get(ctx context.Context, key []byte) (store.Entry, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Entry{}, err
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if err := o.usable(ctx); err != nil {
		return store.Entry{}, err
	}
	e, ok := o.entries[string(key)]
	if !ok {
		return store.Entry{}, store.ErrNotFound
	}
	return copied(e), nil
}

// List reads entries in the order of their keys.
func (o *opened) List(ctx context.Context, prefix, after []byte, limit int) ([]store.Entry, error) {
	if err := store.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if err := o.usable(ctx); err != nil {
		return nil, err
	}
	keys := slices.DeleteFunc(slices.Collect(maps.Keys(o.entries)), func(k string) bool {
		return !strings.HasPrefix(k, string(prefix)) || k <= string(after)
	})
	slices.Sort(keys)
	found := make([]store.Entry, 0, min(limit, len(keys)))
	for _, k := range keys[:min(limit, len(keys))] {
		found = append(found, copied(o.entries[k]))
	}
	return found, nil
}

// Apply judges all conditions, then makes all changes, under one lock.
func (o *opened) Apply(ctx context.Context, ops ...store.Op) error {
	if err := store.CheckOps(ops); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.usable(ctx); err != nil {
		return err
	}
	for _, op := range ops {
		if op.If != nil && o.entries[string(op.Key)].Version != *op.If {
			return store.ErrConflict
		}
	}
	for _, op := range ops {
		if op.Value == nil {
			delete(o.entries, string(op.Key))
			continue
		}
		o.version++ // of all keys together, so that none comes again after a deletion
		o.entries[string(op.Key)] = copied(store.Entry{Key: op.Key, Value: op.Value, Version: o.version})
	}
	return nil
}

// Close ends the use of the database, whose entries stay.
func (o *opened) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return nil
}

// copied returns an entry whose slices are the caller's own. A value that is there
// is never nil.
func copied(e store.Entry) store.Entry {
	return store.Entry{Key: bytes.Clone(e.Key), Value: append([]byte{}, e.Value...), Version: e.Version}
}

// Interface guards
var (
	_ caddyfile.Unmarshaler   = (*Memory)(nil)
	_ caddymodule.StoreEngine = (*Memory)(nil)
)
