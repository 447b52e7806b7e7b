package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/cookies"
)

// CookieAnswer is what the cookie command writes as JSON.
type CookieAnswer struct {
	Tenant string `json:"tenant"`
	Action string `json:"action_type"`
	Name   string `json:"cookie"`
}

func cookieCommand() *cobra.Command {
	var plainHTTP, asJSON bool
	tenant := config.DefaultTenant
	c := &cobra.Command{
		Use:   "cookie action [flags]",
		Short: "Tells the name of the cookie that carries a grant",
		Long: `
Tells the name of the cookie in which a grant for an action type travels. Who wins a
grant on the gateway's pages has it from there. A server that won one for its user over
the API hands it to the user's client: the protected route, whose rule says 'accept
api', then finds it. To a browser it does so by a response from the same host as the
route, over HTTPS, with this name:

  Set-Cookie: NAME=GRANT; Path=/; Secure; HttpOnly; SameSite=Lax

with SameSite=Strict for a ONE_TIME_USE grant. Browsers take the name, which begins
with __Host-, only so, and without a Domain. Other clients send it as a cookie of that
name. The name depends on nothing but the tenant and the action type; this command
asks no running Caddy.`,
		Example: `  caddy step-up cookie WITHDRAW_FUNDS --tenant staff`,
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVarP(&tenant, "tenant", "t", tenant, "The tenant of the site")
	c.Flags().BoolVar(&plainHTTP, "plain-http", false, "On connections without TLS, if allow_plain_http is set")
	c.Flags().BoolVar(&asJSON, "json", false, "Write JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := config.CheckAction(args[0]); err != nil {
			return err
		}
		if err := config.CheckTenant(tenant); err != nil {
			return err
		}
		answer := CookieAnswer{Tenant: tenant, Action: args[0], Name: cookies.Grant(tenant, args[0]).On(!plainHTTP)}
		if asJSON {
			return writeJSON(c.OutOrStdout(), answer)
		}
		_, err := fmt.Fprintln(c.OutOrStdout(), answer.Name)
		return err
	}
	return c
}
