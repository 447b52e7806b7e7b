package sources

import (
	"cmp"
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/metrics"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/identity"
	"github.com/stepup-gateway/caddy-stepup/internal/identity/whoami"
)

func init() {
	caddy.RegisterModule(Whoami{})
}

// Whoami asks the application itself who is signed in, for applications that have
// a login of their own. It sends what the request would bring to the application
// (Cookie, Authorization, User-Agent, Host and the X-Forwarded-* fields, as
// reverse_proxy would send them) to one of the application's pages, and reads the
// name out of the answer.
//
// The credentials are sent together. A request that has more than one of them
// (cookies, Authorization, fields that the site names under credentials) is also
// asked about with each alone, and each must name the same user; otherwise it is
// answered with 400. A cookie or field that signs nobody in and stands beside one
// that does is named by `credentials { ignore cookie NAME }`.
//
// Nobody is signed in where the request has neither field; where the answer has a
// status other than 200, or is a page of HTML in place of JSON; and where the name
// is missing, null, false, 0, empty, or a word such as anonymous or guest. Anything
// else that is no name, a failure of the application, and an answer that is too
// late or too large let nobody pass either, but are answered with 503 and logged.
//
// The page must name the user of the session and nothing that others can write.
type Whoami struct {
	// URL of the page, absolute, as this Caddy reaches the application; not
	// through the site itself. {env.*} is replaced. Required.
	URL string `json:"url"`

	// JSON is a JSON pointer (RFC 6901) to the name in the answer. A text or a
	// whole number above zero is a name. Exactly one of json, header and regexp
	// is required.
	JSON string `json:"json,omitempty"`
	// Header is the field of the answer that has the name. It may occur once.
	Header string `json:"header,omitempty"`
	// Regexp matches the answer's body once, with one group around the name, in
	// the syntax of Go. The name is unescaped where the answer is HTML.
	Regexp string `json:"regexp,omitempty"`

	// SessionCookie names the application's session cookie. Grants are then
	// bound to its value and end with the session, also where the same user
	// signs in again. A request whose user the application knows without it is
	// refused, unless it has an Authorization field. The value must stay the same
	// from request to request: an application that keeps the session itself in
	// the cookie (Laravel's and Rails' cookie stores) needs session in its place,
	// or none; a warning says so. Without this setting, and
	// without session, a user's sessions are one, and a request in which any
	// cookie occurs twice is refused. The other cookies do not count, since
	// many change with every request.
	SessionCookie string `json:"session_cookie,omitempty"`
	// Session is a JSON pointer to what tells sessions apart in the answer,
	// beside json, in place of session_cookie.
	Session string `json:"session,omitempty"`

	// Email is a JSON pointer to the user's mail address in the answer, beside json.
	// Codes are then sent there, so the application must have checked that it is the
	// user's. Default: no address is known.
	Email string `json:"email,omitempty"`

	// Anonymous are further names that stand for nobody, in any case.
	Anonymous []string `json:"anonymous,omitempty"`

	// Forward names fields of the request that are sent on as they came, for an
	// application that binds its sessions to them, such as User-Agent.
	Forward []string `json:"forward,omitempty"`
	// ClientIP is the field in which the application is told the client's
	// address, for one that binds its sessions to that: X-Forwarded-For.
	ClientIP string `json:"client_ip,omitempty"`
	// Send are fields that every question has, in place of the ones that came:
	// those that reverse_proxy sets with header_up, such as Host. {env.*} and
	// {file.*} are replaced. Without it Host is the request's, or that of an
	// https URL, as reverse_proxy sends it.
	Send map[string]string `json:"send,omitempty"`

	// Timeout for a question with its answer. 100ms to 10s. Default: 2s.
	Timeout config.Duration `json:"timeout,omitzero"`
	// Cache is how long an answer holds: requests with the same credentials
	// cause one question in that time, and who has logged out may still be
	// named. 100ms to 60s. Default: 5s. That nobody is signed in, and that there
	// was no answer, is remembered for at most 1s.
	Cache config.Duration `json:"cache,omitzero"`
	// MaxSize of an answer, in bytes, 1 to 1048576. Default: 65536.
	MaxSize int `json:"max_size,omitempty"`

	o       whoami.Options
	overTLS bool // the application is asked over HTTPS
	source  *whoami.Source
	vouched []identity.Credential
}

