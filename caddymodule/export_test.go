package caddymodule

import (
	"context"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// activeApp returns the app of the running configuration.
func activeApp() (*App, error) {
	module, err := caddy.ActiveContext().AppIfConfigured("step_up")
	if err != nil {
		return nil, err
	}
	return module.(*App), nil
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

// ActiveDatabase gives the database of the running configuration.
func ActiveDatabase(ctx context.Context) (*records.DB, error) {
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	return app.db.Get(ctx)
}

// ActiveSender gives what the running configuration sends texts with; nil: nothing.
func ActiveSender() (Sender, error) {
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	return app.sender, nil
}

// Guarded holds a sender to the contract, as the app does.
func Guarded(s Sender) Sender { return guarded{s} }
