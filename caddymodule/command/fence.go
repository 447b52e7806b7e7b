package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
)

func fenceCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "fence [flags]",
		Short: "Tells whether the database is an older copy, and accepts one",
		Long: `
Tells whether the gateway has found that its database is an older copy of itself: one
that was restored or copied back, in which spent grants are unspent and revoked keys
are back. While it is one, whatever is protected is refused with 503 store_rolled_back.`,
		Example: `  caddy step-up fence
  caddy step-up fence accept --audit /var/log/caddy/step_up.log`,
		Args: cobra.NoArgs,
	}
	r.flags(c)
	c.AddCommand(fenceAcceptCommand(), fenceConfirmCommand())
	return asking(c, &r, "fence", func([]string) struct{} { return struct{}{} }, writeFence)
}

func writeFence(w io.Writer, f adminapi.FenceAnswer) {
	switch f.Kind {
	case "rolled_back":
		fmt.Fprintf(w, "The database is an older copy: %s.\nWhatever is protected is refused until it is accepted: caddy step-up fence accept --audit FILE\n", strings.TrimSuffix(f.Reason, "."))
	case "unsure":
		fmt.Fprintf(w, "It cannot be told whether the database is an older copy: %s.\n", strings.TrimSuffix(f.Reason, "."))
	default:
		fmt.Fprintln(w, "The database is the latest that is known: no older copy of it waits to be accepted.")
	}
	fmt.Fprintf(w, "Generation %d", f.Generation)
	if f.Since != nil {
		fmt.Fprintf(w, ", which began on %s because: %s", f.Since.Local().Format(minute), strings.TrimSuffix(f.Cause, "."))
	}
	fmt.Fprintln(w, ".")
	if f.CodesAfter != nil {
		fmt.Fprintf(w, "Codes of authenticator apps are accepted again from about %s.\n", f.CodesAfter.Local().Format("2006-01-02 15:04:05 MST"))
	}
	if f.CodesBarred {
		fmt.Fprintln(w, "Recovery codes of before are not accepted until they are renewed, or you trust them: caddy step-up fence accept --codes")
	}
	if f.Unconfirmed {
		fmt.Fprintln(w, "Authenticators are suspended, since the database was restored from a backup: reset the users who lost theirs, and confirm the others by: caddy step-up fence confirm USER..., and the rest by --all")
	}
	for _, id := range f.SuspendedKeys {
		fmt.Fprintf(w, "API key %s is suspended: caddy step-up keys enable %s\n", id, id)
	}
}

func fenceAcceptCommand() *cobra.Command {
	var (
		r      remote
		in     adminapi.FenceRequest
		audits []string
		yes    bool
	)
	c := &cobra.Command{
		Use:   "accept [flags]",
		Short: "Accepts an older copy of the database",
		Long: `
Makes an older copy of the database the one that counts, so that the gateway serves
again. All grants, challenges, held forms, pending enrollments, invites and sent codes
are void; API keys are suspended until you enable them; codes of authenticator apps
that may have been used are refused for about a minute; recovery codes are not
accepted until they are renewed.

What was revoked, reset or removed after the copy was made is back in it. Name the
audit log by --audit: the gateway then takes away again what the log shows was taken
away, before it serves anything, and the command lists what you have to do yourself.
The log is the file of the global option 'audit', or one that Caddy writes in JSON with
the logger step_up.audit in it; it may be compressed, - is the standard input, and the
flag may be repeated. It may reach back before the copy. Without it nobody knows what was taken away.`,
		Example: `  caddy step-up fence accept --audit /var/log/caddy/step_up.log
  zcat step_up-*.log.gz | caddy step-up fence accept --audit - --yes`,
		Args: cobra.NoArgs,
	}
	r.flags(c)
	c.Flags().StringArrayVar(&audits, "audit", nil, "The audit log since the copy was made; may be repeated")
	c.Flags().BoolVar(&in.TrustCodes, "codes", false, "Accept recovery codes of before, though some may have been used since")
	c.Flags().BoolVar(&yes, "yes", false, "Do not ask")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var now adminapi.FenceAnswer
		if err := r.call("fence", struct{}{}, &now); err != nil {
			return err
		}
		var log auditLines
		if err := log.open(c.InOrStdin(), audits); err != nil {
			return err
		}
		in.Lost = log.Events
		if !yes {
			writeFence(c.ErrOrStderr(), now)
			if err := confirm(c, len(audits) > 0); err != nil {
				return err
			}
		}
		var done adminapi.FenceAccepted
		if err := r.call("fence/accept", in, &done); err != nil {
			return err
		}
		return r.show(c, done, func(w io.Writer) { writeAccepted(w, done, now, &log, len(audits) > 0) })
	}
	return c
}

