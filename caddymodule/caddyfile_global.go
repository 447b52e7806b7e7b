package caddymodule

import (
	"errors"
	"math"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("step_up", parseGlobal)
}

// parseGlobal reads the global option into the app. Caddy hands over what an
// earlier block gave: the later one would silently replace it.
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Err("step_up is set twice in the global options: put everything into one block")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "step_up", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global option. Syntax:
//
//	step_up {
//		issuer           NAME
//		store            badger {
//			dir PATH
//		}
//		key              {env.NAME} | {file./path}
//		key_file         PATH
//		enrollment       first_use [until DATE] | invite | deny
//		totp {
//			algorithm sha1 | sha256 | sha512
//			digits    6 | 8
//			skew      0 | 1 | 2
//		}
//		limits {
//			challenge_ttl      DURATION
//			pending_enrollment DURATION
//			recovery_codes     COUNT
//			attempts {
//				known_browsers COUNT
//				other_browsers COUNT
//				api            COUNT
//			}
//			held {
//				size        SIZE
//				per_browser COUNT
//				total       SIZE
//				in_flight   SIZE
//				per_minute  SIZE
//			}
//		}
//		sms {
//			…
//		}
//		email {
//			…
//		}
//		passkeys off
//		passkeys {
//			relying_party     DOMAIN
//			user_verification required | preferred | discouraged
//			attachment        platform | cross_platform
//		}
//		brand {
//			name   TEXT
//			logo   FILE
//			accent "#RRGGBB"
//			link   TEXT URL
//		}
//		directory [TENANT] {
//			file PATH | http URL …
//		}
//		audit {
//			…
//		}
//		allow_plain_http
//	}
//
// The blocks sms, email, directory and audit have settings of their own; directory may be
// repeated, and every other setting may be set once. All of them are optional.
// Secrets belong here and not into a site block, where Caddy takes {file.NAME} for
// a shorthand of something else.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive, words := d.Token(), block.Lines{}
	a.Source = config.Source{"": block.Line(directive)}
	if d.NextArg() {
		return d.Errf("the global option step_up takes a block, not %q", d.Val())
	}
	err := block.Block{
		Name:    "step_up",
		Order:   []string{"issuer", "store", "key", "key_file", "enrollment", "totp", "limits", "sms", "email", "passkeys", "brand", "directory", "audit", "allow_plain_http"},
		Repeats: "directory",
		Lines:   words,
		Settings: map[string]block.Setting{
			"issuer": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &a.Issuer, `"Acme Intranet"`); err != nil {
					return err
				}
				return block.Checked(d, config.CheckIssuer(a.Issuer))
			},
			"store": func(d *caddyfile.Dispenser) error {
				raw, err := block.Guest(d, "step_up.stores", "engine", "badger", a.Source, "store")
				a.StoreRaw = raw
				return err
			},
			"key": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &a.Key, "{file./etc/step_up/key}"); err != nil {
					return err
				}
				if a.KeyFile != "" {
					return d.Err("key and key_file exclude each other: keep the one that says where your key is")
				}
				return block.Checked(d, config.CheckKey(a.Key))
			},
			"key_file": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &a.KeyFile, "/var/lib/step_up.key"); err != nil {
					return err
				}
				if a.Key != "" {
					return d.Err("key and key_file exclude each other: keep the one that says where your key is")
				}
				return nil
			},
			"enrollment":       a.readEnrollment,
			"totp":             a.readTOTP,
			"limits":           a.readLimits,
			"sms":              a.readSMS,
			"email":            a.readEmail,
			"passkeys":         a.readPasskeys,
			"brand":            a.readBrand,
			"directory":        a.readDirectory,
			"audit":            a.readAudit,
			"allow_plain_http": func(*caddyfile.Dispenser) error { a.AllowPlainHTTP = true; return nil },
		},
	}.Read(d)
	if err != nil {
		return err
	}
	for word, token := range words {
		a.Source[word] = block.Line(token)
	}
	return words.At(directive, a.Validate())
}

func (a *App) readEnrollment(d *caddyfile.Dispenser) error {
	e := &a.Enrollment
	if err := block.Word(d, &e.Policy, config.EnrollInvite); err != nil {
		return err
	}
	if d.NextArg() {
		if d.Val() != "until" {
			return d.Errf("enrollment %s: %q is not known: write `enrollment first_use until 2026-12-31`, or leave it out", e.Policy, d.Val())
		}
		if err := block.Word(d, &e.Until, "2026-12-31"); err != nil {
			return err
		}
	}
	return block.Checked(d, e.Validate())
}

