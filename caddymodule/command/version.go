package command

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/version"
)

func versionCommand() *cobra.Command {
	var r remote
	c := &cobra.Command{
		Use:   "version [flags]",
		Short: "Shows which version of the gateway this is",
		Long: `
Shows which version of the gateway this program has, and what it was built with. The
health route of the admin endpoint shows that of the program that runs.`,
		Example: `  caddy step-up version --json`,
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&r.json, "json", false, "Write JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		info := version.Get()
		return r.show(c, info, func(w io.Writer) { fmt.Fprintln(w, info) })
	}
	return c
}