// The bounds of the settings.
const (
	minWhoami       = 100 * time.Millisecond
	maxWhoamiWait   = 10 * time.Second
	maxWhoamiCache  = 60 * time.Second
	maxWhoamiAnswer = 1 << 20
	maxPattern      = 1024 // bytes
)

// CaddyModule returns the module's id.
func (Whoami) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.identity.whoami", New: func() caddy.Module { return new(Whoami) }}
}

// UnmarshalCaddyfile reads the identity source. Syntax:
//
//	whoami URL {
//		json    POINTER
//		header  NAME
//		regexp  PATTERN
//
//		session_cookie NAME
//		session        POINTER
//		email          POINTER
//		anonymous      NAME...
//		forward        FIELD...
//		client_ip      FIELD
//		send           FIELD VALUE
//		timeout        DURATION
//		cache          DURATION
//		max_size       BYTES
//	}
//
// Exactly one of json, header and regexp is required. send may be repeated; each
// other setting is set at most once.
func (w *Whoami) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive, lines := d.Token(), block.Lines{}
	if err := block.OneWord(d, &w.URL, "http://localhost:9000/api/me", "one URL"); err != nil {
		return err
	}
	err := block.Block{
		Lines:   lines,
		Name:    "whoami",
		Repeats: "send",
		Order: []string{
			"json", "header", "regexp", "session_cookie", "session", "email", "anonymous", "forward", "client_ip", "send", "timeout", "cache", "max_size",
		},
		Settings: map[string]block.Setting{
			"json":           block.Text(&w.JSON, "/user/name"),
			"header":         block.Text(&w.Header, "X-User"),
			"regexp":         block.Text(&w.Regexp, "`Signed in as <b>([^<]+)</b>`"),
			"session_cookie": block.Text(&w.SessionCookie, "PHPSESSID"),
			"session":        block.Text(&w.Session, "/session/id"),
			"email":          block.Text(&w.Email, "/user/email"),
			"client_ip":      block.Text(&w.ClientIP, "X-Forwarded-For"),
			"anonymous":      block.Words(&w.Anonymous, "visitor"),
			"forward":        block.Words(&w.Forward, "User-Agent"),
			"send":           w.readSend,
			"timeout":        func(d *caddyfile.Dispenser) error { return block.Duration(d, &w.Timeout, "2s") },
			"cache":          func(d *caddyfile.Dispenser) error { return block.Duration(d, &w.Cache, "5s") },
			"max_size":       func(d *caddyfile.Dispenser) error { return block.Count(d, &w.MaxSize, "65536") },
		},
	}.Read(d)
	if err != nil {
		return err
	}
	// With nothing replaced yet: what placeholders stand for is seen when the
	// configuration loads.
	if _, err := w.options(func(s string) (string, error) { return s, nil }); err != nil {
		return lines.At(directive, err)
	}
	return nil
}

func (w *Whoami) readSend(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.Args(&name, &value) {
		return d.Err("send takes a field and its value, such as `send X-Forwarded-Proto https`")
	}
	if _, twice := w.Send[name]; twice {
		return d.Errf("send names %s twice: keep one of them", name)
	}
	if w.Send == nil {
		w.Send = make(map[string]string)
	}
	w.Send[name] = value
	return nil
}

// Provision makes the source. The application is not asked yet.
func (w *Whoami) Provision(ctx caddy.Context) error {
	logger := ctx.Logger()
	o, err := w.options(secret.Resolve)
	if err != nil {
		return err
	}
	w.overTLS = strings.HasPrefix(strings.ToLower(o.URL), "https:")
	o.Replaced = metrics.SessionsReplaced.Inc
	o.Rotates = func() {
		logger.Warn("the application changes its session cookie with every answer, so every grant ends with the next request and a held form is lost; in place of session_cookie write `session /pointer` to what stays the same in the JSON answer, or leave both out (told once)",
			zap.String("session_cookie", w.SessionCookie))
	}
	return w.use(o)
}

