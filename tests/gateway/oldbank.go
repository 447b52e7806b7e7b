package gateway

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/examples/bank"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/recovery"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/totpapp"
	"github.com/stepup-gateway/caddy-stepup/internal/freeport"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/totp"
)

// OldBank is examples/bank behind the gateway, with the rules of its own
// Caddyfile, at the host NAME.localhost for each of several names. Each name is a
// tenant, so that the alice of one knows nothing of the alice of another.
type OldBank struct {
	*Gateway
	tlsPort string
}

// OldBankOptions say what stands behind which name.
type OldBankOptions struct {
	Plain  []string // names on plain HTTP
	Secure []string // names on HTTPS, with a certificate that nobody trusts
	// Edit changes the Caddyfile before it is used; nil leaves it.
	Edit func(caddyfile string) string
	// Before runs before the gateway starts; nil does nothing.
	Before func(*OldBank)
}

// StartOldBank starts bank and gateway.
func StartOldBank(t T, o OldBankOptions) *OldBank {
	t.Helper()
	upstream := httptest.NewServer(bank.New(bank.Options{}))
	t.Cleanup(upstream.Close)
	b := &OldBank{
		Gateway: New(t, Options{Upstream: strings.TrimPrefix(upstream.URL, "http://")}),
		tlsPort: freeport.Find(t),
	}
	if o.Before != nil {
		o.Before(b)
	}
	caddyfile := b.caddyfile(o)
	if o.Edit != nil {
		caddyfile = o.Edit(caddyfile)
	}
	b.Run(caddyfile)
	return b
}

// At is the site of a name on plain HTTP, scheme://host.
func (b *OldBank) At(name string) string { return "http://" + name + ".localhost:" + b.port }

// SecureAt is the site of a name on HTTPS.
func (b *OldBank) SecureAt(name string) string { return "https://" + name + ".localhost:" + b.tlsPort }

// caddyfile is the bank's own with other addresses, a site for each name, and
// codes good for longer.
func (b *OldBank) caddyfile(o OldBankOptions) string {
	const address = "\nhttp://localhost:8080 {\n"
	global, site, found := strings.Cut(bank.Caddyfile, address)
	if !found {
		b.t.Fatal("examples/bank/Caddyfile has another form than is expected here")
	}
	global = strings.Replace(global, "{\n", `{
	admin GW_ADMIN
	persist_config off
	default_bind 127.0.0.1
	auto_https disable_redirects
	skip_install_trust
`, 1)
	global = strings.Replace(global, "allow_plain_http\n", fmt.Sprintf("allow_plain_http\n\t\ttotp {\n\t\t\tskew %d\n\t\t}\n", totp.MaxSkew), 1)
	global = strings.ReplaceAll(global, "{$STEP_UP_DEMO:/var/tmp/step-up-demo}/", "GW_DIR/")
	site = strings.ReplaceAll(site, "localhost:9000", "GW_UPSTREAM")
	var all strings.Builder
	all.WriteString(global)
	add := func(url, name, more string) {
		all.WriteString("\n" + url + " {\n" + more + strings.Replace(site, "tenant bank\n", "tenant "+name+"\n", 1))
	}
	for _, name := range o.Plain {
		add(b.At(name), name, "")
	}
	for _, name := range o.Secure {
		add(b.SecureAt(name), name, "\ttls internal\n")
	}
	return all.String()
}

// EnrolEarlier writes an authenticator into the database that was enrolled so
// long ago. The gateway must not be running.
func (b *OldBank) EnrollEarlier(tenant, user string, ago time.Duration) App {
	b.t.Helper()
	ctx, then := context.Background(), func() time.Time { return time.Now().Add(-ago) }
	s, err := badgerstore.Open(badgerstore.Options{Dir: filepath.Join(b.Dir, "data"), Now: then})
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	db, _, err := records.OpenWithKeyFile(ctx, s, filepath.Join(b.Dir, "key"))
	if err != nil {
		b.t.Fatal(err)
	}
	settings := ceremony.DefaultSettings()
	settings.Enrollment = ceremony.FirstUse
	settings.TOTP.Skew = totp.MaxSkew
	service, err := ceremony.New(ceremony.Options{
		DB:       func(context.Context) (*records.DB, error) { return db, nil },
		Settings: settings,
		Factors:  []ceremony.Factor{totpapp.Factor{Issuer: settings.Issuer, Params: settings.TOTP}, recovery.Factor{}},
		Now:      then,
		Audit:    func(context.Context, ceremony.Event) {},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	who := ceremony.Principal{Subject: grants.Subject{Tenant: tenant, User: user}}
	begun, err := service.Enroll(ctx, who, ceremony.Setup{Kind: grants.TOTP, Label: "Old phone"}, ceremony.Leave{})
	if err != nil {
		b.t.Fatal(err)
	}
	code, err := totp.Code(begun.Key, then())
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := service.Confirm(ctx, who, begun.ID, code, ""); err != nil {
		b.t.Fatal(err)
	}
	return App{Key: begun.Key}
}