// open reads the named logs.
func (a *auditLines) open(stdin io.Reader, names []string) error {
	for _, name := range names {
		if name == "-" {
			if err := a.read(stdin); err != nil {
				return err
			}
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("opening audit log: %w", err)
		}
		err = a.read(f)
		f.Close() // it was only read
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(names) > 0 && a.Lines == 0 {
		return errors.New("--audit: there is no line of the audit log in it; name the file of the global option audit, or a log that Caddy writes in JSON (format json) and that includes step_up.audit")
	}
	return nil
}

func confirm(c *cobra.Command, audited bool) error {
	w := c.ErrOrStderr()
	if !audited {
		fmt.Fprintln(w, "Without --audit it is not known what was taken away since the copy was made: keys that were revoked, users who were reset and authenticators that were removed are back.")
	}
	fmt.Fprint(w, "Accept it? Write yes: ")
	answer, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), 64)).ReadString('\n')
	if strings.TrimSpace(answer) != "yes" {
		return errors.Join(errors.New("nothing was changed; where nobody can be asked, add --yes"), unlessEOF(err))
	}
	return nil
}

func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func writeAccepted(w io.Writer, done adminapi.FenceAccepted, before adminapi.FenceAnswer, log *auditLines, audited bool) {
	if before.Kind == "rolled_back" {
		fmt.Fprintf(w, "The copy is accepted. All grants, challenges, held forms, invites and sent codes of before are void (generation %d).\n", done.Generation)
	}
	writeRedone(w, done.Redone, log)
	switch {
	case before.Kind != "rolled_back":
	case !audited:
		fmt.Fprintln(w, "It is not known what was taken away since the copy was made: keys that were revoked, users who were reset and authenticators that were removed are back. Look through `caddy step-up users` and `caddy step-up keys list`.")
	case len(done.Redone) == 0:
		fmt.Fprintln(w, "The audit log shows nothing that the copy does not know.")
	}
	writeFence(w, done.FenceAnswer)
}

// writeRedone writes what became of what the audit log tells.
func writeRedone(w io.Writer, redone []adminapi.RedoneEvent, log *auditLines) {
	var again, yours []string
	for _, e := range redone {
		if line := lineOf(e); e.Applied {
			again = append(again, line)
		} else {
			yours = append(yours, line)
		}
	}
	list(w, "Taken away again, as the audit log shows:", again)
	list(w, "Not done again; it is for you to do:", yours)
	if log.Unreadable > 0 {
		fmt.Fprintf(w, "%d of %d lines of the audit log could not be read: look at what they say.\n", log.Unreadable, log.Lines)
	}
	if log.Erased > 0 {
		fmt.Fprintf(w, "%d of %d lines of the audit log were erased: what they told of was not done again.\n", log.Erased, log.Lines)
	}
}

func list(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(w, title)
	for _, l := range lines {
		fmt.Fprintln(w, "  "+l)
	}
}

// lineOf says what an event was, and with which command it is done again.
func lineOf(e adminapi.RedoneEvent) string {
	user, at := plain(e.User), e.Time.Local().Format(minute)
	named := " --tenant " + argument(e.Tenant) + " " + argument(e.User)
	switch e.Event + " " + e.Outcome {
	case "api_key revoked":
		return fmt.Sprintf("%s: API key %s of tenant %s was revoked", at, plain(e.Object), plain(e.Tenant))
	case "api_key created":
		return fmt.Sprintf("%s: API key %s of tenant %s was made, and is gone: caddy step-up keys create --tenant %s", at, plain(e.Object), plain(e.Tenant), argument(e.Tenant))
	case "reset done":
		return fmt.Sprintf("%s: %s was reset; to let them enroll again: caddy step-up invite%s", at, user, named)
	case "remove done":
		return fmt.Sprintf("%s: %s removed authenticator %s", at, user, plain(e.Object))
	case "disown done":
		return fmt.Sprintf("%s: %s suspended authenticator %s", at, user, plain(e.Object))
	case "recovery_codes done":
		return fmt.Sprintf("%s: recovery codes of %s were renewed; the older ones are void, and %s has to renew them once more", at, user, user)
	case "verify passed":
		if e.Applied {
			return fmt.Sprintf("%s: %s used a recovery code; all of theirs are void", at, user)
		}
		return fmt.Sprintf("%s: %s used a recovery code; theirs are not accepted until they are renewed", at, user)
	case "verify refused":
		return fmt.Sprintf("%s: a passkey of %s may have been copied: caddy step-up reset%s", at, user, named)
	case "vouch done":
		return fmt.Sprintf("%s: %s took back that authenticator %s is suspended, and has to do it again", at, user, plain(e.Object))
	case "invite done":
		return fmt.Sprintf("%s: %s was invited; the invite is void: caddy step-up invite%s", at, user, named)
	case "confirm done":
		if e.Enrolled {
			return fmt.Sprintf("%s: %s added authenticator %s (%s), which is gone; they can add it again, or: caddy step-up reset%s && caddy step-up invite%s", at, user, plain(e.Object), dash(plain(e.Method)), named, named)
		}
		return fmt.Sprintf("%s: %s added authenticator %s (%s), which is gone: caddy step-up invite%s", at, user, plain(e.Object), dash(plain(e.Method)), named)
	}
	return fmt.Sprintf("%s: %s %s %s", at, plain(e.Event), plain(e.Outcome), user)
}

// argument quotes a word for a shell where need be.
func argument(s string) string {
	plainRune := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@._+=:/-", r)
	}
	if s != "" && s[0] != '-' && strings.IndexFunc(s, func(r rune) bool { return !plainRune(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(plain(s), "'", `'\''`) + "'"
}
