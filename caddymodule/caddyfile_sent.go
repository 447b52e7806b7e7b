package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// readSender reads by what the codes of a setting are sent.
func (a *App) readSender(into *json.RawMessage, example, path string) block.Setting {
	return func(d *caddyfile.Dispenser) (err error) {
		*into, err = block.Guest(d, "step_up.senders", "sender", example, a.Source, path)
		return err
	}
}

// readSentLimits reads how long the codes of a setting are good, and how many are sent.
func readSentLimits(s *config.SentCodes, setting string) block.Setting {
	check := func() error { return s.CheckLimits(setting) }
	long := func(into *config.Duration, example string) block.Setting {
		return block.CheckedDuration(into, example, check)
	}
	many := func(into *int, example string) block.Setting {
		return block.CheckedCount(into, example, check)
	}
	return block.Block{
		Name:  "limits",
		Order: []string{"code_ttl", "resend_after", "per_subject", "per_destination", "total"},
		Settings: map[string]block.Setting{
			"code_ttl":        long(&s.CodeTTL, "5m"),
			"resend_after":    long(&s.ResendAfter, "30s"),
			"per_subject":     many(&s.PerSubject, "3"),
			"per_destination": many(&s.PerDestination, "10"),
			"total":           many(&s.Total, "1000"),
		},
	}.Read
}
