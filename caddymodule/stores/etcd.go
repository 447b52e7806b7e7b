package stores

import (
	"context"
	"crypto/tls"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/trust"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/store/etcd"
	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func init() {
	caddy.RegisterModule(Etcd{})
}

// Etcd keeps the state in etcd, which several gateways can use at the same time. Its
// first record is made once, by `caddy step-up init`. All gateways need the same
// `key`; `key_file` is refused with this store.
type Etcd struct {
	// Endpoints are the members of the cluster, each https://HOST:2379, or http:// for
	// one on this machine. Name all of them: the gateway goes on with those that
	// answer. Required.
	Endpoints []string `json:"endpoints,omitempty"`

	// Prefix stands before all keys, and ends with a slash. Gateways with one prefix
	// share one database. Default: step_up/.
	Prefix string `json:"prefix,omitempty"`

	// CA is a file of certificates by which the members are verified, in PEM. Default:
	// those of the system.
	CA string `json:"ca,omitempty"`

	// Cert is the file of the certificate that the gateway shows to the members, in
	// PEM. Default: none.
	Cert string `json:"cert,omitempty"`

	// Key is the file of the key of Cert, in PEM. Both are read anew for each
	// connection.
	Key string `json:"key,omitempty"`

	// User is the name of the gateway in etcd, where etcd has authentication enabled.
	User string `json:"user,omitempty"`

	// Password goes with User: one placeholder, {env.NAME} or {file./path}.
	Password string `json:"password,omitempty"`

	// Stale is how long a live grant may be served from memory without etcd having
	// said that nothing was revoked, from 500ms to 10s; 0 asks etcd each time. Other
	// gateways see revocations at once, and never later than this. Default: 1s.
	Stale *config.Duration `json:"stale,omitempty"`

	options etcd.Options
	logger  *zap.Logger
}

const exampleEtcdPassword = "{env.STEP_UP_ETCD_PASSWORD}"

// CaddyModule returns the module's id.
func (Etcd) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.stores.etcd", New: func() caddy.Module { return new(Etcd) }}
}

// UnmarshalCaddyfile reads the store. Syntax:
//
//	etcd {
//		endpoints URL...
//		prefix    PREFIX
//		ca        FILE
//		cert      FILE
//		key       FILE
//		user      NAME
//		password  PLACEHOLDER
//		stale     DURATION
//	}
func (e *Etcd) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("etcd takes its settings in a block, not %q: write `endpoints https://etcd1:2379` in it", d.Val())
	}
	return block.Block{
		Name:  "etcd",
		Order: []string{"endpoints", "prefix", "ca", "cert", "key", "user", "password", "stale"},
		Settings: map[string]block.Setting{
			"endpoints": block.Words(&e.Endpoints, "https://etcd1:2379"),
			"prefix":    block.Text(&e.Prefix, "step_up/"),
			"ca":        block.Text(&e.CA, "/etc/step_up/etcd-ca.pem"),
			"cert":      block.Text(&e.Cert, "/etc/step_up/etcd.pem"),
			"key":       block.Text(&e.Key, "/etc/step_up/etcd-key.pem"),
			"user":      block.Text(&e.User, "step_up"),
			"password": block.CheckedWord(&e.Password, exampleEtcdPassword, func(password string) error {
				return secret.Check("the password of etcd", password, exampleEtcdPassword)
			}),
			"stale": readStale(&e.Stale),
		},
	}.Read(d)
}

// Provision reads the certificates and the password. It connects to nothing.
func (e *Etcd) Provision(ctx caddy.Context) error {
	e.logger = ctx.Logger()
	return e.Locate()
}

