// Package config is what an operator may configure in the step-up gateway, as plain
// data: the settings of the whole gateway (App), of one site (Site) and of one
// protected action (Rule), with their JSON names, defaults and limits.
//
// It promises that settings which pass Validate are complete and within their
// limits, and that every refusal is a sentence that says what to write instead.
// The field comments are the manual.
//
// It reads no file, resolves no placeholder and knows nothing of Caddy: matchers
// are carried as the JSON the operator wrote, and are only compared, never run.
package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// Limits that no setting can move.
const (
	// MaxRules bounds the rules of one site. The overlap check compares each
	// pair, and every request is checked against each rule.
	MaxRules = 200
	// MaxPaths bounds the paths of one rule, and its exceptions.
	MaxPaths = 100
	// MaxLabel bounds, in bytes, any text that is shown on a page.
	MaxLabel = 100
)

// App is set once for the whole gateway.
type App struct {
	// Issuer names the service in the authenticator app, above the six
	// digits. 1 to 64 bytes, without a colon. Default "Step-up".
	Issuer string `json:"issuer,omitempty"`

	// Key is where the key that seals secrets comes from: one placeholder,
	// {env.NAME} or {file./path/to/key}. The key itself is refused here, since
	// Caddy shows its configuration to whoever asks its admin endpoint. `caddy
	// step-up keygen` prints a fresh key. Exclusive with KeyFile.
	Key string `json:"key,omitempty"`

	// KeyFile is the file that holds the key. Where neither it nor the
	// database exists, a key is generated into it at the first start, with
	// mode 0600. It may not lie inside the database's directory, where a
	// stolen backup would carry both. Default: step_up/key in Caddy's
	// configuration directory, or step_up.key where that is its data directory
	// too. Exclusive with Key.
	KeyFile string `json:"key_file,omitempty"`

	// Enrollment is who may enroll a first authenticator. Default: invite.
	Enrollment Enrollment `json:"enrollment,omitzero"`

	// TOTP is the shape of the codes that new authenticators give.
	TOTP TOTP `json:"totp,omitzero"`

	// Limits are the lifetimes and budgets.
	Limits Limits `json:"limits,omitzero"`

	// SMS sends codes to telephones. Default: no such method.
	SMS *SMS `json:"sms,omitempty"`

	// Email sends codes to the mail address that the site's identity source provides,
	// to nobody for whom it provides none. A mailbox is often what resets the password,
	// so this proves little: rules that need more name their methods. Default: no
	// such method.
	Email *SentCodes `json:"email,omitempty"`

	// Passkeys is how passkeys are made and asked for. Default: each site takes
	// its own, and the user is verified.
	Passkeys Passkeys `json:"passkeys,omitzero"`

	// Brand is how the gateway's pages look.
	Brand Brand `json:"brand,omitzero"`

	// Audit is where the audit log is written, beside Caddy's logger step_up.audit.
	// Default: to that logger alone, without a chain.
	Audit *Audit `json:"audit,omitempty"`

	// AllowPlainHTTP serves the gateway's pages and honors grants where the
	// request came without TLS. Cookies then lose the Secure attribute and
	// the __Host- prefix: whoever reads the network takes them. For
	// development, or where encryption ends in front of this Caddy and it
	// cannot be told through trusted_proxies. Default: false.
	AllowPlainHTTP bool `json:"allow_plain_http,omitempty"`
}

// WithDefaults returns a with everything filled in that was left out.
func (a App) WithDefaults() App {
	if a.Issuer == "" {
		a.Issuer = "Step-up"
	}
	a.Enrollment = a.Enrollment.withDefaults()
	a.TOTP = a.TOTP.withDefaults()
	a.Limits = a.Limits.withDefaults()
	a.Passkeys = a.Passkeys.withDefaults()
	if a.SMS != nil {
		sms := a.SMS.WithDefaults()
		a.SMS = &sms
	}
	if a.Email != nil {
		email := a.Email.WithDefaults()
		a.Email = &email
	}
	return a
}

