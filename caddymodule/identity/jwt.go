package sources

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/facts"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/jwtauth"
)

func init() {
	caddy.RegisterModule(JWT{})
}

// JWT takes the user from a signed token (RFC 7519) that the request carries, and
// that the application verifies as well.
//
// Nobody is signed in where there is no token, or none that is good; the reason is
// logged at DEBUG. Two tokens that differ, or two in one place, are answered with
// 400, and so is another credential beside the token, such as Basic. Where the keys of a jwks URL have not been fetched yet, the answer is 503.
type JWT struct {
	// Cookie names the cookie that carries the token. At least one of cookie and
	// bearer is required. Say both where the application reads both.
	Cookie string `json:"cookie,omitempty"`
	// Bearer says that the token comes as `Authorization: Bearer`.
	Bearer bool `json:"bearer,omitempty"`

	// Keys are what tokens are verified with: {env.NAME} or {file./path} of a
	// public key or a certificate in PEM, or of a shared secret of at least 32
	// bytes. All are tried, whatever key a token names. Exactly one of keys and
	// jwks is required.
	Keys []string `json:"keys,omitempty"`
	// JWKS is the URL of the issuer's key set (RFC 7517). It is fetched when it
	// is first needed; again after 15 minutes, and where a token names a key
	// that is not in it, but at most once in 10 seconds. While the issuer
	// cannot be reached the known keys are used, for a day at most. https, or
	// http within the private network. {env.*} is replaced.
	JWKS string `json:"jwks,omitempty"`
	// Algorithms are accepted: HS256, HS384, HS512, RS256, RS384, RS512, PS256,
	// PS384, PS512, ES256, ES384, ES512, EdDSA. A key is used with those of its
	// kind only. Default: HS256 for a secret, RS256 for RSA, that of the curve
	// for EC, EdDSA for Ed25519; in a key set, what the key says.
	Algorithms []string `json:"algorithms,omitempty"`

	// Issuer must be the claim iss. "any" accepts every issuer, with keys only.
	// Required.
	Issuer string `json:"issuer"`
	// Audience: one of these must be in the claim aud, so that a token for
	// another application is none here. "any" alone accepts every token.
	// Required.
	Audience []string `json:"audience"`
	// Leeway is how far the issuer's clock may be off. At most 2m. Default: 30s.
	Leeway config.Duration `json:"leeway,omitzero"`

	// User, Tenant and Session are where these stand in the token: the name of
	// a claim, or a JSON pointer to one further in, such as
	// /realm_access/user. User is required in the token; default: sub.
	User string `json:"user,omitempty"`
	// Tenant must be in the token and equal the site's tenant. Default: not
	// looked at.
	Tenant string `json:"tenant,omitempty"`
	// Session tells sessions apart, so that a grant ends with its session.
	// If it is set it must be in the token; default: sid, if it is there.
	Session string `json:"session,omitempty"`
	// Email is where the user's mail address stands, to which codes are sent where
	// that is configured. If the token has a claim email_verified that is not true,
	// no address is known. Default: email, if it is there.
	Email string `json:"email,omitempty"`

	verifier *jwtauth.Verifier
	vouched  []identity.Credential // the cookie, and with it a bearer token
	keySet   string                // key in keySets, "" where none was acquired
	logger   *zap.Logger
}

// keySets holds one entry for each key set in use, so that its keys outlive a
// reload: it may come during an outage of the issuer.
var keySets = caddy.NewUsagePool()

// pooledKeySet is a key set as the pool wants it.
type pooledKeySet struct{ *jwtauth.KeySet }

func (s pooledKeySet) Destruct() error {
	s.Close()
	return nil
}

// anyone accepts every issuer or audience.
const anyone = "any"

// CaddyModule returns the module's id.
func (JWT) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.identity.jwt", New: func() caddy.Module { return new(JWT) }}
}