// options checks the settings and turns them into those of the source, with
// placeholders replaced by replace.
func (w *Whoami) options(replace func(string) (string, error)) (o whoami.Options, err error) {
	if err := cmp.Or(
		config.CheckForeignCookie("session_cookie", w.SessionCookie),
		config.Within("timeout", w.Timeout, config.Duration(minWhoami), config.Duration(maxWhoamiWait)),
		config.Within("cache", w.Cache, config.Duration(minWhoami), config.Duration(maxWhoamiCache)),
	); err != nil {
		return o, err
	}
	if w.MaxSize < 0 || w.MaxSize > maxWhoamiAnswer {
		return o, fmt.Errorf("max_size must be between 1 and %d bytes, not %d", maxWhoamiAnswer, w.MaxSize)
	}
	o = whoami.Options{
		Reader:        whoami.Reader{Header: w.Header, Anonymous: w.Anonymous},
		SessionCookie: w.SessionCookie,
		Forward:       w.Forward,
		AddressField:  w.ClientIP,
		Fields:        make(http.Header),
		Timeout:       time.Duration(w.Timeout),
		Cache:         time.Duration(w.Cache),
		Body:          int64(w.MaxSize),
	}
	if o.Reader.JSON, err = optionalPointer(w.JSON); err != nil {
		return o, err
	}
	if o.Reader.Session, err = optionalPointer(w.Session); err != nil {
		return o, err
	}
	if o.Reader.Email, err = optionalPointer(w.Email); err != nil {
		return o, err
	}
	if o.Reader.Regexp, err = optionalPattern(w.Regexp); err != nil {
		return o, err
	}
	for name, value := range w.Send {
		if err := block.OnlyPlaceholders("send "+name, value, "env.", "file."); err != nil {
			return o, err
		}
		if value, err = replace(value); err != nil {
			return o, fmt.Errorf("reading send %s: %w", name, err)
		}
		if textproto.CanonicalMIMEHeaderKey(name) == "Host" {
			name = "Host"
		}
		o.Fields[name] = []string{strings.TrimRight(value, "\r\n")}
	}
	if err := block.OnlyPlaceholders("whoami", w.URL, "env."); err != nil {
		return o, err
	}
	if o.URL, err = replace(w.URL); err != nil {
		return o, fmt.Errorf("reading the URL of whoami: %w", err)
	}
	if strings.Contains(o.URL, "{") {
		o.URL = "http://localhost/" // not replaced yet: check the rest
	}
	_, err = whoami.New(o)
	return o, err
}

func optionalPointer(s string) (*identity.Pointer, error) {
	if s == "" {
		return nil, nil
	}
	p, err := identity.ParsePointer(s)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

func optionalPattern(s string) (*regexp.Regexp, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxPattern {
		return nil, fmt.Errorf("regexp has at most %d bytes", maxPattern)
	}
	pattern, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("regexp cannot be read: %w; write it in the syntax of Go, with one group around the name", err)
	}
	return pattern, nil
}

// Cleanup closes the connections to the application.
func (w *Whoami) Cleanup() error {
	if w.source != nil {
		w.source.Close()
	}
	return nil
}

// GivesEmail reports whether mail addresses of users are known: if the answer is configured to
// have them.
func (w *Whoami) GivesEmail() bool { return w.Email != "" }

// Tuning names the settings in which gateways that share a database may differ.
func (*Whoami) Tuning() []string { return []string{"timeout", "cache", "max_size"} }

// Interface guards
var (
	_ caddy.Provisioner     = (*Whoami)(nil)
	_ caddy.CleanerUpper    = (*Whoami)(nil)
	_ caddyfile.Unmarshaler = (*Whoami)(nil)
)
