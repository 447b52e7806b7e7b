package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// readPasskeys reads how passkeys are made and asked for. Syntax:
//
//	passkeys off
//	passkeys {
//		relying_party     DOMAIN
//		user_verification required | preferred | discouraged
//		attachment        platform | cross_platform
//	}
func (a *App) readPasskeys(d *caddyfile.Dispenser) error {
	p := &a.Passkeys
	if d.NextArg() {
		if d.Val() != "off" {
			return d.Errf("passkeys takes its settings in a block, or the word off, not %q", d.Val())
		}
		p.Disabled = true
		return nil
	}
	said := func(into *string, example string) block.Setting {
		return func(d *caddyfile.Dispenser) error {
			if err := block.Word(d, into, example); err != nil {
				return err
			}
			return block.Checked(d, p.Validate())
		}
	}
	return block.Block{
		Name:  "passkeys",
		Order: []string{"relying_party", "user_verification", "attachment"},
		Settings: map[string]block.Setting{
			"relying_party": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &p.RelyingParty, "example.com"); err != nil {
					return err
				}
				return block.Checked(d, config.CheckRelyingParty(p.RelyingParty))
			},
			"user_verification": said(&p.UserVerification, config.VerificationRequired),
			"attachment":        said(&p.Attachment, config.AttachmentPlatform),
		},
	}.Read(d)
}