// UnmarshalCaddyfile reads the identity source. Syntax:
//
//	jwt {
//		cookie NAME
//		bearer
//
//		key        {env.NAME} | {file./path}
//		jwks       URL
//		algorithms NAME...
//
//		issuer   ISSUER | any
//		audience AUDIENCE... | any
//		leeway   DURATION
//
//		user    CLAIM
//		tenant  CLAIM
//		session CLAIM
//		email   CLAIM
//	}
//
// Required are cookie or bearer, or both; key or jwks; issuer; and audience. key
// may be repeated; each other setting is set at most once. A CLAIM is the name of
// one, or a JSON pointer to one further in.
func (j *JWT) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive, lines := d.Token(), block.Lines{}
	if d.NextArg() {
		return d.Errf("jwt takes its settings in a block, not %q", d.Val())
	}
	err := block.Block{
		Lines:   lines,
		Name:    "jwt",
		Repeats: "key",
		Order:   []string{"cookie", "bearer", "key", "jwks", "algorithms", "issuer", "audience", "leeway", "user", "tenant", "session", "email"},
		Settings: map[string]block.Setting{
			"cookie": block.Text(&j.Cookie, "access_token"),
			"bearer": func(*caddyfile.Dispenser) error { j.Bearer = true; return nil },
			"key": func(d *caddyfile.Dispenser) error {
				var key string
				if err := block.Word(d, &key, "{file./etc/step_up/issuer.pem}"); err != nil {
					return err
				}
				j.Keys = append(j.Keys, key)
				return block.Checked(d, checkTokenKey(key))
			},
			"jwks":       block.Text(&j.JWKS, "https://id.example.com/.well-known/jwks.json"),
			"algorithms": block.Words(&j.Algorithms, "RS256"),
			"issuer":     block.Text(&j.Issuer, "https://id.example.com/"),
			"audience":   block.Words(&j.Audience, "intranet"),
			"leeway":     func(d *caddyfile.Dispenser) error { return block.Duration(d, &j.Leeway, "30s") },
			"user":       block.Text(&j.User, "preferred_username"),
			"tenant":     block.Text(&j.Tenant, "org"),
			"session":    block.Text(&j.Session, "sid"),
			"email":      block.Text(&j.Email, "email"),
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return lines.At(directive, j.check())
}

// checkTokenKey refuses everything that is not one placeholder. The value is not
// repeated: it may well be the secret.
func checkTokenKey(key string) error {
	name, ok := config.Placeholder(key)
	switch {
	case config.IsOutside(key):
		return nil
	case ok && strings.HasPrefix(name, "http.request.uri.path.file."):
		return errors.New("key: in a site, Caddy takes {file.NAME} for the name of the requested file: write the whole path, as in {file./etc/step_up/issuer.pem}")
	}
	return errors.New("key must be one placeholder, {file./path} or {env.NAME}: a secret written into the configuration can be read back through Caddy's admin endpoint")
}

// check returns what is wrong with the settings as they are written, before keys
// are read.
func (j *JWT) check() error {
	switch {
	case (len(j.Keys) == 0) == (j.JWKS == ""):
		return errors.New("jwt needs either a key or a jwks URL to verify tokens with: write one of them")
	case j.Issuer == "":
		return errors.New("jwt must be told who issues the tokens: write `issuer https://id.example.com/`, or `issuer any` where the key is the issuer's alone")
	case len(j.Audience) == 0:
		return errors.New("jwt must be told for whom the tokens are made: write `audience NAME` with what stands in their claim aud, or `audience any` if every token of the issuer is for this application")
	}
	if err := config.CheckForeignCookie("cookie", j.Cookie); err != nil {
		return err
	}
	for _, key := range j.Keys {
		if err := checkTokenKey(key); err != nil {
			return err
		}
	}
	for _, a := range j.Audience {
		if a == "" || a == anyone && len(j.Audience) > 1 {
			return errors.New("audience is either `any` or a list of names: keep one of them")
		}
	}
	if err := block.OnlyPlaceholders("jwks", j.JWKS, "env."); err != nil {
		return err
	}
	o := j.options()
	if err := o.CheckSettings(); err != nil || j.JWKS == "" {
		return err // what depends on the keys is seen once they are read
	}
	url := j.JWKS
	if strings.Contains(url, "{") {
		url = "https://localhost/" // not replaced yet
	}
	var err error
	if o.KeySet, err = jwtauth.NewKeySet(jwtauth.KeySetOptions{URL: url}); err != nil {
		return err
	}
	_, err = jwtauth.New(o)
	return err
}

// options are the settings as the verifier wants them, without keys.
func (j *JWT) options() jwtauth.Options {
	o := jwtauth.Options{
		Cookie: j.Cookie, Bearer: j.Bearer, Algorithms: j.Algorithms,
		Issuer: j.Issuer, Audiences: j.Audience, Leeway: time.Duration(j.Leeway),
		User: j.User, Tenant: j.Tenant, Session: j.Session, Email: j.Email,
	}
	if j.Issuer == anyone {
		o.Issuer = ""
	}
	if len(j.Audience) == 1 && j.Audience[0] == anyone {
		o.Audiences = nil
	}
	return o
}

// Provision reads the keys. A key set is not fetched yet.
func (j *JWT) Provision(ctx caddy.Context) error {
	j.logger = ctx.Logger()
	if err := j.check(); err != nil {
		return err
	}
	o := j.options()
	for _, setting := range j.Keys {
		text, err := secret.Resolve(setting)
		if err != nil {
			return fmt.Errorf("reading key %s: %w", setting, err)
		}
		key, err := jwtauth.ParseKey(text)
		if err != nil {
			return fmt.Errorf("reading key %s: %w", setting, err)
		}
		o.Keys = append(o.Keys, key)
	}
	if j.JWKS != "" {
		url, err := secret.Resolve(j.JWKS)
		if err != nil {
			return fmt.Errorf("reading the URL of jwks: %w", err)
		}
		if o.KeySet, err = j.acquire(url); err != nil {
			return err
		}
	}
	j.vouched = []identity.Credential{{Kind: identity.Cookie, Name: j.Cookie}, {Kind: identity.Header, Name: "Authorization"}}
	var err error
	j.verifier, err = jwtauth.New(o)
	return err
}

// bearer is the scheme of a token in the Authorization field (RFC 6750 section 2.1).
const bearer = "Bearer "

// acquire refers to the key set of a URL, which all configurations share.
func (j *JWT) acquire(url string) (*jwtauth.KeySet, error) {
	logger := caddy.Log().Named("step_up.identity.jwt") // the set outlives this configuration
	value, _, err := keySets.LoadOrNew(url, func() (caddy.Destructor, error) {
		s, err := jwtauth.NewKeySet(jwtauth.KeySetOptions{URL: url, Failed: func(err error) {
			logger.Warn("keys known so far go on being used", zap.Error(err))
		}})
		if err != nil {
			return nil, err
		}
		return pooledKeySet{s}, nil
	})
	if err != nil {
		return nil, err
	}
	j.keySet = url
	return value.(pooledKeySet).KeySet, nil
}

// Cleanup gives up the key set. It also runs after a Provision that failed.
func (j *JWT) Cleanup() error {
	if j.keySet == "" {
		return nil
	}
	url := j.keySet
	j.keySet = ""
	_, err := keySets.Delete(url)
	return err
}

// Identify verifies the request's token.
func (j *JWT) Identify(r *http.Request) (Answer, error) {
	claims, err := j.verifier.Identify(r)
	if errors.Is(err, identity.ErrNobody) && err != identity.ErrNobody {
		// There was a token: its owner will ask why it is not taken.
		j.logger.Debug("identifying", zap.String("client_ip", facts.Client(r)), zap.Error(err))
	}
	if err != nil {
		return Answer{}, err
	}
	who := Answer{Subject: grants.Subject{Tenant: claims.Tenant, User: claims.User}, Session: claims.Session, Email: claims.Email, Vouched: j.vouched[:1]}
	if fields := r.Header["Authorization"]; len(fields) == 1 && len(fields[0]) > len(bearer) && strings.EqualFold(fields[0][:len(bearer)], bearer) {
		// The verifier refuses any other token than the one it took.
		who.Vouched = j.vouched
	}
	return who, nil
}

// GivesEmail reports whether mail addresses of users are known: a token may have one.
func (j *JWT) GivesEmail() bool { return true }

// Tuning names the settings in which gateways that share a database may differ.
func (*JWT) Tuning() []string { return []string{"leeway"} }

// Interface guards
var (
	_ caddy.Provisioner     = (*JWT)(nil)
	_ caddy.CleanerUpper    = (*JWT)(nil)
	_ caddyfile.Unmarshaler = (*JWT)(nil)
)
