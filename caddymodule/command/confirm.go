package command

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
)

func fenceConfirmCommand() *cobra.Command {
	var r remote
	var all bool
	c := &cobra.Command{
		Use:   "confirm USER... | --all [flags]",
		Short: "Accepts authenticators that are suspended since a backup was restored",
		Long: `
Accepts the authenticators of users again that are suspended since the database was
restored from a backup: what was removed or reset between the backup and now is back in
it, and nobody could tell. First reset those who lost a device since ('caddy step-up
reset'), and remove what they name. With --all it does so for every user, of one tenant
with --tenant. Authenticators that their owner had suspended stay so.`,
		Example: `  caddy step-up fence confirm alice bob
  caddy step-up fence confirm --all`,
	}
	r.userFlags(c)
	c.Flags().BoolVar(&all, "all", false, "Accept the authenticators of every user")
	c.RunE = func(c *cobra.Command, users []string) error {
		switch {
		case all && len(users) > 0:
			return errors.New("name users or write --all, not both")
		case !all && len(users) == 0:
			return errors.New("name users, or write --all for every user")
		}
		var total adminapi.ConfirmAllAnswer
		for _, user := range users {
			if err := r.call("fence/confirm", r.who(user), &adminapi.Done{}); err != nil {
				return err
			}
			total.Confirmed++
		}
		for cursor := ""; all; {
			var part adminapi.ConfirmAllAnswer
			if err := r.call("fence/confirm/all", adminapi.ConfirmAllRequest{Tenant: r.tenant, Cursor: cursor}, &part); err != nil {
				return fmt.Errorf("the authenticators of %d users were accepted before this failed: %w", total.Confirmed, err)
			}
			total.Confirmed += part.Confirmed
			if cursor = part.Next; cursor == "" {
				break
			}
		}
		return r.show(c, total, func(w io.Writer) { fmt.Fprintf(w, "The authenticators of %d users are accepted.\n", total.Confirmed) })
	}
	return c
}
