package command

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
	"github.com/stepup-gateway/caddy-stepup/config"
)

func coverageCommand() *cobra.Command {
	var r remote
	var site string
	c := &cobra.Command{
		Use:   "coverage [flags]",
		Short: "Lists requests that no rule covers",
		Long: `
Lists the requests that may change something (POST, PUT, DELETE, upgrades, method
overrides) and that no rule covers, seen since Caddy started, with the first line of
a rule that would; those that a rule excepts; and how many requests each rule met,
observing ones included. Requests that were refused before the application are not
among the first two.

Ids in paths are shown as {id}. Queries, bodies and users are not kept. Sites that
share a tenant are counted together, and at most 500 kinds of requests are kept for
each: where there are more, the rare ones make way.`,
		Example: `  caddy step-up coverage
  caddy step-up coverage --site intranet.example.com --json`,
		Args: cobra.NoArgs,
	}
	r.flags(c)
	c.Flags().StringVarP(&r.tenant, "tenant", "t", "", "Only the sites of this tenant")
	c.Flags().StringVar(&site, "site", "", "Only the site that serves this host name or URL, and those of its tenant")
	return asking(c, &r, "coverage", func([]string) adminapi.CoverageRequest {
		return adminapi.CoverageRequest{Tenant: r.tenant, Site: site}
	}, func(w io.Writer, answer adminapi.CoverageAnswer) { writeCoverage(w, answer, time.Local) })
}

func writeCoverage(w io.Writer, answer adminapi.CoverageAnswer, zone *time.Location) {
	const clock = "2006-01-02 15:04:05"
	for i, c := range answer.Tenants {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "Tenant %s, since %s.\n", c.Tenant, c.Since.In(zone).Format(clock+" MST"))

		if len(c.Uncovered) == 0 {
			fmt.Fprintln(w, "\nNo request was seen that may change something and that no rule covers.")
		} else {
			fmt.Fprint(w, "\nNo rule covers:\n\n")
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "METHOD\tPATH\tCOUNT\tLAST SEEN\tA RULE WOULD BEGIN")
			for _, s := range c.Uncovered {
				fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", s.Method, plain(s.Path), s.Count, s.LastSeen.In(zone).Format(clock), dash(s.Suggestion))
			}
			t.Flush()
			fmt.Fprint(w, `
Give the action type a name of yours, and try the rule before it is enforced:
{
	unsafe
	grant time_based 10m
	mode observe
}
`)
		}
		if len(c.Excepted) > 0 {
			fmt.Fprint(w, "\nA rule excepts:\n\n")
			t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "METHOD\tPATH\tCOUNT\tLAST SEEN")
			for _, s := range c.Excepted {
				fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", s.Method, plain(s.Path), s.Count, s.LastSeen.In(zone).Format(clock))
			}
			t.Flush()
		}
		if c.NotListed > 0 {
			fmt.Fprintf(w, "\n%d further requests were of kinds too many to list.\n", c.NotListed)
		}
		fmt.Fprint(w, "\nThe rules met:\n\n")
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "REQUESTS\tMODE\tRULE")
		for _, one := range c.Rules {
			fmt.Fprintf(t, "%d\t%s\t%s\n", one.Requests, one.Mode, one.Rule)
		}
		t.Flush()
		if !enforces(c.Rules) {
			fmt.Fprintln(w, "\nAll rules only observe: nothing is protected.")
		}
	}
}

func enforces(rules []adminapi.RuleCoverage) bool {
	for _, r := range rules {
		if r.Mode == config.ModeEnforce {
			return true
		}
	}
	return false
}