// Validate returns the first thing that is wrong with a, as a sentence.
func (a App) Validate() error {
	if err := CheckIssuer(a.Issuer); a.Issuer != "" && err != nil {
		return at(err, "issuer")
	}
	if a.Key != "" {
		if err := CheckKey(a.Key); err != nil {
			return at(err, "key")
		}
		if a.KeyFile != "" {
			return at(errors.New("key and key_file exclude each other: keep the one that says where your key is"), "key_file")
		}
	}
	if err := a.Enrollment.Validate(); err != nil {
		return at(err, "enrollment")
	}
	if err := a.TOTP.Validate(); err != nil {
		return at(err, "totp")
	}
	if err := a.Passkeys.Validate(); err != nil {
		return at(err, "passkeys")
	}
	if err := a.Brand.Validate(); err != nil {
		return at(err, "brand")
	}
	if err := a.Limits.Validate(); err != nil {
		return at(err, "limits")
	}
	if a.Audit != nil {
		if err := a.Audit.Validate(); err != nil {
			return at(err, "audit")
		}
	}
	if a.Email != nil {
		if err := a.Email.CheckLimits("email"); err != nil {
			return at(err, "email")
		}
	}
	if a.SMS == nil {
		return nil
	}
	return at(a.SMS.Validate(), "sms")
}

// The ways to pass a step-up.
const (
	MethodPasskey      = "passkey"
	MethodTOTP         = "totp"
	MethodSMS          = "sms"
	MethodEmail        = "email"
	MethodRecoveryCode = "recovery_code"
)

// methods are all of them, those that are harder to steal first.
var methods = []string{MethodPasskey, MethodTOTP, MethodSMS, MethodEmail, MethodRecoveryCode}

// Methods are the ways to pass that there are under a, the preferred one first.
func (a App) Methods() []string {
	return slices.DeleteFunc(slices.Clone(methods), func(m string) bool {
		return m == MethodSMS && a.SMS == nil || m == MethodEmail && a.Email == nil || m == MethodPasskey && a.Passkeys.Disabled
	})
}

// CheckIssuer checks the name shown in authenticator apps against its limits.
// The colon separates issuer and account in an otpauth URI, and apps cut there.
func CheckIssuer(issuer string) error {
	if issuer == "" || len(issuer) > 64 || !printable(issuer) || strings.Contains(issuer, ":") {
		return errors.New(`issuer must be 1 to 64 bytes of printable text without a colon, such as "Acme Intranet"`)
	}
	return nil
}

// CheckKey refuses everything that is not one placeholder read from outside the
// configuration.
func CheckKey(key string) error {
	if IsOutside(key) {
		return nil
	}
	// The value is not repeated: it may well be the secret.
	return errors.New("key must be one placeholder such as {file./etc/step_up/key} or {env.STEP_UP_KEY}: a key written into the configuration can be read back through Caddy's admin endpoint; leave key out to have one generated into key_file")
}

// IsOutside reports whether s is one placeholder read from outside the configuration,
// {env.NAME} or {file./path}, as a secret must be.
func IsOutside(s string) bool {
	name, ok := Placeholder(s)
	return ok && (strings.HasPrefix(name, "env.") && len(name) > len("env.") ||
		strings.HasPrefix(name, "file.") && len(name) > len("file."))
}

// Placeholder returns what stands between the braces of s, where s is one
// placeholder and nothing else.
func Placeholder(s string) (name string, ok bool) {
	if len(s) < 3 || s[0] != '{' || s[len(s)-1] != '}' {
		return "", false
	}
	name = s[1 : len(s)-1]
	if strings.ContainsAny(name, "{}") || !printable(name) {
		return "", false
	}
	return name, true
}

// printable reports whether s is UTF-8 without control and format characters,
// which could reorder or hide parts of a page or a log line.
func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}

// oneOf is the sentence for a word that is not among the known ones.
func oneOf(setting, got string, known ...string) error {
	return fmt.Errorf("%s %q is not known: %s", setting, got, nearest.OneOf(got, known))
}
