package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/internal/backup"
	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
)

func backupCommand() *cobra.Command {
	var r remote
	var force bool
	c := &cobra.Command{
		Use:   "backup FILE [flags]",
		Short: "Keeps the database, as it is now, in a file",
		Long: `
Writes everything that the running gateway keeps, as it is at one moment, to a file:
users, authenticators, recovery codes, grants, held requests and API keys. The gateway
goes on meanwhile. What was acknowledged before the moment is in it, whatever the
store: badger, postgres or etcd.

What is stored is in the file sealed as it is; it is worth nothing without the key, and
the key is not in it. Keep a copy of the key elsewhere. The file has mode 0600, and gets
its name once it is whole and on the disk. One that exists is replaced with --force
alone. FILE may be -, for the standard output: what was cut off there is told by
'backup verify', and refused by 'restore'.

The gateway notes the time: 'GET /step_up/health' and the metric
step_up_backup_age_seconds tell it.`,
		Example: `  caddy step-up backup /var/backups/step_up-$(date +%F).backup
  caddy step-up backup - | ssh backup@vault.example.com 'cat > step_up.backup'`,
		Args: cobra.ExactArgs(1),
	}
	r.flags(c)
	c.Flags().BoolVar(&force, "force", false, "Replace the file if it exists")
	c.AddCommand(backupVerifyCommand())
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		c.SilenceUsage = true
		made, err := r.backup(ctx, c, args[0], force)
		if err != nil {
			return err
		}
		if args[0] == "-" {
			if r.json {
				return writeJSON(c.ErrOrStderr(), made)
			}
			made.write(c.ErrOrStderr())
			return nil
		}
		return r.show(c, made, made.write)
	}
	return c
}

// interruptible is the command's context, which ends when it is interrupted.
func interruptible(c *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// backedUp is what is known of a backup.
type backedUp struct {
	File string `json:"file"`
	backup.Head
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Opened tells that the key was given, and that each row opens with it.
	Opened bool `json:"opened"`
	// Warning is a sentence, or empty.
	Warning string `json:"warning,omitempty"`
}

func (b *backedUp) of(file string, h backup.Head, s backup.Sum) {
	b.File, b.Head, b.Rows, b.Bytes, b.SHA256 = file, h, s.Rows, s.Bytes, fmt.Sprintf("%x", s.Digest)
}

func (b *backedUp) write(w io.Writer) {
	fmt.Fprintf(w, "%s has the database as it was on %s: %d rows, %s, SHA-256 %s.\n", b.File, b.Moment.Local().Format("2006-01-02 15:04:05 MST"), b.Rows, size(b.Bytes), b.SHA256)
	fmt.Fprintf(w, "To restore it takes the key with the id %s, which is not in it.\n", b.KeyID)
	if b.Warning != "" {
		fmt.Fprintln(w, b.Warning)
	}
}

// backup takes a backup into a file.
func (r *remote) backup(ctx context.Context, c *cobra.Command, file string, force bool) (made backedUp, err error) {
	if file == "-" && onTerminal(c.OutOrStdout()) {
		return made, errors.New("a backup is no text: send the standard output to a file or a program")
	}
	address, err := r.adminAddress()
	if err != nil {
		return made, err
	}
	var to target
	if file == "-" {
		to = stream{c.OutOrStdout()}
	} else if to, err = newFile(file, force); err != nil {
		return made, err
	}
	defer to.discard()
	resp, err := request(address, "backup", "{}")
	if err != nil {
		return made, remoteError(err)
	}
	defer resp.Body.Close()
	defer context.AfterFunc(ctx, func() { resp.Body.Close() })()
	in, err := backup.NewReader(io.TeeReader(resp.Body, to))
	p := progress{to: c.ErrOrStderr()}
	for err == nil {
		if _, err = in.Next(); in.Sum().Rows%1000 == 0 || err != nil {
			p.tell(migrate.Progress{Doing: "saved", Rows: in.Sum().Rows, Bytes: in.Sum().Bytes, Done: err != nil})
		}
	}
	if ctx.Err() != nil {
		return made, errors.New("interrupted; no backup was made")
	}
	if !errors.Is(err, io.EOF) {
		return made, fmt.Errorf("no backup was made: %w", err)
	}
	if err := to.keep(); err != nil {
		return made, fmt.Errorf("no backup was made: %w", err)
	}
	made.of(file, in.Head, in.Sum())
	done := adminapi.BackupDone{Moment: made.Moment, Rows: made.Rows, SHA256: made.SHA256}
	if err := r.call("backup/done", done, &adminapi.BackupDone{}); err != nil {
		made.Warning = "The backup is whole, but the gateway could not note it, so its metric and health tell of an earlier one: " + err.Error()
	}
	return made, nil
}

func backupVerifyCommand() *cobra.Command {
	var config, adapter string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify FILE [flags]",
		Short: "Checks whether a backup is whole",
		Long: `
Reads a backup to its end, without a gateway: whether it is whole, and what is in it.
With --config, the key that the configuration names is tried too: whether somebody who
had it made the backup, and whether each row opens. Without it, damage is found, and
nobody can tell whether somebody altered the backup on purpose.

FILE may be -, for the standard input. The exit status is 0 only for a whole backup.`,
		Example: `  caddy step-up backup verify step_up.backup --config /etc/caddy/Caddyfile
  ssh backup@vault.example.com cat step_up.backup | caddy step-up backup verify -`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVarP(&config, "config", "c", "", "The configuration file that names the key; default: no key is tried")
	c.Flags().StringVarP(&adapter, "adapter", "a", "", "The name of the adapter for the configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		c.SilenceUsage = true
		var d openedDatabase
		if config != "" {
			loaded, err := loadDatabase(config, adapter, "--config")
			if err != nil {
				return err
			}
			d = *loaded
		}
		in := c.InOrStdin()
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("opening the backup: %w", err)
			}
			defer f.Close() // it was only read
			in = f
		}
		p := progress{to: c.ErrOrStderr()}
		v, err := backup.Verify(ctx, in, d.Key, func(now backup.Progress) { p.tell(migrate.Progress(now)) })
		p.end()
		if err != nil {
			return err
		}
		found := backedUp{Opened: v.Opened}
		found.of(args[0], v.Head, v.Sum)
		if asJSON {
			return writeJSON(c.OutOrStdout(), found)
		}
		found.write(c.OutOrStdout())
		if v.Opened {
			fmt.Fprintln(c.OutOrStdout(), "It was made with the key, and each row opens.")
		} else {
			fmt.Fprintln(c.OutOrStdout(), "It is not damaged. Whether it was altered on purpose, or opens, takes the key to know: name the configuration by --config.")
		}
		return nil
	}
	return c
}
