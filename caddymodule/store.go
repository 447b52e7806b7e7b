package caddymodule

import (
	"github.com/stepup-gateway/caddy-stepup/caddymodule/stores"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// StoreEngine keeps what the gateway must not forget: who is enrolled, which grants
// are good, and what was spent or revoked. It is the interface of guest modules in
// the namespace step_up.stores.
//
// The contract is that of the package store: [store.Engine] says how a database is
// opened, and [store.Store] what each call promises. One-time grants and the limits
// on wrong codes hold exactly as long as an engine keeps these promises, so an
// engine has to pass the suite of the package store/storetest; examples/memorystore
// is one that does. All values are sealed before an engine sees them, while keys
// and times are not.
//
// Experimental: the interface changes without notice until one engine can be
// shared by several gateways. Today one gateway uses one database.
type StoreEngine = store.Engine

// Interface guard
var _ StoreEngine = (*stores.Badger)(nil)
