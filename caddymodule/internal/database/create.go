package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Create makes an empty database for a key that somebody brings.
func Create(ctx context.Context, e store.Engine, key seal.Key) (err error) {
	s, err := e.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.FirstTry(ctx); err != nil {
		return err
	}
	err = records.Create(ctx, s, key)
	if errors.Is(err, records.ErrHasData) {
		return fmt.Errorf("%w: %s stays as it is; to start over, move it away first", err, e.Location())
	}
	return err
}
