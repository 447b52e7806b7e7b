package command

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/apikeys"
)

func keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Makes, lists, revokes and enables API keys for servers",
		Long: `
Makes, lists, revokes and enables the keys with which servers use the API that 'step_up_api'
mounts. A key belongs to one tenant, and does what its scopes say:

  enroll  begin and finish a user's first enrollment
  verify  verify codes, and so win grants for the key's action types
  grants  check grants, and use up those that are good for once
  read    see what a user is enrolled with
  reset   take a user's authenticators away, renew recovery codes`,
	}
	c.AddCommand(keysCreateCommand(), keysListCommand(), keysRevokeCommand(), keysEnableCommand())
	return group(c)
}

// NewKey is what the command that makes a key writes as JSON.
type NewKey struct {
	adminapi.KeyAnswer
	Secret string `json:"key"`
}

func keysCreateCommand() *cobra.Command {
	var (
		r        remote
		in       adminapi.KeyRequest
		scopes   []string
		anything bool
		expires  string
	)
	c := &cobra.Command{
		Use:   "create [flags]",
		Short: "Makes an API key and shows it once",
		Long: `
Makes an API key and writes it to the standard output, alone on its line; all else goes
to the standard error. It is shown this once: the running gateway is only told its hash.
The scopes are described by 'caddy step-up keys --help'. A key with the scope verify
names the action types for which it wins grants, or --any-action; routes take such
grants where their rule says 'accept api'.`,
		Example: `  (umask 077; caddy step-up keys create --tenant staff --label payroll --scope verify,grants \
      --action WITHDRAW_FUNDS --expires 90d > /etc/payroll/step-up.key)`,
		Args: cobra.NoArgs,
	}
	r.flags(c)
	c.Flags().StringVarP(&in.Tenant, "tenant", "t", "", "Whose users the key is for; required")
	c.Flags().StringVar(&in.Label, "label", "", "What the key is for, up to 64 characters")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "What it may do: enroll, verify, grants, read, reset; at least one")
	c.Flags().StringSliceVar(&in.Actions, "action", nil, "An action type that it may win grants for; may be repeated. Quote one that has a comma: '\"a, b\"'")
	c.Flags().BoolVar(&anything, "any-action", false, "Any action type")
	c.Flags().StringVar(&expires, "expires", "", "How long it holds, such as 90d; default: until it is revoked")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := say(&in, scopes, anything, expires, time.Now()); err != nil {
			return err
		}
		secret, hash := apikeys.NewKey()
		in.Hash = fmt.Sprintf("%x", hash)
		made := NewKey{Secret: secret}
		if err := r.call("keys/create", in, &made.KeyAnswer); err != nil {
			return err
		}
		return r.show(c, made, func(w io.Writer) {
			fmt.Fprintln(w, secret)
			fmt.Fprintf(c.ErrOrStderr(), "That is the key %s for the tenant %s, which is shown this once. It holds %s. To end it: caddy step-up keys revoke %s\n",
				made.ID, made.Tenant, holdsUntil(made.ExpiresAt), made.ID)
			if made.Warning != "" {
				fmt.Fprintf(c.ErrOrStderr(), "Warning: %s.\n", made.Warning)
			}
		})
	}
	return c
}

// say takes over what the flags say, and tells of what is missing in their words.
func say(in *adminapi.KeyRequest, scopes []string, anything bool, expires string, now time.Time) error {
	if in.Tenant == "" {
		return errors.New("say whose users the key is for: --tenant NAME, or --tenant default for a site that names none")
	}
	if len(scopes) == 0 {
		return errors.New("say what the key may do, such as --scope verify,grants")
	}
	in.Scopes = nil
	for _, s := range scopes {
		in.Scopes = append(in.Scopes, apikeys.Scope(strings.TrimSpace(s)))
	}
	verifies := slices.Contains(in.Scopes, apikeys.ScopeVerify)
	switch {
	case anything && len(in.Actions) > 0:
		return errors.New("--action and --any-action exclude each other: keep one of them")
	case verifies && !anything && len(in.Actions) == 0:
		return errors.New("say which action types the key wins grants for: --action WITHDRAW_FUNDS, or --any-action")
	case !verifies && (anything || len(in.Actions) > 0):
		return errors.New("--action and --any-action are for keys with --scope verify: others win no grants")
	case anything:
		in.Actions = []string{apikeys.AnyAction}
	}
	if expires == "" {
		return nil
	}
	d, err := config.ParseDuration(expires)
	if err != nil {
		return fmt.Errorf("--expires: %w", err)
	}
	in.ExpiresAt = now.Add(time.Duration(d)).UTC().Truncate(time.Second)
	return nil
}

