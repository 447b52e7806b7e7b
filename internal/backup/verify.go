package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
)

// Verified is what is known of a backup that was read to its end.
type Verified struct {
	Head Head
	Sum  Sum
	// Opened reports that the key was given, that somebody who has it made the backup,
	// and that each row opens.
	Opened bool

	source *records.Source
}

// Verify reads a backup to its end. Without the key it tells damage only: whoever alters
// a backup on purpose can make the SHA-256 fit.
func Verify(ctx context.Context, r io.Reader, key seal.Key, tell func(Progress)) (Verified, error) {
	x, err := NewReader(r)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Head: x.Head, Opened: !key.IsZero()}
	if v.Opened {
		if v.Head.StoreID != key.StoreID().String() {
			return v, fmt.Errorf("%w: it is of database %s, and %s is of database %s", ErrOtherKey, clip(v.Head.StoreID), key, key.StoreID())
		}
		if v.source, err = records.NewSource(key); err != nil {
			return v, err
		}
	}
	p := Progress{Doing: "verified"}
	for {
		op, err := x.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && v.Opened {
			err = unopened(v.source.See(op), &v.Head)
		}
		if err != nil {
			return v, err
		}
		p.Rows, p.Bytes = x.sum.Rows, x.sum.Bytes
		if tell != nil && p.Rows%tellEvery == 0 {
			tell(p)
		}
	}
	v.Sum = x.sum
	if v.Opened {
		if err := unopened(v.source.Complete(v.Sum.Digest, x.tag), &v.Head); err != nil {
			return v, err
		}
	}
	if p.Done = true; tell != nil {
		tell(p)
	}
	return v, nil
}

// unopened says of what does not open whether it is of another key.
func unopened(err error, h *Head) error {
	switch {
	case err == nil, errors.Is(err, records.ErrNewer), errors.Is(err, records.ErrMoved):
		return err
	case errors.Is(err, seal.ErrUnknownKey), errors.Is(err, records.ErrWrongKey):
		return fmt.Errorf("%w: the one with the id %s is needed", ErrOtherKey, clip(h.KeyID))
	}
	return fmt.Errorf("%w: %w", ErrAltered, err)
}

// clip bounds what an error shows of a file.
func clip(s string) string { return fmt.Sprintf("%.32q", s) }