// Locate checks the settings and reads the files that they name, for those that use
// the store without a running Caddy.
func (e *Etcd) Locate() (err error) {
	if len(e.Endpoints) == 0 {
		return wrong("endpoints", "the etcd store needs `endpoints`: write those of all members, such as endpoints https://etcd1:2379 https://etcd2:2379 https://etcd3:2379")
	}
	e.options = etcd.Options{Prefix: e.Prefix, User: e.User, Stale: staleOf(e.Stale)}
	for _, endpoint := range e.Endpoints {
		resolved, err := secret.Resolve(endpoint)
		if err != nil {
			return wrong("endpoints", "reading endpoints of the etcd store: %w", err)
		}
		// One placeholder may stand for all of them.
		e.options.Endpoints = append(e.options.Endpoints, strings.FieldsFunc(resolved, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })...)
	}
	if strings.ContainsAny(e.Prefix, " \t\n\x00") || len(e.Prefix) > 128 {
		return wrong("prefix", "prefix %q is not allowed: write at most 128 characters without spaces, such as step_up/", e.Prefix)
	}
	if err := checkStale(e.Stale); err != nil {
		return err
	}
	if err := e.readPassword(); err != nil {
		return err
	}
	if e.options.TLS, err = e.certificates(); err != nil {
		return err
	}
	if err := etcd.Check(e.options); err != nil {
		return wrong("endpoints", "%w", err)
	}
	return nil
}

func (e *Etcd) readPassword() (err error) {
	if (e.User == "") != (e.Password == "") {
		return wrong("user", "the etcd store needs `user` and `password`, or neither of them")
	}
	if e.Password == "" {
		return nil
	}
	if err := secret.Check("the password of etcd", e.Password, exampleEtcdPassword); err != nil {
		return wrong("password", "%w", err)
	}
	if e.options.Password, err = secret.Read("the password of etcd", e.Password); err != nil {
		return wrong("password", "%w", err)
	}
	return nil
}

// certificates returns what the files of ca, cert and key say; nil where there are
// none, for members without TLS.
func (e *Etcd) certificates() (*tls.Config, error) {
	if (e.Cert == "") != (e.Key == "") {
		return nil, wrong("cert", "the etcd store needs `cert` and `key`, or neither of them")
	}
	if e.CA == "" && e.Cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CA != "" {
		path, err := secret.Resolve(e.CA)
		if err == nil {
			c.RootCAs, err = trust.Read(path)
		}
		if err != nil {
			return nil, wrong("ca", "reading ca %s of the etcd store: %w", e.CA, err)
		}
	}
	if e.Cert != "" {
		cert, err := secret.Resolve(e.Cert)
		if err != nil {
			return nil, wrong("cert", "reading cert of the etcd store: %w", err)
		}
		key, err := secret.Resolve(e.Key)
		if err != nil {
			return nil, wrong("key", "reading key of the etcd store: %w", err)
		}
		read := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			return &pair, err
		}
		if _, err := read(); err != nil {
			return nil, wrong("cert", "reading cert and key of the etcd store: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read() }
	}
	return c, nil
}

// Name returns where the database is.
func (e *Etcd) Name() string {
	return strings.TrimSuffix(e.options.Endpoints[0], "/") + "/" + etcd.PrefixOf(e.options.Prefix)
}

// Location returns the name of the database and a mark of the settings.
func (e *Etcd) Location() string {
	o := &e.options
	return locationOf(e.Name(), o.Endpoints, e.CA, e.Cert, e.Key, o.User, o.Password, o.Stale)
}

// Shared reports that several gateways use the database, which must have one key.
func (*Etcd) Shared() bool { return true }

// Start begins to connect.
func (e *Etcd) Start() (store.Opening, error) {
	o := e.options
	o.Logger = e.logger
	s, err := etcd.Start(o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Prepare makes the first record where there is none.
func (e *Etcd) Prepare(ctx context.Context) error { return etcd.Create(ctx, e.options) }

// Inspect asks the members without opening the database.
func (e *Etcd) Inspect(ctx context.Context, key []byte) (remote.Inspection, error) {
	return etcd.Inspect(ctx, e.options, key)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Etcd)(nil)
	_ caddyfile.Unmarshaler = (*Etcd)(nil)
	_ store.Engine          = (*Etcd)(nil)
)
