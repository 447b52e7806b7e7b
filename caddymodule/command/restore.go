package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/internal/backup"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func restoreCommand() *cobra.Command {
	var in restoration
	var asJSON bool
	c := &cobra.Command{
		Use:   "restore FILE --config FILE [flags]",
		Short: "Makes a database of a backup",
		Long: `
Makes the database of a configuration out of a backup that 'caddy step-up backup' made.
The configuration names the key that the backup was made with, and a store, of any kind,
whose database must be empty. Gateways must be stopped. Run it as the user that Caddy
runs as, where the store is on this machine.

The whole backup is verified before anything is written. What was written is read again
and compared. Then everything is void that was issued before the backup and can be used
once: grants, challenges, held forms, invites, pending enrollments, sent codes.
Time-based grants end, codes of authenticator apps that may have been used are refused
for about a minute, and recovery codes until they are renewed. Whatever interrupts it,
no gateway serves what is incomplete, and the same command begins anew.

What was taken away since the backup is back in it. Name the audit log from before the
backup until now by --audit: what it shows was revoked, reset, removed or suspended is
so again, and the command lists what you have to do yourself. The log is the one that
Caddy writes in JSON; it may be compressed, - is the standard input, and the flag may be
repeated. Without it, or if it begins after the backup, nobody knows what was taken
away: API keys are suspended until 'caddy step-up keys enable', and users'
authenticators until 'caddy step-up fence confirm'.`,
		Example: `  caddy step-up restore step_up.backup --config /etc/caddy/Caddyfile --audit /var/log/caddy/step_up.log
  zcat step_up-*.log.gz | caddy step-up restore step_up.backup --config /etc/caddy/Caddyfile --audit -`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVarP(&in.config, "config", "c", "", "The configuration file; default: the Caddyfile here")
	c.Flags().StringVarP(&in.adapter, "adapter", "a", "", "The name of the adapter for the configuration file")
	c.Flags().StringArrayVar(&in.audits, "audit", nil, "The audit log since before the backup; may be repeated")
	c.Flags().BoolVar(&in.trustCodes, "codes", false, "Accept recovery codes of before, though some may have been used since")
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, stop := interruptible(c)
		defer stop()
		c.SilenceUsage = true
		in.file, in.progress = args[0], progress{to: c.ErrOrStderr()}
		if err := in.log.open(c.InOrStdin(), in.audits); err != nil {
			return err
		}
		done, err := in.run(ctx)
		in.progress.end()
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.OutOrStdout(), done)
		}
		done.write(c.OutOrStdout(), &in)
		return nil
	}
	return c
}

// restoration is what the arguments say.
type restoration struct {
	file, config, adapter string
	audits                []string
	trustCodes            bool
	log                   auditLines
	progress              progress
}

// restored is what became of it.
type restored struct {
	backedUp
	To      string `json:"to"`
	Written int64  `json:"written"`
	Expired int64  `json:"expired"` // left, since they had run out
	// Known tells that the audit log was given, and reaches back before the backup. Else
	// API keys are suspended, and Waiting users' authenticators.
	Known   bool                   `json:"known"`
	Missing string                 `json:"missing,omitempty"` // why not
	Waiting int                    `json:"waiting,omitempty"`
	Redone  []adminapi.RedoneEvent `json:"redone"`
	// OldMark is where a mark was moved to that was of a database that is gone.
	OldMark string  `json:"old_mark,omitempty"`
	Seconds float64 `json:"seconds"`
}

