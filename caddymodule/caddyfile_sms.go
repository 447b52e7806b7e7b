package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

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
	err := block{
		name:  "sms",
		order: []string{"sender", "country", "countries", "limits"},
		settings: map[string]setting{
			"sender": func(d *caddyfile.Dispenser) error {
				raw, err := guest(d, "step_up.senders", "sender", "webhook https://sms.example.com/send")
				a.SenderRaw = raw
				return err
			},
			"country": func(d *caddyfile.Dispenser) error {
				if err := word(d, &s.Country, "DE"); err != nil {
					return err
				}
				return checked(d, s.CheckCountries())
			},
			"countries": func(d *caddyfile.Dispenser) error {
				if err := words(&s.Countries, "DE AT CH")(d); err != nil {
					return err
				}
				return checked(d, s.CheckCountries())
			},
			"limits": readSMSLimits(s),
		},
	}.read(d)
	if err != nil {
		return err
	}
	if err := checkSender(s, a.SenderRaw); err != nil {
		return at(directive, err)
	}
	return checkedAt(directive, s.Validate())
}

func readSMSLimits(s *config.SMS) setting {
	long := func(into *config.Duration, example string) setting {
		return func(d *caddyfile.Dispenser) error {
			if err := duration(d, into, example); err != nil {
				return err
			}
			return checked(d, s.CheckLimits())
		}
	}
	many := func(into *int, example string) setting {
		return func(d *caddyfile.Dispenser) error {
			if err := count(d, into, example); err != nil {
				return err
			}
			return checked(d, s.CheckLimits())
		}
	}
	return block{
		name:  "limits",
		order: []string{"code_ttl", "resend_after", "per_subject", "per_destination", "total"},
		settings: map[string]setting{
			"code_ttl":        long(&s.CodeTTL, "5m"),
			"resend_after":    long(&s.ResendAfter, "30s"),
			"per_subject":     many(&s.PerSubject, "3"),
			"per_destination": many(&s.PerDestination, "10"),
			"total":           many(&s.Total, "1000"),
		},
	}.read
}
