package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// readSMS reads what is said of codes by SMS. Syntax:
//
//	sms {
//		sender    webhook … | smtp … | file …
//		country   CODE
//		countries CODE...
//		limits {
//			code_ttl        DURATION
//			resend_after    DURATION
//			per_subject     COUNT
//			per_destination COUNT
//			total           COUNT
//		}
//	}
//
// A sender is required, and one of country and countries. What the settings mean
// stands at the fields of config.SMS, what senders take above their own
// UnmarshalCaddyfile.
func (a *App) readSMS(d *caddyfile.Dispenser) error {
	directive := d.Token()
	if d.NextArg() {
		return d.Errf("sms takes its settings in a block, not %q", d.Val())
	}
	s := new(config.SMS)
	a.SMS = s
	err := block.Block{
		Name:  "sms",
		Order: []string{"sender", "country", "countries", "limits"},
		Settings: map[string]block.Setting{
			"sender": func(d *caddyfile.Dispenser) error {
				raw, err := block.Guest(d, "step_up.senders", "sender", "webhook https://sms.example.com/send")
				a.SenderRaw = raw
				return err
			},
			"country": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &s.Country, "DE"); err != nil {
					return err
				}
				return block.Checked(d, s.CheckCountries())
			},
			"countries": func(d *caddyfile.Dispenser) error {
				if err := block.Words(&s.Countries, "DE AT CH")(d); err != nil {
					return err
				}
				return block.Checked(d, s.CheckCountries())
			},
			"limits": readSMSLimits(s),
		},
	}.Read(d)
	if err != nil {
		return err
	}
	if err := checkSender(s, a.SenderRaw); err != nil {
		return block.At(directive, err)
	}
	return block.CheckedAt(directive, s.Validate())
}

func readSMSLimits(s *config.SMS) block.Setting {
	long := func(into *config.Duration, example string) block.Setting {
		return func(d *caddyfile.Dispenser) error {
			if err := block.Duration(d, into, example); err != nil {
				return err
			}
			return block.Checked(d, s.CheckLimits())
		}
	}
	many := func(into *int, example string) block.Setting {
		return func(d *caddyfile.Dispenser) error {
			if err := block.Count(d, into, example); err != nil {
				return err
			}
			return block.Checked(d, s.CheckLimits())
		}
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