func (a *App) readTOTP(d *caddyfile.Dispenser) error {
	t := &a.TOTP
	return block.Block{
		Name:  "totp",
		Order: []string{"algorithm", "digits", "skew"},
		Settings: map[string]block.Setting{
			"algorithm": func(d *caddyfile.Dispenser) error {
				if err := block.Word(d, &t.Algorithm, "sha1"); err != nil {
					return err
				}
				return block.Checked(d, t.Validate())
			},
			"digits": func(d *caddyfile.Dispenser) error {
				if err := block.Count(d, &t.Digits, "6"); err != nil {
					return err
				}
				return block.Checked(d, t.Validate())
			},
			"skew": func(d *caddyfile.Dispenser) error {
				t.Skew = new(int)
				if err := block.Number(d, t.Skew, "1"); err != nil {
					return err
				}
				return block.Checked(d, t.Validate())
			},
		},
	}.Read(d)
}

func (a *App) readLimits(d *caddyfile.Dispenser) error {
	l := &a.Limits
	check := func() error { return l.CheckEach() } // of what is read by then
	duration := func(into *config.Duration, example string) block.Setting {
		return block.CheckedDuration(into, example, check)
	}
	count := func(into *int, example string) block.Setting {
		return block.CheckedCount(into, example, check)
	}
	size := func(into *int64, example string) block.Setting {
		return func(d *caddyfile.Dispenser) error {
			name := d.Val()
			var text string
			if err := block.Word(d, &text, example); err != nil {
				return err
			}
			n, err := humanize.ParseBytes(text)
			if err != nil || n == 0 || n > math.MaxInt64 {
				return d.Errf("%s takes a size such as %s, not %q", name, example, text)
			}
			*into = int64(n)
			return block.Checked(d, l.CheckEach())
		}
	}
	return block.Block{
		Name:  "limits",
		Order: []string{"challenge_ttl", "pending_enrollment", "recovery_codes", "attempts", "held"},
		Settings: map[string]block.Setting{
			"challenge_ttl":      duration(&l.ChallengeTTL, "5m"),
			"pending_enrollment": duration(&l.PendingEnrollment, "15m"),
			"recovery_codes":     count(&l.RecoveryCodes, "10"),
			"attempts": block.Block{
				Name:  "attempts",
				Order: []string{"known_browsers", "other_browsers", "api"},
				Settings: map[string]block.Setting{
					"known_browsers": count(&l.Attempts.KnownBrowsers, "20"),
					"other_browsers": count(&l.Attempts.OtherBrowsers, "60"),
					"api":            count(&l.Attempts.API, "20"),
				},
			}.Read,
			"held": func(d *caddyfile.Dispenser) error { return a.readHeld(d, count, size) },
		},
	}.Read(d)
}

// readHeld reads the block `held`. Its settings depend on each other, in whatever
// order they come.
func (a *App) readHeld(d *caddyfile.Dispenser, count func(*int, string) block.Setting, size func(*int64, string) block.Setting) error {
	held := &a.Limits.Held
	err := block.Block{
		Name:  "held",
		Order: []string{"size", "per_browser", "total", "in_flight", "per_minute"},
		Settings: map[string]block.Setting{
			"size":        size(&held.Size, "1MiB"),
			"per_browser": count(&held.PerBrowser, "5"),
			"total":       size(&held.Total, "256MiB"),
			"in_flight":   size(&held.InFlight, "32MiB"),
			"per_minute":  size(&held.PerMinute, "32MiB"),
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return block.Checked(d, a.Limits.Validate())
}

var (
	errNoEmailSender = errors.New("email needs a sender: write `sender smtp mail.example.com:587` with `to {email}` in its block")
	errNoEmail       = errors.New("email_sender is set without email: add an email block that limits how many codes may be sent, or remove the sender")
)

// readEmail reads the settings of codes by mail. Syntax:
//
//	email {
//		sender smtp … {
//			to {email}
//			…
//		}
//		limits {
//			code_ttl        DURATION
//			resend_after    DURATION
//			per_subject     COUNT
//			per_destination COUNT
//			total           COUNT
//		}
//	}
//
// A sender is required, one that sends to mail addresses. The addresses are those of each site's identity
// source: see email there.
func (a *App) readEmail(d *caddyfile.Dispenser) error {
	directive := d.Token()
	if d.NextArg() {
		return d.Errf("email takes its settings in a block, not %q: the addresses are those that each site's identity source gives", d.Val())
	}
	a.Email = new(config.SentCodes)
	err := block.Block{
		Name:  "email",
		Order: []string{"sender", "limits"},
		Settings: map[string]block.Setting{
			"sender": a.readSender(&a.EmailSenderRaw, "smtp mail.example.com:587", "email_sender"),
			"limits": readSentLimits(a.Email, "email"),
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return block.CheckedAt(directive, checkSender(true, a.EmailSenderRaw, errNoEmailSender, errNoEmail))
}

// Interface guard
var _ caddyfile.Unmarshaler = (*App)(nil)
