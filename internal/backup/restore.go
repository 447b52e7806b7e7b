package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Options are what to restore. Tell, if not nil, is called now and then.
type Options struct {
	// File is the backup that was verified, which is read twice, and Name what it is called.
	File io.ReadSeeker
	Name string
	// To is the database to make, of which Key is the one that the backup was verified with.
	To   migrate.Database
	Tell func(Progress)
	// Known, TrustCodes and Mend are those of [records.Restoration].
	Known, TrustCodes bool
	Mend              func(*records.DB) error
}

// Restore makes a database in an empty store of a backup that was verified with its key.
// Whatever ends it leaves a database that is refused to be served, and it may be done
// again. It returns what was written, and what an earlier run had written.
func Restore(ctx context.Context, v Verified, o Options) (copied migrate.Report, err error) {
	if !v.Opened {
		return copied, errors.New("a backup is not restored before it was verified with its key")
	}
	to, err := target(ctx, o, v)
	if err != nil {
		return copied, err
	}
	tell := func(p migrate.Progress) {
		if o.Tell != nil {
			o.Tell(Progress(p))
		}
	}
	if copied, err = migrate.Copy(ctx, &rows{file: o.File, digest: v.Sum.Digest}, to, tell); err == nil {
		err = to.Restored(ctx, v.source, records.Restoration{
			Now: time.Now(), From: records.BackedUp{Moment: v.Head.Moment, Rows: v.Sum.Rows, SHA256: v.Sum.Digest[:]},
			Known: o.Known, TrustCodes: o.TrustCodes, Mend: o.Mend,
		})
	}
	if err == nil {
		// As a gateway does at its start.
		_, err = records.Open(ctx, o.To.Store, o.To.Key)
	}
	if err != nil {
		return copied, fmt.Errorf("%w; %s is incomplete, and no gateway serves it: run the same command again", err, o.To.Name)
	}
	return copied, nil
}

func rewind(f io.Seeker) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading the backup from its beginning, which must be a file: %w", err)
	}
	return nil
}

// target returns the database to restore into, marked as incomplete. It refuses what has
// something in it that is not what an earlier run left.
func target(ctx context.Context, o Options, v Verified) (*records.Side, error) {
	x, err := records.OpenSide(ctx, o.To.Store, o.To.Key)
	switch {
	case errors.Is(err, records.ErrNoData):
		x = nil
	case errors.Is(err, records.ErrWrongKey), errors.Is(err, records.ErrCorrupt):
		return nil, notEmpty(o, err)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", o.To.Name, err)
	case x.Move() == nil:
		return nil, notEmpty(o, errors.New("there is a database in it"))
	case x.Move().Stage != records.Restoring:
		return nil, notEmpty(o, x.Refusal())
	}
	if shared, ok := o.To.Store.(store.Shared); ok {
		n, err := shared.Others(ctx)
		if err != nil {
			return nil, fmt.Errorf("looking who uses %s: %w", o.To.Name, err)
		}
		if n > 0 {
			return nil, fmt.Errorf("%s is %w by %d gateways or commands: stop all of them first, on all machines; nothing was changed", o.To.Name, ErrInUse, n)
		}
	}
	if x != nil {
		return x, x.Take(ctx)
	}
	return records.NewRestored(ctx, o.To.Store, v.source, records.Move{
		ID: fmt.Sprintf("%x", v.Sum.Digest[:8]), Stage: records.Restoring,
		Other: fmt.Sprintf("%s of %s", o.Name, v.Head.Moment.UTC().Format("2006-01-02 15:04:05 UTC")), At: time.Now(),
	})
}

func notEmpty(o Options, why error) error {
	return fmt.Errorf("%s is %w, and a backup is restored into an empty database: %w; nothing was changed. "+
		"Name another directory, database or prefix in the configuration, or move what is there away first", o.To.Name, ErrNotEmpty, why)
}

// rows are those of a backup, for [migrate.Copy], in pages that begin where the one
// before ended.
type rows struct {
	file   io.ReadSeeker
	digest [32]byte // of what was verified
	in     *Reader
}

// Dump implements [migrate.Rows].
func (x *rows) Dump(_ context.Context, after []byte, limit int) (page []store.Op, err error) {
	if len(after) == 0 {
		if err := rewind(x.file); err != nil {
			return nil, err
		}
		if x.in, err = NewReader(x.file); err != nil {
			return nil, err
		}
	}
	for size := 0; len(page) < limit && size < mostPage; {
		op, err := x.in.Next()
		switch {
		case errors.Is(err, io.EOF) && x.in.sum.Digest == x.digest:
			return page, nil
		case errors.Is(err, io.EOF):
			err = fmt.Errorf("%w: it changed since it was verified", ErrAltered)
		}
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(op.Key, records.MetaKey()) {
			page = append(page, op)
			size += len(op.Value)
		}
	}
	return page, nil
}

// mostPage is how many bytes the values of a page come to, if not more in one.
const mostPage = 1 << 20
