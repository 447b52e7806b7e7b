package database

import (
	"context"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
)

// inspectable is an engine whose servers can be asked without opening the database.
type inspectable interface {
	Inspect(ctx context.Context, key []byte) (remote.Inspection, error)
}

// Inspect asks the servers of a database that several gateways use what a gateway would
// find there, and changes nothing; false: it is on this machine's disk.
func (d *Shared) Inspect(ctx context.Context) (found remote.Inspection, ok bool, err error) {
	e, ok := d.engine.(inspectable)
	if !ok {
		return found, false, nil
	}
	found, err = e.Inspect(ctx, records.MetaKey())
	if err != nil {
		return found, true, err
	}
	switch {
	case found.Record == nil && found.Schema > 0:
		found.Add(true, "store-empty", "the database "+found.Name+" has no first record", "run `caddy step-up init` once, with the key that all gateways have")
	case found.Record != nil:
		if err := records.Belongs(found.Record, d.key.Given); err != nil {
			found.Add(true, "store-key", err.Error(), "write the key that the other gateways have")
		} else {
			found.Key = d.key.Given.ID().String()
		}
	}
	return found, true, nil
}
