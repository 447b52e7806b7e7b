package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// readSMS reads the settings of codes by SMS. Syntax:
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
// A sender is required, and one of country and countries.
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
			"sender": a.readSender(&a.SenderRaw, "webhook https://sms.example.com/send", "sms_sender"),
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
			"limits": readSentLimits(&s.SentCodes, "sms"),
		},
	}.Read(d)
	if err != nil {
		return err
	}
	if err := checkSender(true, a.SenderRaw, errNoSender, errNoSMS); err != nil {
		return block.At(directive, err)
	}
	return block.CheckedAt(directive, s.Validate())
}
