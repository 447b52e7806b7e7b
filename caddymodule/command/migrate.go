package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func migrateCommand() *cobra.Command {
	var in migration
	var asJSON bool
	c := &cobra.Command{
		Use:   "migrate --from FILE --to FILE [flags]",
		Short: "Moves a database to another store",
		Long: `
Moves everything that a gateway keeps from the store of one configuration to that of
another: from badger to postgres or etcd, and from any of them to any other, or to
another place. Both configurations must name the same key, since what is stored is
moved sealed as it is. Users, grants, held requests and API keys are afterwards what
they were.

All gateways must be stopped, on all machines; a database that is in use is refused.
The new database must be empty: its tables are made, and 'caddy step-up init' is not
needed. Run it as the user that Caddy runs as, where one of the stores is on this
machine.

From before the first row is copied until the end, neither database can be served, and
afterwards the new one only: a gateway that is started on the old one refuses, and
says where it went. At the end both are read again, and compared by count and SHA-256.
Whatever interrupts it, the same command goes on from there, and --abandon goes back:
it empties the new database and lets the old one be served again. With --abandon,
--to may be left out, if the new database is out of reach; it is never served then.

To go back later, move in the other direction, into an empty database. The exit status
is 0 if everything was moved.`,
		Example: `  caddy step-up migrate --from Caddyfile.old --to Caddyfile
  caddy step-up migrate --from Caddyfile.old --to Caddyfile --abandon`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&in.from, "from", "", "The configuration file with the store to move from")
	c.Flags().StringVar(&in.to, "to", "", "The configuration file with the store to move to")
	c.Flags().StringVarP(&in.adapter, "adapter", "a", "", "The name of the adapter for both configuration files")
	c.Flags().BoolVar(&in.abandon, "abandon", false, "Give up a move that is not complete")
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		c.SilenceUsage = true
		in.progress = progress{to: c.ErrOrStderr()}
		report, err := in.run(ctx)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.OutOrStdout(), report)
		}
		report.write(c.OutOrStdout(), &in)
		return nil
	}
	return c
}

// migration is what the flags say.
type migration struct {
	from, to, adapter string
	abandon           bool
	progress          progress
}

// migrated is what became of it.
type migrated struct {
	From    string  `json:"from"`
	To      string  `json:"to,omitempty"`
	Rows    int64   `json:"rows"`
	Bytes   int64   `json:"bytes"`
	SHA256  string  `json:"sha256,omitempty"`
	Written int64   `json:"written"` // by this run
	Found   int64   `json:"found"`   // written by an earlier one
	Expired int64   `json:"expired"` // left, since they had run out
	Seconds float64 `json:"seconds"`
	// Before tells that an earlier run had done it all.
	Before bool `json:"before,omitempty"`
	// Abandoned tells that the old database is served again.
	Abandoned bool `json:"abandoned,omitempty"`
}

func (in *migration) run(ctx context.Context) (out migrated, err error) {
	switch {
	case in.from == "" || in.to == "" && !in.abandon:
		return out, errors.New("name the configuration with the store to move from by --from, and the one with the store to move to by --to")
	case in.from == in.to:
		return out, errors.New("--from and --to are the same file: keep the old configuration in a file of its own")
	}
	began := time.Now()
	from, err := openDatabase(ctx, in.from, in.adapter, "--from")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	o := migrate.Options{From: from.Database, Tell: in.progress.tell}
	if in.to != "" {
		to, err := in.openTo(ctx, from)
		if err != nil {
			return out, err
		}
		defer func() { err = errors.Join(err, to.close()) }()
		o.To = to.Database
	}
	out.From, out.To, out.Abandoned = o.From.Name, o.To.Name, in.abandon
	if in.abandon {
		return out, migrate.Abandon(ctx, o)
	}
	report, err := migrate.Run(ctx, o)
	if err != nil {
		return out, err
	}
	out.Written, out.Found, out.Expired, out.Before = report.Written, report.Found, report.Expired, report.Before
	if out.Rows, out.Bytes = report.To.Rows, report.To.Bytes; !out.Before {
		out.SHA256 = fmt.Sprintf("%x", report.To.Digest)
	}
	out.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	return out, nil
}

// openTo opens the store to move to, which may have no database yet.
func (in *migration) openTo(ctx context.Context, from *openedDatabase) (*openedDatabase, error) {
	to, err := loadDatabase(in.to, in.adapter, "--to")
	if err != nil {
		return nil, err
	}
	if to.Name == from.Name {
		return nil, fmt.Errorf("both configurations have the same store: %s", from.Name)
	}
	if !to.Key.Equal(from.Key) {
		return nil, fmt.Errorf("%s has another key than %s, and what is stored opens with its own alone: give both the same", in.to, in.from)
	}
	if !in.abandon {
		if err := prepare(ctx, to.engine); err != nil {
			return nil, fmt.Errorf("%s: preparing %s: %w", in.to, to.Name, err)
		}
	}
	return to, to.open(ctx)
}

