package command

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/internal/audit"
)

func auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Verifies audit logs, and erases a user's lines in them",
		Long: `
Works on the files that 'audit { file PATH }' of the global options writes. The running
gateway is not asked.`,
		Example: `  caddy step-up audit verify /var/log/caddy/step_up_audit.jsonl
  caddy step-up audit erase --user alice /var/log/caddy/step_up_audit.jsonl.1`,
	}
	c.AddCommand(auditVerifyCommand(), auditEraseCommand())
	return group(c)
}

// verified is the answer of `audit verify`.
type verified struct {
	audit.Report
	// File is where the fault is.
	File string `json:"file,omitempty"`
}

func auditVerifyCommand() *cobra.Command {
	var asJSON bool
	var heads []string
	c := &cobra.Command{
		Use:   "verify FILE... [flags]",
		Short: "Verifies the chain of an audit log",
		Long: `
Verifies that no line of an audit log was altered, taken out, put in or moved, and
reports the first fault with its line. Several files are read in the order in which
they are named, the oldest first; they may be compressed by gzip, and - is the standard
input. The exit status is 1 if there is a fault.

A chain shows nothing of lines that were cut off at its end, and whoever can write the
file can make a whole chain of their own. Name a head that you know from elsewhere by
--head, in the form that this command and /step_up/health write: it must be in the
log. It may be repeated.`,
		Example: `  caddy step-up audit verify audit.jsonl.2.gz audit.jsonl.1 audit.jsonl
  caddy step-up audit verify --head 0f…:1523:Kx… audit.jsonl`,
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.Flags().StringArrayVar(&heads, "head", nil, "A head that must be in the log: CHAIN:NUMBER:HASH; may be repeated")
	c.RunE = func(c *cobra.Command, names []string) error {
		var known []audit.Head
		for _, text := range heads {
			h, err := audit.ParseHead(text)
			if err != nil {
				return fmt.Errorf("--head: %w", err)
			}
			known = append(known, h)
		}
		logs, err := openLogs(c.InOrStdin(), names)
		if err != nil {
			return err
		}
		report, err := audit.Verify(logs, known...)
		for _, log := range logs {
			if f, ok := log.(*os.File); ok {
				f.Close() // it was only read
			}
		}
		if err != nil {
			return err
		}
		out := verified{Report: report}
		if report.Fault != nil {
			out.File = names[report.Fault.Input]
		}
		if asJSON {
			err = writeJSON(c.OutOrStdout(), out)
		} else {
			writeVerified(c.OutOrStdout(), out)
		}
		if report.Fault != nil && err == nil {
			c.SilenceErrors = true // the report says it
			err = errors.New("the audit log has a fault")
		}
		return err
	}
	return c
}

func openLogs(stdin io.Reader, names []string) ([]io.Reader, error) {
	var logs []io.Reader
	for _, name := range names {
		if name == "-" {
			logs = append(logs, stdin)
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("opening audit log: %w", err)
		}
		logs = append(logs, f)
	}
	return logs, nil
}

func writeVerified(w io.Writer, v verified) {
	if f := v.Fault; f != nil && f.Line == 0 {
		fmt.Fprintf(w, "Fault, %s: %s.\n", f.Kind, f.Detail)
	} else if f != nil {
		fmt.Fprintf(w, "Fault, %s: %s, line %d: %s.\n", f.Kind, plain(v.File), f.Line, f.Detail)
	}
	fmt.Fprintf(w, "%d lines read", v.Lines)
	if v.Last.Seq > 0 {
		fmt.Fprintf(w, "; lines %d to %d of chain %s follow each other", v.First.Seq, v.Last.Seq, v.Last.Chain)
	}
	fmt.Fprintln(w, ".")
	if v.First.Seq > 1 {
		fmt.Fprintf(w, "What came before line %d is not in these files.\n", v.First.Seq)
	}
	for _, n := range []struct {
		count int
		text  string
	}{
		{v.Erased, "lines were erased: what they said is not known"},
		{v.Interrupted, "texts are lines that were interrupted, as the gateway found and recorded"},
		{v.Lost, "lines could not be written, as the gateway recorded"},
	} {
		if n.count > 0 {
			fmt.Fprintf(w, "%d %s.\n", n.count, n.text)
		}
	}
	if v.Last.Seq > 0 && v.Fault == nil {
		fmt.Fprintf(w, "The head is %s\n", v.Last)
	}
}

func auditEraseCommand() *cobra.Command {
	var who audit.Person
	var asJSON bool
	c := &cobra.Command{
		Use:   "erase --user USER FILE [flags]",
		Short: "Erases what an audit log says of a user",
		Long: `
Erases the lines of a user from a file of the audit log: those that are about them, and
those of what they did. What is left of a line is its place in the chain, which still
verifies. The file is replaced at once or not at all.

A file that the gateway writes to is refused: rotate it first. Compressed files are
refused too. Copies that syslog, Caddy's log or a backup have are not touched.`,
		Example: `  mv audit.jsonl audit.jsonl.1 && sleep 2
  caddy step-up audit erase --user alice --tenant staff audit.jsonl.1`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&who.User, "user", "", "The user, as the log writes them; required")
	c.Flags().StringVarP(&who.Tenant, "tenant", "t", "", "The user's tenant; default: every tenant")
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.RunE = func(c *cobra.Command, names []string) error {
		if who.User == "" {
			return errors.New("say whose lines to erase: --user NAME")
		}
		done, err := audit.EraseFile(names[0], who)
		if errors.Is(err, audit.ErrInUse) {
			return fmt.Errorf("the gateway writes to %s: rotate it first (move it away, and wait two seconds), then erase in the file that was moved", names[0])
		}
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.OutOrStdout(), done)
		}
		fmt.Fprintf(c.OutOrStdout(), "%d lines were erased.\n", done.Entries)
		if done.Unreadable > 0 {
			fmt.Fprintf(c.OutOrStdout(), "%d texts that are no lines were blanked: it cannot be told whose they were.\n", done.Unreadable)
		}
		return nil
	}
	return c
}
