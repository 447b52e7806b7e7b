package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// Changes of one row each, and reads of one, are gathered: of those that come while
// others are under way one statement is made, since what a statement costs beside its
// rows (the way to the server and back, sameServer, and the sync of a commit) is most
// of what it costs. Each of them is judged for itself.
const (
	mostJoint = 128 // calls in one statement
	// A large value would make others wait.
	largestJoint = 8 << 10
)

// applyEach judges and makes several changes of one row, each for itself, and returns
// the numbers of those that took place, from 1. The rows are locked first, in the order
// of their keys, so that two such statements never wait for each other. Where a row
// changed while its lock was waited for its condition is judged anew, and does not hold.
const applyEach = `WITH m AS (` + sameServer + `),
		held AS MATERIALIZED (
			SELECT k.ctid AS row, op.value, op.expires, op.n
			FROM m, unnest($4::bytea[], $5::bytea[], $6::bigint[], $7::timestamptz[]) WITH ORDINALITY AS op (key, value, want, expires, n), step_up_kv k
			WHERE m.ok AND k.key = op.key AND k.version = op.want AND NOT k.dead
			ORDER BY k.key FOR UPDATE OF k),
		w AS (
			UPDATE step_up_kv k SET value = coalesce(held.value, ''), version = nextval('step_up_version'), dead = held.value IS NULL,
				expires = CASE WHEN held.value IS NULL THEN ` + deadFor + ` ELSE held.expires END
			FROM held WHERE k.ctid = held.row
			RETURNING held.n)
	SELECT m.ok, ARRAY(SELECT n FROM w) FROM m`

// joint reports whether the change can be made together with those of others: it is
// one row that is there, and tells nothing.
func (c *change) joint() bool {
	return len(c.ops) == 1 && len(c.told) == 0 && c.ops[0].If != nil && *c.ops[0].If != 0 && len(c.ops[0].Value) <= largestJoint
}

// applyJoint applies a change together with those of others.
func (s *Store) applyJoint(ctx context.Context, c *change) error {
	begun, err := s.changes.Do(ctx, c)
	if begun && isEnd(err) {
		return fmt.Errorf("%w: %w", store.ErrUnknown, unavailable(err))
	}
	return unavailable(err)
}

// unavailable says of a call that did not end in its time that the database cannot be
// used.
func unavailable(err error) error {
	if isEnd(err) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, brief(err))
	}
	return err
}

func isEnd(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// applyAllOf makes one call of several changes.
func (s *Store) applyAllOf(ctx context.Context, changes []*change) []error {
	if len(changes) == 1 {
		return []error{s.apply(ctx, changes[0])}
	}
	var outcomes []error
	err := s.again(ctx, func(id *identity) (err error) {
		outcomes, err = s.applyEach(ctx, id, changes)
		return err
	})
	if err != nil {
		return all(err, len(changes))
	}
	return outcomes
}

func (s *Store) applyEach(ctx context.Context, id *identity, changes []*change) ([]error, error) {
	outcomes := make([]error, len(changes))
	of := make([]int, 0, len(changes)) // those that are sent
	for i, c := range changes {
		if outcomes[i] = c.decide(id); outcomes[i] == nil {
			outcomes[i] = store.ErrConflict // unless it takes place
			of = append(of, i)
		}
	}
	ops := make([]store.Op, len(of))
	for n, i := range of {
		ops[n] = changes[i].ops[0]
	}
	var done []int64
	err := s.changing(ctx, func(conn *pgx.Conn) pgx.Row {
		return conn.QueryRow(ctx, applyEach, s.sent(id.args(columnsOf(ops)...))...)
	}, &done)
	for _, n := range done {
		outcomes[of[n-1]] = nil
	}
	return outcomes, err
}

func all(err error, n int) []error { return slices.Repeat([]error{err}, n) }

// An asking is a read of one row, and its answer.
type asking struct {
	key   []byte
	found store.Entry
}

const getEach = `WITH m AS (` + sameServer + `)
	SELECT m.ok, k.key, k.value, k.version FROM m LEFT JOIN step_up_kv k ON k.key = ANY ($4) AND NOT k.dead AND m.ok`

// getAllOf makes one call of several reads.
func (s *Store) getAllOf(ctx context.Context, reads []*asking) []error {
	keys := make([][]byte, len(reads))
	for i, r := range reads {
		keys[i] = r.key
	}
	var found map[string]store.Entry
	err := s.knowing(ctx, func(id *identity) error {
		found = make(map[string]store.Entry, len(reads))
		var key, value []byte
		var version *int64
		return s.each(ctx, getEach, id.args(keys), []any{&key, &value, &version}, func() {
			if version != nil {
				found[string(key)] = store.Entry{Key: key, Value: value, Version: store.Version(*version)}
			}
		})
	})
	if err != nil {
		return all(err, len(reads))
	}
	outcomes := make([]error, len(reads))
	for i, r := range reads {
		entry, ok := found[string(r.key)]
		if !ok {
			outcomes[i] = store.ErrNotFound
			continue
		}
		r.found = store.Entry{Key: r.key, Value: bytes.Clone(entry.Value), Version: entry.Version}
	}
	return outcomes
}
