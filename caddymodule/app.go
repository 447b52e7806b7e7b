package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/auditing"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/foresight"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/metrics"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/place"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/clock"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/mail"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/passkey"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/recovery"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sentcode"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/sms"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/pages"
	"github.com/stepup-gateway/caddy-stepup/internal/quota"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is what is set once for all sites: the database, the key, the policies.
// It exists with its defaults wherever a site has a step_up handler.
type App struct {
	config.App

	// StoreRaw is where the state is kept, a module of the namespace
	// step_up.stores. Default: badger in step_up/ of Caddy's data directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=step_up.stores inline_key=engine"`

	// SenderRaw is what texts are sent with, a module of the namespace
	// step_up.senders. Required if sms is set, and refused elsewhere.
	SenderRaw json.RawMessage `json:"sms_sender,omitempty" caddy:"namespace=step_up.senders inline_key=sender"`

	// EmailSenderRaw is what codes by mail are sent with, a module of the namespace
	// step_up.senders that sends to mail addresses. Required if email is set,
	// and refused elsewhere.
	EmailSenderRaw json.RawMessage `json:"email_sender,omitempty" caddy:"namespace=step_up.senders inline_key=sender"`

	// DirectoriesRaw are directories of users by tenant, each a module of the
	// namespace step_up.directories. The API for servers enrolls, and the commands
	// invite and reset, only users of the tenant's directory. People who signed in at
	// the identity source are not looked up. Default: none; every name is believed.
	DirectoriesRaw map[string]json.RawMessage `json:"directories,omitempty" caddy:"namespace=step_up.directories inline_key=directory"`

	// Source tells where these settings stand in a Caddyfile. The Caddyfile's
	// adapter writes it, for messages. Default: unknown.
	Source config.Source `json:"source,omitempty"`

	directories map[string]Directory // by tenant

	ctx       caddy.Context    // of the configuration
	db        *database.Shared // nil until Provision acquired it
	service   *ceremony.Service
	auditLog  *zap.Logger
	outputs   *auditing.Outputs // of the audit log, beside auditLog; nil where there are none
	events    *caddyevents.App
	sender    Sender // nil where no texts are sent
	mailer    Sender // nil where no codes are mailed
	brand     *pages.Brand
	hosts     coverage.Hosts
	foresight *foresight.Foresight
	sites     []*Handler // in the order they were provisioned
	apis      []*API
	userIDs   map[string]string // how user ids are compared, by tenant; see compares
	logger    *zap.Logger

	// fingerprints are what the configuration says of its tenants, made once.
	fingerprints func() map[string]*records.Fingerprint
}

// CaddyModule returns the module's id. It is asked with each event, and must not copy
// an App that is being cleaned up.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up", New: func() caddy.Module { return new(App) }}
}

// Provision checks the settings and refers to the database, without opening it.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	return place.Place{Path: "apps.step_up", Source: a.Source}.Refused(a.provision(ctx))
}

