// Package command is the command `caddy step-up`, which importing it registers.
//
// Most of its subcommands ask the running gateway by package adminapi's routes and
// write the answer as text or JSON; audit, keygen, init, backup verify, restore, migrate, cookie and version work without one.
package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "step-up",
		Short: "Looks after the users of the step-up gateway",
		Long: `
Looks after the users of the step-up gateway that runs in Caddy: who is enrolled,
what to do when a phone is lost, whether a configuration is sound, what the rules say about a request, which requests
they do not cover, and which servers have a key to the API.

All commands but audit, check with a file, backup verify, restore, keygen, init, migrate, cookie and version talk to the running Caddy through its
admin endpoint, which they find like 'caddy reload' does: by --address, else in the
configuration given by --config, else at the default address.`,
		CobraFunc: Add,
	})
}

// Add adds the subcommands to c, which stands for `step-up`.
func Add(c *cobra.Command) {
	group(c)
	c.AddCommand(usersCommand(), resetCommand(), unlockCommand(), inviteCommand(), revokeCommand(),
		explainCommand(), checkCommand(), coverageCommand(), keysCommand(), fenceCommand(), tenantCommand(), auditCommand(), backupCommand(), restoreCommand(), migrateCommand(), cookieCommand(), keygenCommand(), initCommand(), versionCommand())
}

// group makes c, which only has subcommands, refuse what is none of them: cobra
// prints the help and succeeds.
func group(c *cobra.Command) *cobra.Command {
	c.Args, c.FParseErrWhitelist.UnknownFlags = cobra.ArbitraryArgs, true // of the command that was meant
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		return fmt.Errorf("%s has no command %q: %s", c.CommandPath(), args[0], nearest.OneOf(args[0], names))
	}
	return c
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

// who names a user.
func (r *remote) who(user string) adminapi.Who { return adminapi.Who{Tenant: r.tenant, User: user} }

// asking makes c ask one route of the admin endpoint for what its arguments say,
// and show the answer.
func asking[In, Out any](c *cobra.Command, r *remote, route string, in func(args []string) In, text func(io.Writer, Out)) *cobra.Command {
	c.RunE = func(c *cobra.Command, args []string) error {
		var answer Out
		if err := r.call(route, in(args), &answer); err != nil {
			return err
		}
		return r.show(c, answer, func(w io.Writer) { text(w, answer) })
	}
	return c
}

// call asks a route of the admin endpoint.
func (r *remote) call(route string, in, out any) error {
	address, err := r.adminAddress()
	if err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := request(address, route, string(body))
	if err != nil {
		return remoteError(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(out); err != nil {
		return fmt.Errorf("reading Caddy's answer: %w", err)
	}
	return nil
}

func (r *remote) adminAddress() (string, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(r.address, nil, r.config, r.adapter)
	if err != nil {
		return "", fmt.Errorf("finding the admin endpoint: %w", err)
	}
	return address, nil
}

// settling is how long an admin endpoint may be there without our routes: Caddy
// listens before it has loaded the rest.
const settling = 3 * time.Second

// request asks once, and again while Caddy is starting.
func request(address, route, body string) (*http.Response, error) {
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		resp, err := caddycmd.AdminAPIRequest(address, "POST", "/step_up/"+route, http.Header{adminapi.ClaimedHeader: {claimed()}}, strings.NewReader(body))
		if err == nil || !hasNoRoute(err) {
			return resp, err
		}
		if time.Since(begun) > settling {
			return nil, errors.New("the Caddy that answers there has no step_up: start the binary that has it, or name another admin endpoint with --address")
		}
	}
}

// claimed is who runs the command, as the operating system has it: a hint for the
// audit log, which whoever runs the command could forge.
func claimed() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if by := os.Getenv("SUDO_USER"); by != "" && by != name {
		name += " for " + by
	}
	return name
}

// hasNoRoute reports whether an error is Caddy's for an address that it does not
// know. Ours come with JSON.
func hasNoRoute(err error) bool {
	_, text, found := strings.Cut(err.Error(), "HTTP 404: ")
	return found && !strings.HasPrefix(strings.TrimSpace(text), "{")
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
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: is Caddy running? If its admin endpoint is not at the default address, name it with --address or the configuration with --config", err)
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
