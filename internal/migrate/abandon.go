package migrate

import (
	"context"
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Abandon gives up a migration that is not complete: it empties the copy, and lets the
// database be served again that was copied. Without a store to move to, the copy stays
// as it is, and incomplete for ever.
func Abandon(ctx context.Context, o Options) error {
	from, err := records.OpenSide(ctx, o.From.Store, o.From.Key)
	if err != nil {
		return fmt.Errorf("opening %s: %w", o.From.Name, err)
	}
	var m move
	if o.To.Store != nil {
		if m.to, err = openCopy(ctx, o.To); err != nil {
			return err
		}
	}
	mark := from.Move()
	switch {
	case mark == nil:
		if m.to == nil || m.to.Move() == nil || m.to.Move().Stage != records.Incomplete || m.to.Move().Other != o.From.Name {
			return fmt.Errorf("there is nothing to give up: %s is not being moved", o.From.Name)
		}
		return empty(ctx, m.to, o)
	case mark.Stage == records.Moved && m.isCopy(mark):
		return fmt.Errorf("the copy of %s was found complete: run the command without --abandon to end the move; to go back, move it from there", o.From.Name)
	case mark.Stage != records.Moving:
		return fmt.Errorf("%s: %w", o.From.Name, from.Refusal())
	case m.to != nil && !m.isCopy(mark):
		return fmt.Errorf("%s is %w, and not the copy of %s: name the configuration with which the move began (to %s), or leave out --to to leave the copy as it is",
			o.To.Name, ErrNotEmpty, o.From.Name, mark.Other)
	}
	if m.to != nil {
		if err := empty(ctx, m.to, o); err != nil {
			return err
		}
	}
	if err := from.GiveBack(ctx); err != nil {
		return fmt.Errorf("giving %s back: %w; run the same command again", o.From.Name, err)
	}
	return nil
}

// empty removes a copy, the mark last.
func empty(ctx context.Context, copied *records.Side, o Options) error {
	err := copied.Take(ctx)
	p := Progress{Doing: "removed"}
	for after := []byte(nil); err == nil; {
		var page []store.Op
		if page, err = copied.Dump(ctx, after, store.MaxOps); err != nil || len(page) == 0 {
			break
		}
		after = page[len(page)-1].Key
		for i := range page {
			p.Rows++
			p.Bytes += int64(len(page[i].Key) + len(page[i].Value))
			page[i] = store.Op{Key: page[i].Key}
		}
		err = copied.Apply(store.Taking(ctx), page...)
		if o.Tell != nil {
			o.Tell(p)
		}
	}
	if err == nil {
		err = copied.Forget(ctx)
	}
	if err != nil {
		return fmt.Errorf("emptying %s: %w; run the same command again, or leave out --to to leave the copy as it is", o.To.Name, err)
	}
	return nil
}