// openedDatabase is the database of a configuration file.
type openedDatabase struct {
	migrate.Database
	file   string
	engine store.Engine
	store  store.Opening
}

func loadDatabase(file, adapter, flag string) (*openedDatabase, error) {
	app, engine, err := loadStore(file, adapter, flag)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, file, err)
	}
	d := &openedDatabase{file: file, engine: engine}
	d.Name = nameOf(engine)
	keys, err := database.NewKeySource(app.Key, app.KeyFile, engine)
	if err == nil {
		d.Key, err = keys.Load()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// openDatabase opens the database of a configuration that has one.
func openDatabase(ctx context.Context, file, adapter, flag string) (*openedDatabase, error) {
	d, err := loadDatabase(file, adapter, flag)
	if err != nil {
		return nil, err
	}
	if e, ok := d.engine.(interface{ Exists() bool }); ok && !e.Exists() {
		return nil, fmt.Errorf("%s: there is no database in %s", file, d.Name)
	}
	return d, d.open(ctx)
}

func (d *openedDatabase) open(ctx context.Context) error {
	s, err := d.engine.Start()
	if err == nil {
		if err = firstTry(ctx, s); err != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%s: a gateway uses the database in %s: stop it first", d.file, d.Name)
	}
	if err != nil {
		return fmt.Errorf("%s: opening the database in %s: %w", d.file, d.Name, err)
	}
	d.store, d.Store = s, s
	return nil
}

// unlockPatience is how long a process that was ended may take to let go of its
// directory.
const unlockPatience = 3 * time.Second

func firstTry(ctx context.Context, s store.Opening) error {
	err := s.FirstTry(ctx)
	if !errors.Is(err, store.ErrLocked) {
		return err
	}
	select {
	case <-s.InUse():
		return nil
	case <-time.After(unlockPatience):
	case <-ctx.Done():
	}
	return err
}

func (d *openedDatabase) close() error { return d.store.Close() }

func (m *migrated) write(w io.Writer, in *migration) {
	switch {
	case m.Abandoned && m.To == "":
		fmt.Fprintf(w, "The move was given up: %s is served again by gateways that are started with %s. The copy in the other database was left as it is; it is never served.\n", m.From, in.from)
	case m.Abandoned:
		fmt.Fprintf(w, "The move was given up: %s is served again by gateways that are started with %s, and %s is empty.\n", m.From, in.from, m.To)
	case m.Before:
		fmt.Fprintf(w, "There was nothing left to do: %s was moved to %s before. Start the gateways with %s.\n", m.From, m.To, in.to)
	default:
		fmt.Fprintf(w, "Moved %d rows (%s) from %s to %s in %.1f s", m.Rows, size(m.Bytes), m.From, m.To, m.Seconds)
		if m.Found > 0 {
			fmt.Fprintf(w, ", %d of them in an earlier run", m.Found)
		}
		if m.Expired > 0 {
			fmt.Fprintf(w, "; %d that had run out were left", m.Expired)
		}
		fmt.Fprintf(w, ".\nBoth were read again, and have the SHA-256 %s.\n", m.SHA256)
		fmt.Fprintf(w, "Start the gateways with %s. What is in %s is not served any more: keep it until there is a backup of the new database, and then remove it, with its backups.\n", in.to, m.From)
		fmt.Fprintf(w, "To go back, move it in the other direction, into an empty database.\n")
	}
}

// progress shows how far a migration is: in one line of a terminal, else in a line now
// and then.
type progress struct {
	to      io.Writer
	doing   string
	began   time.Time
	shown   time.Time
	pending bool // the line on the terminal has no end yet
}

func (p *progress) tell(now migrate.Progress) {
	every := 10 * time.Second
	if onTerminal(p.to) {
		every = 200 * time.Millisecond
	}
	if now.Doing != p.doing {
		p.end()
		p.doing, p.began, p.shown = now.Doing, time.Now(), time.Now()
	}
	if time.Since(p.shown) < every && !now.Done {
		return
	}
	p.shown = time.Now()
	line := fmt.Sprintf("%s %d rows, %s, %.0f rows/s", now.Doing, now.Rows, size(now.Bytes), float64(now.Rows)/max(time.Since(p.began).Seconds(), 0.001))
	if !onTerminal(p.to) {
		fmt.Fprintln(p.to, line)
		return
	}
	fmt.Fprintf(p.to, "\r%-78s", line)
	if p.pending = true; now.Done {
		p.end()
	}
}

func (p *progress) end() {
	if p.pending {
		fmt.Fprintln(p.to)
	}
	p.pending = false
}

func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// size writes a number of bytes.
func size(bytes int64) string {
	switch {
	case bytes >= 10<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 10<<10:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
