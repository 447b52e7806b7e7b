package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// snapshot is a transaction that sees what there was when it began, on a connection of
// its own: those of the pools are for calls, which end within seconds. A pooler gives
// one connection to the server to a transaction as a whole.
type snapshot struct {
	s        *Store
	conn     *pgx.Conn
	tx       pgx.Tx
	sequence int64
}

const (
	// beginSnapshot checks which server it is, in the transaction, and returns the first
	// transaction that it does not see.
	beginSnapshot = `WITH m AS (` + sameServer + `) SELECT m.ok, pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM m`
	// snapshotIdle lets the server end a transaction that nobody goes on with; it is longer
	// than who reads may be kept waiting.
	snapshotIdle = `SET LOCAL idle_in_transaction_session_timeout = '5min'`
)

var dumpSnapshot = pageOf("key > $1", "$2", "$3") + ` ORDER BY key`

// Snapshot implements [store.Snapshots].
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	var begun *snapshot
	// Whoever goes away does not leave a transaction behind of which nobody knows.
	_, err := s.calls.Do(context.WithoutCancel(ctx), func(ctx context.Context) error {
		return s.knowing(ctx, func(id *identity) (err error) {
			begun, err = s.beginSnapshot(ctx, id)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return begun, nil
}

func (s *Store) beginSnapshot(ctx context.Context, id *identity) (*snapshot, error) {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return nil, classify(err, false)
	}
	x := &snapshot{s: s, conn: conn}
	ok := false
	x.tx, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err == nil {
		_, err = x.tx.Exec(ctx, snapshotIdle, s.sent(nil)...)
	}
	if err == nil {
		err = x.tx.QueryRow(ctx, beginSnapshot, s.sent(id.args())...).Scan(&ok, &x.sequence)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = errNoSchema
	case err != nil:
		err = classify(err, false)
	case !ok:
		err = remote.ErrMoved
	default:
		return x, nil
	}
	x.Close()
	return nil, err
}

func (x *snapshot) Sequence() uint64 { return uint64(x.sequence) }

func (x *snapshot) Dump(ctx context.Context, after []byte, limit int) (found []store.Op, err error) {
	if err := store.CheckList(nil, after, limit); err != nil {
		return nil, err
	}
	last := append([]byte{}, after...)
	_, err = x.s.calls.Do(context.WithoutCancel(ctx), func(ctx context.Context) error {
		rows, err := x.tx.Query(ctx, dumpSnapshot, x.s.sent([]any{last, limit, store.MaxValue})...)
		if err != nil {
			return classify(err, false)
		}
		defer rows.Close()
		for rows.Next() {
			var key, value []byte
			var ends *time.Time
			if err := rows.Scan(&key, &value, &ends); err != nil {
				return classify(err, false)
			}
			found = append(found, dumped(key, value, ends))
		}
		if err := rows.Err(); err != nil {
			return classify(err, false)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, ctx.Err()
}

func (x *snapshot) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), remote.CallTimeout)
	defer cancel()
	x.conn.Close(ctx) // the transaction has changed nothing, and ends with it
	return nil
}
