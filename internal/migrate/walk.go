package migrate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

const (
	// pageRows is how many rows are read at a time, of which the store bounds the bytes.
	pageRows = 500
	// mostBytes is how many bytes are written at a time, if not more in one value.
	mostBytes = 1 << 20
)

// Rows are what a database holds, but for the record that says whose it is, in the
// order of their keys, as [store.Movable] dumps them.
type Rows interface {
	Dump(ctx context.Context, after []byte, limit int) ([]store.Op, error)
}

// Copy makes the database hold the rows and nothing else, reads both again, and fails
// with [ErrDiffers] where they are not the same. Rows are read from the beginning twice.
func Copy(ctx context.Context, from Rows, to *records.Side, tell func(Progress)) (Report, error) {
	w := &walk{from: from, to: to, tell: tell, began: time.Now()}
	if err := w.copy(ctx); err != nil {
		return w.report, fmt.Errorf("copying: %w", err)
	}
	if err := w.compare(ctx); err != nil {
		return w.report, fmt.Errorf("comparing: %w", err)
	}
	return w.report, nil
}

// walk goes through both databases at the same time, in the order of their keys.
type walk struct {
	from   Rows
	to     *records.Side
	tell   func(Progress)
	report Report

	began time.Time

	ops  []store.Op // to be written
	size int        // of their values
}

// visitor is told of each key whether it is in the one, in the other, or in both.
type visitor struct {
	missing func(from *store.Op) error
	extra   func(to *store.Op) error
	both    func(from, to *store.Op) error
}

func (w *walk) each(ctx context.Context, doing string, v visitor) error {
	from, to := cursor{rows: w.from}, cursor{rows: w.to}
	p := Progress{Doing: doing}
	for n := 0; ; n++ {
		if n%pageRows == 0 && w.tell != nil {
			w.tell(p)
		}
		a, err := from.peek(ctx)
		if err != nil {
			return err
		}
		b, err := to.peek(ctx)
		if err != nil {
			return err
		}
		order := 0
		switch {
		case a == nil && b == nil:
			if p.Done = true; w.tell != nil {
				w.tell(p)
			}
			return nil
		case b == nil:
			order = -1
		case a == nil:
			order = 1
		default:
			order = bytes.Compare(a.Key, b.Key)
		}
		switch {
		case order < 0:
			err = v.missing(a)
		case order > 0:
			err = v.extra(b)
		default:
			err = v.both(a, b)
		}
		if err != nil {
			return err
		}
		if order <= 0 {
			p.Rows++
			p.Bytes += int64(len(a.Key) + len(a.Value))
			from.page = from.page[1:]
		}
		if order >= 0 {
			to.page = to.page[1:]
		}
	}
}

// cursor is a place in a database.
type cursor struct {
	rows  Rows
	page  []store.Op
	after []byte
	end   bool
}

// peek returns the next row; nil: there is none.
func (c *cursor) peek(ctx context.Context) (*store.Op, error) {
	if len(c.page) == 0 && !c.end {
		page, err := c.rows.Dump(ctx, c.after, pageRows)
		if err != nil {
			return nil, err
		}
		if c.page, c.end = page, len(page) == 0; !c.end {
			c.after = page[len(page)-1].Key
		}
	}
	if c.end {
		return nil, nil
	}
	return &c.page[0], nil
}

func hasExpired(op *store.Op) bool { return endsBefore(op, time.Now()) }

func endsBefore(op *store.Op, t time.Time) bool {
	return !op.Expires.IsZero() && op.Expires.Before(t)
}

// slack is how much later than in the one database a row may run out in its copy, if
// it does so soon: every engine rounds up.
const slack = time.Hour

// isSame reports whether a row is in both alike. Engines round when rows run out, up;
// so it is looked at whether they do.
func isSame(from, to *store.Op) bool {
	return bytes.Equal(from.Value, to.Value) && (!from.Expires.IsZero() || to.Expires.IsZero())
}

// copy writes what the copy lacks, and removes from it what is gone.
func (w *walk) copy(ctx context.Context) error {
	err := w.each(ctx, "copied", visitor{
		missing: func(from *store.Op) error {
			if hasExpired(from) {
				w.report.Expired++
				return nil
			}
			return w.write(ctx, *from)
		},
		extra: func(to *store.Op) error { return w.write(ctx, store.Op{Key: to.Key}) },
		both: func(from, to *store.Op) error {
			if isSame(from, to) {
				w.report.Found++
				return nil
			}
			return w.write(ctx, *from)
		},
	})
	if err != nil {
		return err
	}
	return w.flush(ctx)
}

func (w *walk) write(ctx context.Context, op store.Op) error {
	if len(w.ops) == store.MaxOps || w.size+len(op.Value) > mostBytes {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.ops, w.size = append(w.ops, op), w.size+len(op.Value)
	if op.Value != nil {
		w.report.Written++
	}
	return nil
}

func (w *walk) flush(ctx context.Context) error {
	if len(w.ops) == 0 {
		return nil
	}
	err := w.to.Apply(ctx, w.ops...)
	w.ops, w.size = w.ops[:0], 0
	return err
}

// summing makes a [Sum].
type summing struct {
	sum  Sum
	hash hash.Hash
}

// add adds a row: the lengths of its key and its value, in 8 bytes each, the most
// significant first, and both.
func (s *summing) add(op *store.Op) {
	var lengths [16]byte
	binary.BigEndian.PutUint64(lengths[:], uint64(len(op.Key)))
	binary.BigEndian.PutUint64(lengths[8:], uint64(len(op.Value)))
	s.hash.Write(lengths[:])
	s.hash.Write(op.Key)
	s.hash.Write(op.Value)
	s.sum.Rows++
	s.sum.Bytes += int64(len(op.Key) + len(op.Value))
}

func (s *summing) end() Sum {
	s.sum.Digest = [32]byte(s.hash.Sum(nil))
	return s.sum
}

// compare reads both again. What one of them has no more may have run out since it was
// copied, and counts for neither.
func (w *walk) compare(ctx context.Context) error {
	from, to := summing{hash: sha256.New()}, summing{hash: sha256.New()}
	different, meanwhile := 0, time.Since(w.began)
	err := w.each(ctx, "compared", visitor{
		missing: func(op *store.Op) error {
			if !hasExpired(op) {
				from.add(op)
				different++
			}
			return nil
		},
		extra: func(op *store.Op) error {
			if !endsBefore(op, time.Now().Add(slack+meanwhile)) {
				to.add(op)
				different++
			}
			return nil
		},
		both: func(a, b *store.Op) error {
			from.add(a)
			to.add(b)
			if !isSame(a, b) {
				different++
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	w.report.From, w.report.To = from.end(), to.end()
	if different > 0 || w.report.From != w.report.To {
		return fmt.Errorf("%w in %d rows: %d with SHA-256 %x, and %d with SHA-256 %x", ErrDiffers, different,
			w.report.From.Rows, w.report.From.Digest, w.report.To.Rows, w.report.To.Digest)
	}
	return nil
}
