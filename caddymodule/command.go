package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "step-up",
		Short: "Looks after the users of the step-up gateway",
		Long: `
Looks after the users of the step-up gateway that runs in Caddy: who is enrolled,
what to do when a phone is lost, what the rules say about a request, and which
requests they do not cover.

All commands but keygen and init talk to the running Caddy through its admin
endpoint, which they find like 'caddy reload' does: by --address, else in the
configuration given by --config, else at the default address.`,
		CobraFunc: addCommands,
	})
}

func addCommands(c *cobra.Command) {
	c.AddCommand(usersCommand(), resetCommand(), unlockCommand(), inviteCommand(), revokeCommand(),
		explainCommand(), coverageCommand(), keygenCommand(), initCommand())
}

// remote is the running Caddy, and how its answers are shown.
type remote struct {
	address, config, adapter string
	tenant                   string
	json                     bool
}

// flags adds the flags that all commands have which talk to the running Caddy.
func (r *remote) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.address, "address", "", "The address of the admin endpoint")
	c.Flags().StringVarP(&r.config, "config", "c", "", "The configuration file to find the admin endpoint in")
	c.Flags().StringVarP(&r.adapter, "adapter", "a", "", "The name of the adapter for the configuration file")
	c.Flags().BoolVar(&r.json, "json", false, "Write JSON")
}

// userFlags adds what is needed to name a user.
func (r *remote) userFlags(c *cobra.Command) {
	r.flags(c)
	c.Flags().StringVarP(&r.tenant, "tenant", "t", "", "The user's tenant; may be left out where the sites have only one")
}

// call asks a route of the admin endpoint.
func (r *remote) call(route string, in, out any) error {
	address, err := caddycmd.DetermineAdminAPIAddress(r.address, nil, r.config, r.adapter)
	if err != nil {
		return fmt.Errorf("finding the admin endpoint: %w", err)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := caddycmd.AdminAPIRequest(address, "POST", "/step_up/"+route, nil, strings.NewReader(string(body)))
	if err != nil {
		return remoteError(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(out); err != nil {
		return fmt.Errorf("reading Caddy's answer: %w", err)
	}
	return nil
}

// remoteError takes the sentence out of an answer of the admin endpoint.
func remoteError(err error) error {
	var answer struct {
		Error string `json:"error"`
	}
	text := err.Error()
	if i := strings.IndexByte(text, '{'); i >= 0 && json.Unmarshal([]byte(text[i:]), &answer) == nil && answer.Error != "" {
		return errors.New(answer.Error)
	}
	return err
}

// show writes an answer: as JSON where that was asked for, else as text does.
func (r *remote) show(c *cobra.Command, answer any, text func(io.Writer)) error {
	if !r.json {
		text(c.OutOrStdout())
		return nil
	}
	return writeJSON(c.OutOrStdout(), answer)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

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
		var list []User
		if len(args) == 1 {
			var one User
			if err := r.call("user", Who{Tenant: r.tenant, User: args[0]}, &one); err != nil {
				return err
			}
			return r.show(c, one, func(w io.Writer) { writeUsers(w, []User{one}) })
		}
		for cursor := ""; ; {
			var part UsersAnswer
			if err := r.call("users", UsersRequest{Tenant: r.tenant, Cursor: cursor, Limit: 1000}, &part); err != nil {
				return err
			}
			list = append(list, part.Users...)
			if cursor = part.Next; cursor == "" {
				break
			}
		}
		return r.show(c, UsersAnswer{Users: append([]User{}, list...)}, func(w io.Writer) { writeUsers(w, list) })
	}
	return c
}

func writeUsers(w io.Writer, list []User) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TENANT\tUSER\tSTATE\tAUTHENTICATORS\tRECOVERY CODES\tLIVE GRANTS\tLOCKED")
	for _, u := range list {
		names := make([]string, 0, len(u.Authenticators))
		for _, a := range u.Authenticators {
			names = append(names, fmt.Sprintf("%s %q", a.Type, a.Label))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", u.Tenant, plain(u.User), u.State, dash(strings.Join(names, ", ")),
			u.RecoveryCodesLeft, u.LiveGrants, dash(strings.Join(u.Locked, ", ")))
	}
	t.Flush()
}

// plain quotes what could write to the terminal more than it says.
func plain(s string) string {
	if quoted := fmt.Sprintf("%q", s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func resetCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "reset user [flags]",
		Short: "Takes all authenticators from a user who lost them",
		Long: `
Takes all authenticators, recovery codes and grants from a user, and unlocks them.
To enrol again they need an invite, whatever the enrollment policy says: make one
with 'caddy step-up invite'.`,
		Example: `  caddy step-up reset alice && caddy step-up invite alice`,
		Args:    cobra.ExactArgs(1),
	}
	r.userFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var done Done
		if err := r.call("reset", Who{Tenant: r.tenant, User: args[0]}, &done); err != nil {
			return err
		}
		return r.show(c, done, func(w io.Writer) {
			fmt.Fprintf(w, "%s has no authenticator any more, and needs an invite to enrol again: caddy step-up invite %s\n", plain(done.User), plain(done.User))
		})
	}
	return c
}

func unlockCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "unlock user [flags]",
		Short: "Forgives a user their wrong codes",
		Long: `
Sets the counters of a user's wrong codes back to zero, so that right ones are
taken again. Authenticators and recovery codes stay as they are.`,
		Example: `  caddy step-up unlock alice`,
		Args:    cobra.ExactArgs(1),
	}
	r.userFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var done Done
		if err := r.call("unlock", Who{Tenant: r.tenant, User: args[0]}, &done); err != nil {
			return err
		}
		return r.show(c, done, func(w io.Writer) { fmt.Fprintf(w, "%s is unlocked.\n", plain(done.User)) })
	}
	return c
}

// Invitation is what the invite command writes as JSON.
type Invitation struct {
	Done
	Invite    string    `json:"invite"`
	ExpiresAt time.Time `json:"expires_at"`
}

func inviteCommand() *cobra.Command {
	var r remote
	var holds string
	c := &cobra.Command{
		Use:   "invite user [flags]",
		Short: "Makes a code with which a user can enrol once",
		Long: `
Makes an invite: a code that a user types in to enrol an authenticator, once. It is
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
		code, hash := ceremony.NewInvite()
		made := Invitation{Invite: code, ExpiresAt: time.Now().Add(time.Duration(d)).UTC().Truncate(time.Second)}
		in := InviteRequest{Who: Who{Tenant: r.tenant, User: args[0]}, Hash: fmt.Sprintf("%x", hash), ExpiresAt: made.ExpiresAt}
		if err := r.call("invite", in, &made.Done); err != nil {
			return err
		}
		return r.show(c, made, func(w io.Writer) {
			fmt.Fprintf(w, "%s\n\n%s can enrol with it once, until %s.\n", made.Invite, plain(made.User), made.ExpiresAt.Local().Format("2006-01-02 15:04 MST"))
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
	c.RunE = func(c *cobra.Command, args []string) error {
		var done RevokeAnswer
		if err := r.call("revoke", RevokeRequest{Who: Who{Tenant: r.tenant, User: args[0]}, ActionType: action}, &done); err != nil {
			return err
		}
		return r.show(c, done, func(w io.Writer) { fmt.Fprintf(w, "%d grants of %s were ended.\n", done.Revoked, plain(done.User)) })
	}
	return c
}

func explainCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "explain method url [flags]",
		Short: "Tells which rule decides a request",
		Long: `
Tells what the gateway would make of a request: every way in which an application
may read it, the rule that decides each, and the outcome. The URL is taken as it is
spelled. Directives in front of step_up, such as rewrite, are not run, and headers
and bodies are not looked at: rules on fields of a body are listed as what they
are.`,
		Example: `  caddy step-up explain GET 'https://intranet.example.com/admin/%2e%2e/transfer'`,
		Args:    cobra.ExactArgs(2),
	}
	r.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var answer ExplainAnswer
		if err := r.call("explain", ExplainRequest{Method: args[0], URL: args[1]}, &answer); err != nil {
			return err
		}
		return r.show(c, answer, func(w io.Writer) { writeExplanation(w, answer) })
	}
	return c
}

func writeExplanation(w io.Writer, e ExplainAnswer) {
	if e.Action != "" {
		fmt.Fprintf(w, "%s: a %s grant for %s is asked for (tenant %s).\n", e.Outcome, e.GrantType, e.Action, e.Tenant)
	} else {
		fmt.Fprintf(w, "%s (tenant %s).\n", e.Outcome, e.Tenant)
	}
	if len(e.Readings) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if e.DependsOnBody {
		fmt.Fprintln(w, "That is without a body. Where one holds what a rule below asks for, or cannot be read, that rule decides.")
	}
	fmt.Fprintln(t, "\nMETHOD\tREAD AS\tRULE\tWHICH SAYS")
	for _, one := range e.Readings {
		rule := "-"
		if one.Rule > 0 {
			rule = fmt.Sprint(one.Rule)
		}
		if one.Observes {
			rule += " observes"
		}
		if one.IfBody {
			rule += " if the body says so"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", one.Method, plain(one.Path), rule, dash(one.Line))
	}
	t.Flush()
}