func (a *App) provision(ctx caddy.Context) error {
	var err error
	if a.foresight, err = foresight.New(a, a.KeyFile, a.StoreRaw, routesOf); err != nil {
		return err
	}
	if err := a.App.Validate(); err != nil {
		return err
	}
	if err := a.loadBrand(); err != nil {
		return &config.PathError{Path: "brand", Err: err}
	}
	if err := metrics.Register(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if a.sender, err = a.loadSender(ctx); err != nil {
		return err
	}
	if err := checkSender(a.Email != nil, a.EmailSenderRaw, errNoEmailSender, errNoEmail); err != nil {
		return err
	}
	if a.Email != nil {
		if a.mailer, err = a.loadGuest(ctx, "EmailSenderRaw", a.EmailSenderRaw, "email", toAddresses); err != nil {
			return err
		}
	}
	if err := a.loadDirectories(ctx); err != nil {
		return err
	}
	e, err := a.loadEngine(ctx)
	if err != nil {
		return err
	}
	keys, err := database.NewKeySource(a.Key, a.KeyFile, e)
	if err != nil {
		return &config.PathError{Path: a.keySetting(), Err: err}
	}
	if a.db, err = database.Acquire(e, keys, a.logger); err != nil {
		return &config.PathError{Path: "store", Err: err}
	}
	a.fingerprints = sync.OnceValue(a.fingerprintsOf)
	a.auditLog = a.logger.Named("audit")
	if a.outputs, err = auditing.Acquire(a.Audit, a.logger); err != nil {
		return &config.PathError{Path: "audit", Err: err}
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	a.events = events.(*caddyevents.App)
	a.service, err = a.newService()
	return err
}

// stepUp returns the app, which is provisioned for the first handler that asks.
func stepUp(ctx caddy.Context) (*App, error) {
	module, err := ctx.App("step_up")
	if err != nil {
		return nil, place.Already(err) // Caddy keeps the text alone
	}
	return module.(*App), nil
}

// keySetting is the setting that says where the key is.
func (a *App) keySetting() string {
	if a.Key != "" {
		return "key"
	}
	return "key_file"
}

func (a *App) loadEngine(ctx caddy.Context) (StoreEngine, error) {
	if a.StoreRaw == nil {
		module, err := ctx.LoadModuleByID("step_up.stores.badger", nil)
		if err != nil {
			return nil, fmt.Errorf("loading store: %w", err)
		}
		return module.(StoreEngine), nil
	}
	module, err := block.Load(ctx, a, "StoreRaw", a.StoreRaw, "step_up.stores", "engine", "store")
	if err != nil {
		return nil, err
	}
	e, ok := module.(StoreEngine)
	if !ok {
		return nil, &config.PathError{Path: "store", Err: fmt.Errorf("%T is no store", module)}
	}
	return e, nil
}

// newService makes the domain's verbs over the settings and the database.
func (a *App) newService() (*ceremony.Service, error) {
	said := a.App.WithDefaults()
	until, err := said.Enrollment.Deadline()
	if err != nil {
		return nil, err
	}
	settings := ceremony.DefaultSettings()
	settings.Issuer = said.Issuer
	settings.Enrollment = ceremony.EnrollPolicy(said.Enrollment.Policy)
	settings.Until = until
	settings.TOTP = totp.Params{Algorithm: algorithms[said.TOTP.Algorithm], Digits: said.TOTP.Digits, Skew: *said.TOTP.Skew}
	settings.ChallengeTTL = time.Duration(said.Limits.ChallengeTTL)
	settings.PendingTTL = time.Duration(said.Limits.PendingEnrollment)
	settings.RecoveryCodes = said.Limits.RecoveryCodes
	settings.Budgets.Device = said.Limits.Attempts.KnownBrowsers
	settings.Budgets.Browser = said.Limits.Attempts.OtherBrowsers
	settings.Budgets.API = said.Limits.Attempts.API
	settings.HeldPerBrowser = said.Limits.Held.PerBrowser
	settings.HeldInAll = said.Limits.Held.Total
	settings.HeldInFlight = said.Limits.Held.InFlight
	settings.HeldPerMinute = said.Limits.Held.PerMinute
	return ceremony.New(ceremony.Options{
		DB:        a.outputs.Guard(a.db.Get),
		Settings:  settings,
		Factors:   a.factors(said, settings.TOTP),
		Now:       clock.Now,
		Audit:     a.audit,
		Directory: a.listed,

		Fingerprint: func(tenant string) *records.Fingerprint { return a.fingerprints()[tenant] },
	})
}

// factors are the means of proof, the one that is asked for first at the front.
func (a *App) factors(said config.App, codes totp.Params) []ceremony.Factor {
	factors := []ceremony.Factor{totpapp.Factor{Issuer: said.Issuer, Params: codes}, a.texts(said.Issuer), a.mails(said.Issuer), recovery.Factor{}}
	if said.Passkeys.Disabled {
		return factors
	}
	return append([]ceremony.Factor{passkey.Factor{
		RelyingParty: said.Passkeys.RelyingParty, Name: said.Issuer,
		UserVerification: said.Passkeys.UserVerification, Attachment: said.Passkeys.Attachment,
	}}, factors...)
}

// texts sends codes to phones, or none where no sender is configured.
func (a *App) texts(issuer string) sms.Factor {
	if a.SMS == nil {
		return sms.New(sentcode.Codes{}, sms.Numbers{}, nil)
	}
	said := a.SMS.WithDefaults()
	return sms.New(a.codes(issuer, a.sender, said.SentCodes), sms.Numbers{Country: said.Country, Countries: said.Countries}, a.hosts.Names)
}

// mails sends codes to mail addresses, or none where that is not configured.
func (a *App) mails(issuer string) mail.Factor {
	if a.Email == nil {
		return mail.New(sentcode.Codes{})
	}
	return mail.New(a.codes(issuer, a.mailer, a.Email.WithDefaults()))
}

// codes are codes that the sender sends, within their limits.
func (a *App) codes(issuer string, by Sender, said config.SentCodes) sentcode.Codes {
	return sentcode.Codes{Issuer: issuer, Send: a.sendBy(by), Bounds: quota.Bounds{
		CodeTTL: time.Duration(said.CodeTTL), ResendAfter: time.Duration(said.ResendAfter),
		PerSubject: said.PerSubject, PerDestination: said.PerDestination, Total: said.Total,
	}}
}

// sendBy passes texts on to the sender. Why one failed is for the operator; whoever
// waits for the code is told no more than that it did.
func (a *App) sendBy(s Sender) func(ctx context.Context, to, text string) error {
	return func(ctx context.Context, to, text string) error {
		err := s.Send(ctx, to, text)
		if err != nil {
			a.logger.Error("a code could not be sent", zap.Error(err))
		}
		return err
	}
}

var algorithms = map[string]totp.Algorithm{"sha1": totp.SHA1, "sha256": totp.SHA256, "sha512": totp.SHA512}

// Start opens the database, so that one that cannot be opened is told now and
// not to the first visitor. Requests may come before: apps start in any order,
// and handlers open it themselves.
func (a *App) Start() error {
	a.warnUnasked()
	if err := a.outputs.Open(); err != nil {
		return err
	}
	// While the first configuration of a process starts, none is active.
	cold := caddy.ActiveContext().Context == nil
	if err := a.db.Start(cold); err != nil {
		return err
	}
	if err := a.checkTenants(cold); err != nil {
		return err
	}
	metrics.Of(a.db.Condition)
	metrics.OfAudit(a.outputs.Counts)
	return nil
}

// Stop leaves the database open: requests that the http app still serves, and
// the next configuration, use it. Refusals that were only counted are logged.
func (a *App) Stop() error {
	refusedCalls.Flush()
	return nil
}

// Cleanup gives up the database and the audit log. It also runs after a Provision
// that failed, so only what this instance acquired is given up.
func (a *App) Cleanup() error {
	err := a.outputs.Release()
	if db := a.db; db != nil {
		a.db = nil
		err = errors.Join(err, db.Release())
	}
	return err
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