func (in *restoration) run(ctx context.Context) (out restored, err error) {
	began := time.Now()
	if in.file == "-" {
		return out, errors.New("a backup is read several times: save it to a file, and name that")
	}
	f, err := os.Open(in.file)
	if err != nil {
		return out, fmt.Errorf("opening the backup: %w", err)
	}
	defer f.Close() // it is only read
	d, err := loadDatabase(in.config, in.adapter, "--config")
	if err != nil {
		return out, err
	}
	// Before the store is touched: opening it makes a directory, and tables.
	tell := func(p backup.Progress) { in.progress.tell(migrate.Progress(p)) }
	v, err := backup.Verify(ctx, f, d.Key, tell)
	if err != nil {
		return out, fmt.Errorf("nothing was changed: %w", err)
	}
	out.of(in.file, v.Head, v.Sum)
	out.To, out.Opened = d.Name, true
	out.Missing = in.log.missing(v.Head.Moment)
	out.Known = out.Missing == ""
	if err := prepare(ctx, d.engine); err != nil {
		return out, fmt.Errorf("preparing %s: %w", d.Name, err)
	}
	if out.OldMark, err = d.openEmpty(ctx); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	copied, err := backup.Restore(ctx, v, backup.Options{
		File: f, Name: in.file, To: d.Database, Tell: tell, Known: out.Known, TrustCodes: in.trustCodes,
		Mend: func(db *records.DB) error {
			redone, waiting, err := ceremony.Restored(ctx, db, ceremony.Restoration{
				Known: out.Known, TrustCodes: in.trustCodes, Lost: adminapi.EventsOf(in.log.Events), Now: time.Now(),
			})
			out.Redone, out.Waiting = adminapi.RedoneOf(redone), waiting
			return err
		},
	})
	if err != nil {
		return out, err
	}
	out.Written, out.Expired = copied.Written, copied.Expired
	out.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	return out, nil
}

// openEmpty opens the store to restore into. Where its database is gone and the mark of
// it is left, the mark is moved away, and its new name returned.
func (d *openedDatabase) openEmpty(ctx context.Context) (oldMark string, err error) {
	err = d.open(ctx)
	marked, ok := d.engine.(interface{ KeptMark() string })
	if !errors.Is(err, store.ErrMissing) || !ok || marked.KeptMark() == "" {
		return "", err
	}
	oldMark = marked.KeptMark() + time.Now().UTC().Format(".20060102T150405")
	if err := os.Rename(marked.KeptMark(), oldMark); err != nil {
		return "", fmt.Errorf("moving the mark of the database away that is gone: %w", err)
	}
	return oldMark, d.open(ctx)
}

func (out *restored) write(w io.Writer, in *restoration) {
	fmt.Fprintf(w, "%s is restored as it was on %s: %d rows, %s, in %.1f s", out.To, out.Moment.Local().Format("2006-01-02 15:04:05 MST"), out.Rows-out.Expired, size(out.Bytes), out.Seconds)
	if out.Expired > 0 {
		fmt.Fprintf(w, "; %d that had run out were left", out.Expired)
	}
	fmt.Fprintln(w, ".")
	if out.OldMark != "" {
		fmt.Fprintf(w, "The mark of the database that is gone was moved to %s; it is not needed any more.\n", out.OldMark)
	}
	fmt.Fprintln(w, "All grants, challenges, held forms, invites, pending enrollments and sent codes of before are void. Codes of authenticator apps are accepted from about a minute from now.")
	if !in.trustCodes {
		fmt.Fprintln(w, "Recovery codes of before are not accepted until they are renewed, or you trust them: caddy step-up fence accept --codes")
	}
	writeRedone(w, out.Redone, &in.log)
	switch {
	case out.Known && len(out.Redone) == 0:
		fmt.Fprintln(w, "The audit log shows nothing that the backup does not know.")
	case out.Known:
	default:
		fmt.Fprintf(w, "%s It is not known what was taken away since the backup: revoked keys, users who were reset and removed authenticators are back. So API keys are suspended: look at `caddy step-up keys list`, and enable those that are good by `caddy step-up keys enable ID`.\n", out.Missing)
		fmt.Fprintf(w, "The authenticators of %d users are suspended: reset those who lost theirs, and confirm the others by `caddy step-up fence confirm USER...` or `--all`.\n", out.Waiting)
	}
	fmt.Fprintln(w, "Start the gateway. If what was restored from is still there somewhere, never start it again.")
}
