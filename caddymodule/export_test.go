package caddymodule

import "github.com/spf13/cobra"

// NewStepUpCommand gives the external tests `step-up` as Caddy sets it up.
func NewStepUpCommand() *cobra.Command {
	c := &cobra.Command{Use: "step-up", SilenceUsage: true}
	addCommands(c)
	return c
}

// ActiveSites gives the handlers of the running configuration.
func ActiveSites() ([]*Handler, error) {
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	return app.sites, nil
}

// WithReading is the hook for Caddy's matchers.
var WithReading = withReading
