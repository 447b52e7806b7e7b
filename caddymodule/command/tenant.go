package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
)

func tenantCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "tenant",
		Short: "Shows and changes what gateways of one database agreed on",
		Long: `
Gateways that share a database must have the same identity source and the same user_id
for a tenant: with another source, the same name may be somebody else. The first
gateway of a tenant records both in the database, and one that differs refuses to
start. The database holds no setting, only a keyed digest of each.`,
		Example: `  caddy step-up tenant list
  caddy step-up tenant accept staff`,
	}
	c.AddCommand(tenantListCommand(), tenantAcceptCommand())
	return group(c)
}

func tenantListCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "list [flags]",
		Short: "Lists the tenants, and the configurations that wait to be accepted",
		Long: `
Lists the tenants that gateways recorded in the database that they share, with their
identity source and user_id, and in what a gateway differs that was refused. With a
store of this gateway alone there are none.`,
		Example: `  caddy step-up tenant list`,
		Args:    cobra.NoArgs,
	}
	r.flags(c)
	return asking(c, &r, "tenants", func([]string) struct{} { return struct{}{} }, writeTenants)
}

func writeTenants(w io.Writer, a adminapi.TenantsAnswer) {
	if len(a.Tenants) == 0 {
		fmt.Fprintln(w, "No tenant is recorded: the store is this gateway's alone.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TENANT\tIDENTITY\tUSER_ID\tGENERATION\tWAITS TO BE ACCEPTED")
	for _, one := range a.Tenants {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", plain(one.Tenant), dash(plain(one.Identity)), dash(one.UserID), one.Generation, dash(plain(strings.Join(one.Differs, ", "))))
	}
	t.Flush()
}

func tenantAcceptCommand() *cobra.Command {
	var (
		r   remote
		yes bool
	)
	c := &cobra.Command{
		Use:   "accept TENANT [flags]",
		Short: "Accepts the identity source or user_id with which a gateway was refused",
		Long: `
Accepts, for a tenant, the identity source and user_id of the gateway that was refused
last, so that a change can be rolled out: start or reload one gateway with the new
configuration, which is refused; accept it; start or reload that gateway again, then
the others. From the acceptance on, gateways with the old configuration refuse the
tenant.

All grants, challenges, held forms, pending enrollments and invites of the tenant are
void. Users keep their authenticators: make sure that a name still is the same person,
or reset those of whom it is not.`,
		Example: `  caddy step-up tenant accept staff`,
		Args:    cobra.ExactArgs(1),
	}
	r.flags(c)
	c.Flags().BoolVar(&yes, "yes", false, "Do not ask")
	c.RunE = func(c *cobra.Command, args []string) error {
		var known adminapi.TenantsAnswer
		if err := r.call("tenants", struct{}{}, &known); err != nil {
			return err
		}
		in := adminapi.AcceptTenantRequest{Tenant: args[0]}
		for _, t := range known.Tenants {
			if t.Tenant == args[0] {
				in.Offer = t.Offer
				if t.Offer != "" && !yes {
					fmt.Fprintf(c.ErrOrStderr(), "A gateway was refused on %s, because of tenant %s: %s.\nWhat was issued for the tenant and can be used once will be void, and gateways with the old configuration will refuse it.\n",
						t.OfferedAt.Local().Format(minute), plain(t.Tenant), plain(strings.Join(t.Differs, ", ")))
				}
			}
		}
		if in.Offer != "" && !yes {
			if err := confirm(c, true); err != nil {
				return err
			}
		}
		var done adminapi.TenantsAnswer
		if err := r.call("tenants/accept", in, &done); err != nil {
			return err
		}
		return r.show(c, done, func(w io.Writer) { writeTenants(w, done) })
	}
	return c
}
