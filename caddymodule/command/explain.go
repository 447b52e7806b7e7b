package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/adminapi"
)

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
	return asking(c, &r, "explain", func(args []string) adminapi.ExplainRequest {
		return adminapi.ExplainRequest{Method: args[0], URL: args[1]}
	}, writeExplanation)
}

func writeExplanation(w io.Writer, e adminapi.ExplainAnswer) {
	if e.Action != "" {
		fmt.Fprintf(w, "%s: a %s grant for %s is asked for (tenant %s).\n", e.Outcome, e.GrantType, e.Action, e.Tenant)
	} else {
		fmt.Fprintf(w, "%s (tenant %s).\n", e.Outcome, e.Tenant)
	}
	if len(e.Also) > 0 {
		fmt.Fprintf(w, "It cannot be told which action the request is, so it needs grants for these too: %s.\n", strings.Join(e.Also, ", "))
	}
	if e.Cookie != "" {
		fmt.Fprintf(w, "It travels in the cookie %s.\n", e.Cookie)
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
		if one.Uncertain {
			rule += " perhaps"
		}
		if one.Observes {
			rule += " observes"
		}
		if one.Excepted {
			rule += " excepted"
		}
		if one.Near {
			rule += " names a like path"
		}
		if one.IfBody {
			rule += " if the body says so"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", one.Method, plain(one.Path), rule, dash(one.Line))
	}
	t.Flush()
}
