package command

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
)

func unlockCommand() *cobra.Command {
	var r remote
	var all bool
	c := &cobra.Command{
		Use:   "unlock user | --all [flags]",
		Short: "Forgives a user, or all of them, their wrong codes",
		Long: `
Sets the counters of a user's wrong codes back to zero, those of servers too, so that
right ones are taken again. Authenticators and recovery codes stay as they are. With
--all it does so for every user who has wrong codes, of one tenant with --tenant: for
when a wrong clock or an attack has locked out many.`,
		Example: `  caddy step-up unlock alice
  caddy step-up unlock --all --tenant staff`,
		Args: cobra.MaximumNArgs(1),
	}
	r.userFlags(c)
	c.Flags().BoolVar(&all, "all", false, "Unlock every user who has wrong codes")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case all && len(args) > 0:
			return errors.New("name a user or write --all, not both")
		case !all && len(args) == 0:
			return errors.New("name a user, or write --all for every user who has wrong codes")
		case !all:
			var done adminapi.Done
			if err := r.call("unlock", r.who(args[0]), &done); err != nil {
				return err
			}
			return r.show(c, done, func(w io.Writer) { fmt.Fprintf(w, "%s is unlocked.\n", plain(done.User)) })
		}
		var total adminapi.UnlockAllAnswer
		for cursor := ""; ; {
			var part adminapi.UnlockAllAnswer
			if err := r.call("unlock/all", adminapi.UnlockAllRequest{Tenant: r.tenant, Cursor: cursor}, &part); err != nil {
				return fmt.Errorf("%d users were unlocked before this failed: %w", total.Unlocked, err)
			}
			total.Unlocked += part.Unlocked
			if cursor = part.Next; cursor == "" {
				break
			}
			if !r.json {
				fmt.Fprintf(c.ErrOrStderr(), "%d users unlocked so far\n", total.Unlocked)
			}
		}
		return r.show(c, total, func(w io.Writer) { fmt.Fprintf(w, "%d users were unlocked.\n", total.Unlocked) })
	}
	return c
}
