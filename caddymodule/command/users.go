package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/invite"
)

func usersCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "users [user] [flags]",
		Short: "Lists who is enrolled, or shows one user",
		Long: `
Lists the users that ever enrolled or were reset, with what they have enrolled,
how many recovery codes are left and whether they are locked out; or one of them.`,
		Example: `  caddy step-up users
  caddy step-up users alice --json`,
		Args: cobra.MaximumNArgs(1),
	}
	r.userFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var list []adminapi.User
		if len(args) == 1 {
			var one adminapi.User
			if err := r.call("user", r.who(args[0]), &one); err != nil {
				return err
			}
			return r.show(c, one, func(w io.Writer) { writeUsers(w, []adminapi.User{one}) })
		}
		for cursor := ""; ; {
			var part adminapi.UsersAnswer
			if err := r.call("users", adminapi.UsersRequest{Tenant: r.tenant, Cursor: cursor, Limit: 1000}, &part); err != nil {
				return err
			}
			list = append(list, part.Users...)
			if cursor = part.Next; cursor == "" {
				break
			}
		}
		return r.show(c, adminapi.UsersAnswer{Users: append([]adminapi.User{}, list...)}, func(w io.Writer) { writeUsers(w, list) })
	}
	return c
}

func writeUsers(w io.Writer, list []adminapi.User) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TENANT\tUSER\tSTATE\tAUTHENTICATORS\tRECOVERY CODES\tLIVE GRANTS\tLOCKED")
	for _, u := range list {
		names := make([]string, 0, len(u.Authenticators))
		for _, a := range u.Authenticators {
			names = append(names, fmt.Sprintf("%s %q", a.Type, a.Label))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", u.Tenant, plain(u.User), stateOf(u), dash(strings.Join(names, ", ")),
			u.RecoveryCodesLeft, u.LiveGrants, dash(strings.Join(lockedWords(u), ", ")))
	}
	t.Flush()
}

// stateOf is a user's state in words.
func stateOf(u adminapi.User) string {
	if u.Rename {
		return u.State + ", rename"
	}
	return u.State
}

// lockedWords lists the budgets of wrong codes that are used up, and when a wait
// ends.
func lockedWords(u adminapi.User) []string {
	words := make([]string, 0, len(u.Locked)+1)
	for _, b := range u.Locked {
		switch b {
		case "api":
			words = append(words, "API")
		case "device":
			words = append(words, "known browsers")
		default:
			words = append(words, "other browsers")
		}
	}
	if u.LockedUntil != nil {
		words = append(words, "until "+u.LockedUntil.Local().Format("2006-01-02 15:04:05"))
	}
	return words
}

func resetCommand() *cobra.Command {
	var r remote
	var in adminapi.ResetRequest
	c := &cobra.Command{
		Use:   "reset user [flags]",
		Short: "Takes all authenticators from a user who lost them",
		Long: `
Takes all authenticators, recovery codes and grants from a user, and unlocks them.
To enroll again they need an invite, whatever the enrollment policy says: make one
with 'caddy step-up invite'.`,
		Example: `  caddy step-up reset alice && caddy step-up invite alice`,
		Args:    cobra.ExactArgs(1),
	}
	r.userFlags(c)
	c.Flags().BoolVar(&in.New, "new", false, "Also a user who never enrolled, so that they need an invite to")
	return asking(c, &r, "reset", func(args []string) adminapi.ResetRequest {
		in.Who = r.who(args[0])
		return in
	}, func(w io.Writer, done adminapi.Done) {
		fmt.Fprintf(w, "%s has no authenticator any more, and needs an invite to enroll again: caddy step-up invite %s --tenant %s\n", plain(done.User), plain(done.User), plain(done.Tenant))
	})
}

// Invitation is what the invite command writes as JSON.
type Invitation struct {
	adminapi.Done
	Invite    string    `json:"invite"`
	ExpiresAt time.Time `json:"expires_at"`
}

func inviteCommand() *cobra.Command {
	var r remote
	var holds string
	c := &cobra.Command{
		Use:   "invite user [flags]",
		Short: "Makes a code with which a user can enroll once",
		Long: `
Makes an invite: a code that a user types in to enroll an authenticator, once. It is
asked for under 'enrollment invite', and after a reset. Hand it over by a way on
which you know who takes it. The running gateway is only told its hash.`,
		Example: `  caddy step-up invite alice --for 2h`,
		Args:    cobra.ExactArgs(1),
	}
	r.userFlags(c)
	c.Flags().StringVar(&holds, "for", "24h", "How long the invite holds, at most 30d")
	c.RunE = func(c *cobra.Command, args []string) error {
		d, err := config.ParseDuration(holds)
		if err != nil {
			return fmt.Errorf("--for: %w", err)
		}
		code, hash := invite.New()
		made := Invitation{Invite: code, ExpiresAt: time.Now().Add(time.Duration(d)).UTC().Truncate(time.Second)}
		in := adminapi.InviteRequest{Who: r.who(args[0]), Hash: fmt.Sprintf("%x", hash), ExpiresAt: made.ExpiresAt}
		if err := r.call("invite", in, &made.Done); err != nil {
			return err
		}
		return r.show(c, made, func(w io.Writer) {
			fmt.Fprintln(w, made.Invite)
			fmt.Fprintf(c.ErrOrStderr(), "%s can enroll with it once, until %s.\n", plain(made.User), made.ExpiresAt.Local().Format("2006-01-02 15:04 MST"))
		})
	}
	return c
}

func revokeCommand() *cobra.Command {
	var r remote
	var action string
	c := &cobra.Command{
		Use:   "revoke user [flags]",
		Short: "Ends a user's grants",
		Long: `
Ends the grants that a user has won, so that every protected action asks for a new
proof. It does not sign them out of the application.`,
		Example: `  caddy step-up revoke alice
  caddy step-up revoke alice --action WITHDRAW_FUNDS`,
		Args: cobra.ExactArgs(1),
	}
	r.userFlags(c)
	c.Flags().StringVar(&action, "action", "", "End only the grants for this action type")
	return asking(c, &r, "revoke", func(args []string) adminapi.RevokeRequest {
		return adminapi.RevokeRequest{Who: r.who(args[0]), ActionType: action}
	}, func(w io.Writer, done adminapi.RevokeAnswer) {
		fmt.Fprintf(w, "%d grants of %s were ended.\n", done.Revoked, plain(done.User))
	})
}
