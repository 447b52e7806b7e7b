package caddymodule

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"

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
		return nil, d.Err("step_up is said twice in the global options: put everything into one block")
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
//		allow_plain_http
//	}
//
// The block sms is shown above readSMS. Everything may be left out; what each
// setting means, and what it is when left out, stands at the fields of config.App.
// Each is said at most once. Secrets belong here and not into a site block, where
// Caddy takes {file.NAME} for a shorthand of something else.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("the global option step_up takes a block, not %q", d.Val())
	}
	err := block{
		name:  "step_up",
		order: []string{"issuer", "store", "key", "key_file", "enrollment", "totp", "limits", "sms", "passkeys", "brand", "allow_plain_http"},
		settings: map[string]setting{
			"issuer": func(d *caddyfile.Dispenser) error {
				if err := word(d, &a.Issuer, `"Acme Intranet"`); err != nil {
					return err
				}
				return checked(d, config.CheckIssuer(a.Issuer))
			},
			"store": func(d *caddyfile.Dispenser) error {
				raw, err := guest(d, "step_up.stores", "engine", "badger")
				a.StoreRaw = raw
				return err
			},
			"key": func(d *caddyfile.Dispenser) error {
				if err := word(d, &a.Key, "{file./etc/step_up/key}"); err != nil {
					return err
				}
				if a.KeyFile != "" {
					return d.Err("key and key_file exclude each other: keep the one that says where your key is")
				}
				return checked(d, config.CheckKey(a.Key))
			},
			"key_file": func(d *caddyfile.Dispenser) error {
				if err := word(d, &a.KeyFile, "/var/lib/step_up.key"); err != nil {
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
			"passkeys":         a.readPasskeys,
			"brand":            a.readBrand,
			"allow_plain_http": func(*caddyfile.Dispenser) error { a.AllowPlainHTTP = true; return nil },
		},
	}.read(d)
	if err != nil {
		return err
	}
	return checked(d, a.Validate())
}

func (a *App) readEnrollment(d *caddyfile.Dispenser) error {
	e := &a.Enrollment
	if err := word(d, &e.Policy, config.EnrollInvite); err != nil {
		return err
	}
	if d.NextArg() {
		if d.Val() != "until" {
			return d.Errf("enrollment %s: %q is not known: write `enrollment first_use until 2026-12-31`, or leave it out", e.Policy, d.Val())
		}
		if err := word(d, &e.Until, "2026-12-31"); err != nil {
			return err
		}
	}
	return checked(d, e.Validate())
}

func (a *App) readTOTP(d *caddyfile.Dispenser) error {
	t := &a.TOTP
	return block{
		name:  "totp",
		order: []string{"algorithm", "digits", "skew"},
		settings: map[string]setting{
			"algorithm": func(d *caddyfile.Dispenser) error {
				if err := word(d, &t.Algorithm, "sha1"); err != nil {
					return err
				}
				return checked(d, t.Validate())
			},
			"digits": func(d *caddyfile.Dispenser) error {
				if err := count(d, &t.Digits, "6"); err != nil {
					return err
				}
				return checked(d, t.Validate())
			},
			"skew": func(d *caddyfile.Dispenser) error {
				t.Skew = new(int)
				if err := number(d, t.Skew, "1"); err != nil {
					return err
				}
				return checked(d, t.Validate())
			},
		},
	}.read(d)
}

func (a *App) readLimits(d *caddyfile.Dispenser) error {
	l := &a.Limits
	duration := func(into *config.Duration, example string) setting {
		return func(d *caddyfile.Dispenser) error {
			if err := duration(d, into, example); err != nil {
				return err
			}
			return checked(d, l.CheckEach())
		}
	}
	count := func(into *int, example string) setting {
		return func(d *caddyfile.Dispenser) error {
			if err := count(d, into, example); err != nil {
				return err
			}
			return checked(d, l.CheckEach())
		}
	}
	size := func(into *int64, example string) setting {
		return func(d *caddyfile.Dispenser) error {
			name := d.Val()
			var text string
			if err := word(d, &text, example); err != nil {
				return err
			}
			n, err := humanize.ParseBytes(text)
			if err != nil || n == 0 || n > math.MaxInt64 {
				return d.Errf("%s takes a size such as %s, not %q", name, example, text)
			}
			*into = int64(n)
			return checked(d, l.CheckEach())
		}
	}
	return block{
		name:  "limits",
		order: []string{"challenge_ttl", "pending_enrollment", "recovery_codes", "attempts", "held"},
		settings: map[string]setting{
			"challenge_ttl":      duration(&l.ChallengeTTL, "5m"),
			"pending_enrollment": duration(&l.PendingEnrollment, "15m"),
			"recovery_codes":     count(&l.RecoveryCodes, "10"),
			"attempts": block{
				name:  "attempts",
				order: []string{"known_browsers", "other_browsers", "api"},
				settings: map[string]setting{
					"known_browsers": count(&l.Attempts.KnownBrowsers, "20"),
					"other_browsers": count(&l.Attempts.OtherBrowsers, "60"),
					"api":            count(&l.Attempts.API, "20"),
				},
			}.read,
			"held": func(d *caddyfile.Dispenser) error { return a.readHeld(d, count, size) },
		},
	}.read(d)
}

// readHeld reads the block `held`. Its settings depend on each other, in whatever
// order they come.
func (a *App) readHeld(d *caddyfile.Dispenser, count func(*int, string) setting, size func(*int64, string) setting) error {
	held := &a.Limits.Held
	err := block{
		name:  "held",
		order: []string{"size", "per_browser", "total", "in_flight", "per_minute"},
		settings: map[string]setting{
			"size":        size(&held.Size, "1MiB"),
			"per_browser": count(&held.PerBrowser, "5"),
			"total":       size(&held.Total, "256MiB"),
			"in_flight":   size(&held.InFlight, "32MiB"),
			"per_minute":  size(&held.PerMinute, "32MiB"),
		},
	}.read(d)
	if err != nil {
		return err
	}
	return checked(d, a.Limits.Validate())
}

// guest reads `NAME …`, a module of the given namespace, into its JSON form
// with its name beside it.
func guest(d *caddyfile.Dispenser, namespace, inlineKey, example string) (json.RawMessage, error) {
	var name string
	if err := word(d, &name, example); err != nil {
		return nil, err
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, inlineKey, name, nil), nil
}

func number(d *caddyfile.Dispenser, into *int, example string) error {
	name := d.Val()
	var s string
	if err := word(d, &s, example); err != nil {
		return err
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return d.Errf("%s takes a whole number such as %s, not %q", name, example, s)
	}
	*into = n
	return nil
}

// count is number without zero, which stands for "left out" in these settings.
func count(d *caddyfile.Dispenser, into *int, example string) error {
	name := d.Val()
	if err := number(d, into, example); err != nil {
		return err
	}
	if *into == 0 {
		return d.Errf("%s cannot be 0: write a number such as %s, or leave it out", name, example)
	}
	return nil
}

// duration reads a length of time other than zero.
func duration(d *caddyfile.Dispenser, into *config.Duration, example string) error {
	name := d.Val()
	var s string
	if err := word(d, &s, example); err != nil {
		return err
	}
	parsed, err := config.ParseDuration(s)
	if err != nil {
		return d.WrapErr(err)
	}
	if parsed == 0 {
		return d.Errf("%s cannot be 0: write a duration such as %s, or leave it out", name, example)
	}
	*into = parsed
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*App)(nil)
