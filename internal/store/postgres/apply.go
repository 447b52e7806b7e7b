package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// deadFor is how long a dead row stays before the sweeper removes it, far longer
// than any statement lasts: none that judged the row absent is under way any more.
const deadFor = `clock_timestamp() + interval '1 hour'`

// Statements are put together of a change, whose part w has a row where it took
// place, of tellNames, and of answer.
//
// Single ops. A new version is drawn after the row is locked: PostgreSQL evaluates
// SET anew for the state that it locked. Where a row is inserted there was none to
// lock, nor an older one within the hour.
const (
	answer = ` SELECT m.ok, EXISTS (SELECT FROM w) FROM m`

	put = `WITH m AS (` + sameServer + `), w AS (
		INSERT INTO step_up_kv AS k (key, value, version, dead, expires)
		SELECT $4, $5, nextval('step_up_version'), false, $6 FROM m WHERE m.ok
		ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, version = nextval('step_up_version'), dead = false, expires = EXCLUDED.expires`
	putWhatever = put + `
		RETURNING 1)`
	putNew = put + `
		WHERE k.dead
		RETURNING 1)`

	putOver = `WITH m AS (` + sameServer + `), w AS (
		UPDATE step_up_kv k SET value = $5, version = nextval('step_up_version'), expires = $6
		FROM m WHERE m.ok AND k.key = $4 AND k.version = $7 AND NOT k.dead
		RETURNING 1)`

	drop = `WITH m AS (` + sameServer + `), w AS (
		UPDATE step_up_kv k SET value = '', version = nextval('step_up_version'), dead = true, expires = ` + deadFor + `
		FROM m WHERE m.ok AND k.key = $4 AND NOT k.dead`
	dropWhatever = drop + `
		RETURNING 1)`
	dropOne = drop + ` AND k.version = $5
		RETURNING 1)`

	isAbsent = `WITH m AS (` + sameServer + `),
		w AS (SELECT FROM m WHERE NOT EXISTS (SELECT FROM step_up_kv k WHERE k.key = $4 AND NOT k.dead))`
)

// Several ops: lockAll makes every key have a row, and locks those that are there,
// in the order of the keys, so that two of them never wait for each other. An ON
// CONFLICT DO UPDATE locks also where its condition does not hold. applyAll then
// sees what the locked rows are, judges all conditions, and changes all or none.
const (
	lockAll = `WITH m AS (` + sameServer + `)
		INSERT INTO step_up_kv AS k (key, value, version, dead, expires)
		SELECT one.key, '', 0, true, ` + deadFor + ` FROM m, unnest($4::bytea[]) AS one (key) WHERE m.ok ORDER BY one.key
		ON CONFLICT (key) DO UPDATE SET dead = k.dead WHERE false`

	applyAll = `WITH m AS (` + sameServer + `),
		op AS (SELECT * FROM unnest($4::bytea[], $5::bytea[], $6::bigint[], $7::timestamptz[]) AS op (key, value, want, expires)),
		bad AS (SELECT FROM op JOIN step_up_kv k USING (key) WHERE op.want <> CASE WHEN k.dead THEN 0 ELSE k.version END),
		good AS (SELECT m.ok AND NOT EXISTS (SELECT FROM bad) AS all FROM m),
		changed AS (
			UPDATE step_up_kv k SET value = coalesce(op.value, ''), version = nextval('step_up_version'), dead = op.value IS NULL,
				expires = CASE WHEN op.value IS NULL THEN ` + deadFor + ` ELSE op.expires END
			FROM op, good WHERE good.all AND k.key = op.key AND NOT (op.value IS NULL AND k.dead)),
		w AS (SELECT FROM good WHERE good.all)`
)

// change is what an Apply is to do.
type change struct {
	// generation, where decided is true, is the one in which it was decided.
	generation int64
	decided    bool
	told       [][]byte
	ops        []store.Op
}

// Apply implements [store.Store].
func (s *Store) Apply(ctx context.Context, ops ...store.Op) error {
	return s.do(ctx, &change{ops: ops})
}

// ApplyIn implements [store.Shared].
func (s *Store) ApplyIn(ctx context.Context, generation uint64, told [][]byte, ops ...store.Op) error {
	return s.do(ctx, &change{generation: int64(generation), decided: true, told: told, ops: ops})
}

