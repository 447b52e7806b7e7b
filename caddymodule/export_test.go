package caddymodule

import "github.com/spf13/cobra"

// NewStepUpCommand gives the external tests `step-up` as Caddy sets it up.
func NewStepUpCommand() *cobra.Command {
	c := &cobra.Command{Use: "step-up", SilenceUsage: true}
	addCommands(c)
	return c
}