// minute is how times are shown to people.
const minute = "2006-01-02 15:04 MST"

func holdsUntil(t *time.Time) string {
	if t == nil {
		return "until it is revoked"
	}
	return "until " + t.Local().Format(minute)
}

func keysListCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "list [flags]",
		Short: "Lists the API keys",
		Long: `
Lists the API keys with what they may do and when they were last used. The keys
themselves are kept nowhere.`,
		Example: `  caddy step-up keys list --json`,
		Args:    cobra.NoArgs,
	}
	r.flags(c)
	return asking(c, &r, "keys", func([]string) struct{} { return struct{}{} }, writeKeys)
}

// actionNames lists action types; those that are not as rules have them are quoted,
// since they may hold a comma.
func actionNames(actions []string) string {
	names := make([]string, 0, len(actions))
	for _, name := range actions {
		if a, err := grants.NewAction(name); name == apikeys.AnyAction {
			name = "any"
		} else if err != nil || !a.IsRuleName() {
			name = strconv.Quote(name)
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}

func writeKeys(w io.Writer, list adminapi.KeysAnswer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTENANT\tLABEL\tSCOPES\tACTION TYPES\tEXPIRES\tLAST USED")
	for _, k := range list.Keys {
		scopes := make([]string, 0, len(k.Scopes))
		for _, s := range k.Scopes {
			scopes = append(scopes, string(s))
		}
		actions := actionNames(k.Actions)
		expires, used := "never", "-"
		if k.Expired {
			expires = "expired"
		} else if k.ExpiresAt != nil {
			expires = k.ExpiresAt.Local().Format(minute)
		}
		if k.Suspended {
			expires = "suspended"
		}
		if k.LastUsedAt != nil {
			used = k.LastUsedAt.Local().Format(minute)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Tenant, dash(plain(k.Label)), strings.Join(scopes, ","), dash(actions), expires, used)
	}
	t.Flush()
}

func keysRevokeCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "revoke id [flags]",
		Short: "Ends an API key at once",
		Long: `
Ends an API key at once, for every gateway that shares the database. Grants that were
won with it stay; end a user's with 'caddy step-up revoke'.`,
		Example: `  caddy step-up keys revoke key_0123456789ab`,
		Args:    cobra.ExactArgs(1),
	}
	r.flags(c)
	return asking(c, &r, "keys/revoke", func(args []string) adminapi.KeyName { return adminapi.KeyName{ID: args[0]} },
		func(w io.Writer, done adminapi.KeyName) { fmt.Fprintf(w, "%s is no key any more.\n", done.ID) })
}

func keysEnableCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "enable id [flags]",
		Short: "Enables an API key that is suspended",
		Long: `
Enables an API key that was suspended when an older copy of the database was accepted,
see 'caddy step-up fence'. Enable only those that you know: a key that was revoked
after the copy was made is back in it.`,
		Example: `  caddy step-up keys enable key_0123456789ab`,
		Args:    cobra.ExactArgs(1),
	}
	r.flags(c)
	return asking(c, &r, "keys/enable", func(args []string) adminapi.KeyName { return adminapi.KeyName{ID: args[0]} },
		func(w io.Writer, done adminapi.KeyName) { fmt.Fprintf(w, "Enabled key %s.\n", done.ID) })
}