func (s *Store) do(ctx context.Context, c *change) error {
	if err := store.CheckOps(c.ops); err != nil {
		return err
	}
	if len(c.ops) == 0 {
		return nil
	}
	make := s.apply
	if c.joint() {
		make = s.applyJoint
	}
	if ctx.Done() != nil || c.joint() {
		c.ops = remote.Clone(c.ops) // the call may outlast its caller
		c.told = remote.CloneNames(c.told)
	}
	began := time.Now()
	interrupted, err := s.calls.Do(ctx, func(ctx context.Context) error { return make(ctx, c) })
	if interrupted {
		err = fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	s.Note(began, err)
	if len(c.told) > 0 && (err == nil || errors.Is(err, store.ErrUnknown)) {
		remote.Wake(s.telling)
	}
	return err
}

// apply makes one change.
func (s *Store) apply(ctx context.Context, c *change) error {
	return s.again(ctx, func(id *identity) error {
		if err := c.decide(id); err != nil {
			return err
		}
		var done bool
		err := s.changing(ctx, func(conn *pgx.Conn) pgx.Row {
			if len(c.ops) > 1 {
				return s.several(ctx, conn, id, c)
			}
			statement, args := single(id, &c.ops[0])
			statement, args = telling(statement, args, c.told)
			return conn.QueryRow(ctx, statement, s.sent(args)...)
		}, &done)
		if err == nil && !done && (len(c.ops) > 1 || c.ops[0].If != nil) {
			return store.ErrConflict
		}
		return err
	})
}

// again runs f for the server that is known, and once more where the server gave up
// one of two transactions that waited for each other.
func (s *Store) again(ctx context.Context, f func(*identity) error) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := s.knowing(ctx, f)
		if !errors.Is(err, errAgain) || pause > 500*time.Millisecond {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// decide reports whether the change may be made in the generation of the server. One
// without a generation of its own is of the one that it met first.
func (c *change) decide(id *identity) error {
	if c.decided && c.generation != id.generation {
		return store.ErrFenced
	}
	c.generation, c.decided = id.generation, true
	return nil
}

// changing sends a change and scans its answer, which begins with whether the server
// is the one that is known. Without an error it is known what became of the change.
func (s *Store) changing(ctx context.Context, send func(*pgx.Conn) pgx.Row, answer any) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return classify(err, false)
	}
	defer conn.Release()
	warned(conn.Conn())
	var same bool
	err = send(conn.Conn()).Scan(&same, answer)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errNoSchema
	case err != nil:
		return classify(err, true)
	case warned(conn.Conn()):
		return fmt.Errorf("%w: the server warned; a wait for a synchronous standby may have been given up", store.ErrUnknown)
	case !same:
		return remote.ErrMoved
	}
	return nil
}

// telling makes a statement of a change.
func telling(change string, args []any, told [][]byte) (string, []any) {
	if len(told) == 0 {
		return change + answer, args
	}
	return change + fmt.Sprintf(tellNames, len(args)+1) + answer, append(args, told)
}

// single returns the change for one op.
func single(id *identity, op *store.Op) (string, []any) {
	switch {
	case op.Value == nil && op.If == nil:
		return dropWhatever, id.args(op.Key)
	case op.Value == nil && *op.If == 0:
		return isAbsent, id.args(op.Key)
	case op.Value == nil:
		return dropOne, id.args(op.Key, int64(*op.If))
	case op.If == nil:
		return putWhatever, id.args(op.Key, op.Value, expires(op))
	case *op.If == 0:
		return putNew, id.args(op.Key, op.Value, expires(op))
	}
	return putOver, id.args(op.Key, op.Value, expires(op), int64(*op.If))
}

func expires(op *store.Op) *time.Time {
	if op.Expires.IsZero() || op.Value == nil {
		return nil
	}
	return &op.Expires
}

// several sends both statements for several ops at once, as one transaction.
func (s *Store) several(ctx context.Context, conn *pgx.Conn, id *identity, c *change) pgx.Row {
	columns := columnsOf(c.ops)
	var batch pgx.Batch
	batch.Queue(lockAll, id.args(columns[0])...)
	statement, args := telling(applyAll, id.args(columns...), c.told)
	batch.Queue(statement, args...)
	return &batched{conn.SendBatch(ctx, &batch)}
}

// columnsOf returns the keys, values, wanted versions and ends of ops, an array each.
func columnsOf(ops []store.Op) []any {
	keys, values := make([][]byte, len(ops)), make([][]byte, len(ops))
	wanted, ends := make([]*int64, len(ops)), make([]*time.Time, len(ops))
	for i := range ops {
		op := &ops[i]
		keys[i], values[i], ends[i] = op.Key, op.Value, expires(op)
		if op.If != nil {
			v := int64(*op.If)
			wanted[i] = &v
		}
	}
	return []any{keys, values, wanted, ends}
}

// batched is the answer of the last of two statements.
type batched struct{ results pgx.BatchResults }

func (b *batched) Scan(dest ...any) error {
	_, err := b.results.Exec()
	if err == nil {
		err = b.results.QueryRow().Scan(dest...)
	}
	return errors.Join(err, b.results.Close())
}
