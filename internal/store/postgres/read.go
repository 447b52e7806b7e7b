package postgres

import (
	"bytes"
	"context"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key []byte) (store.Entry, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Entry{}, err
	}
	one := asking{key: bytes.Clone(key)}
	_, err := s.calls.Do(ctx, func(ctx context.Context) error {
		_, err := s.reads.Do(ctx, &one)
		return unavailable(err)
	})
	if err != nil {
		return store.Entry{}, err
	}
	return one.found, nil
}

const listSome = `WITH m AS (` + sameServer + `)
	SELECT m.ok, k.key, k.value, k.version FROM m LEFT JOIN LATERAL (
		SELECT key, value, version FROM step_up_kv
		WHERE key >= $4 AND key > $5 AND ($6::bytea IS NULL OR key < $6) AND NOT dead AND m.ok
		ORDER BY key LIMIT $7) k ON true
	ORDER BY k.key`

// List implements [store.Store].
func (s *Store) List(ctx context.Context, prefix, after []byte, limit int) ([]store.Entry, error) {
	if err := store.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	from, last := append([]byte{}, prefix...), append([]byte{}, after...)
	end := remote.PrefixEnd(from)
	var found []store.Entry
	_, err := s.calls.Do(ctx, func(ctx context.Context) error {
		return s.knowing(ctx, func(id *identity) (err error) {
			found, err = s.list(ctx, id, from, last, end, limit)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (s *Store) list(ctx context.Context, id *identity, from, last, end []byte, limit int) ([]store.Entry, error) {
	found := []store.Entry{}
	var key, value []byte
	var version *int64
	err := s.each(ctx, listSome, id.args(from, last, end, limit), []any{&key, &value, &version}, func() {
		if version != nil {
			found = append(found, store.Entry{Key: key, Value: value, Version: store.Version(*version)})
		}
	})
	return found, err
}

// each calls see for each row of an answer, scanned into the places. The first column
// says whether the server is the one that is known; without any row there is a first
// one of it alone.
func (s *Store) each(ctx context.Context, statement string, args, into []any, see func()) error {
	rows, err := s.pool.Query(ctx, statement, s.sent(args)...)
	if err != nil {
		return classify(err, false)
	}
	defer rows.Close()
	var ok, met bool
	into = append([]any{&ok}, into...)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return classify(err, false)
		}
		if !ok {
			return remote.ErrMoved
		}
		met = true
		see()
	}
	if err := rows.Err(); err != nil {
		return classify(err, false)
	}
	if !met {
		return errNoSchema
	}
	return nil
}
