package directories

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/directory"
)

func init() {
	caddy.RegisterModule(HTTP{})
}

// HTTP is a directory that another server keeps. GET of the user's URL is answered
// with 200 if there is the user, and with 404 if there is none. Any other answer, and
// none in time, leaves it open: nobody is enrolled or invited then. Redirects are
// not followed, and no proxy from the environment is used.
//
// The server is asked with the id in the form in which the gateway keeps it: in lower
// case, unless the tenant says `user_id exact`. It should compare accordingly.
type HTTP struct {
	// URL of a user, absolute, in whose path or query {user} stands once for the id,
	// such as https://hr.example.com/users/{user}. {env.*} is replaced. Required.
	URL string `json:"url"`

	// Send are fields that every question has. {env.*} and {file.*} are replaced;
	// the value of Authorization and of Cookie must come from there. Default: none.
	Send map[string]string `json:"send,omitempty"`

	// Timeout for a question with its answer. 100ms to 10s. Default: 2s.
	Timeout config.Duration `json:"timeout,omitzero"`

	// Cache is how long it is remembered that there is a user, for at most 10,000 of
	// them. That there is none is remembered for at most 5s. 100ms to 1h. Default: 1m.
	Cache config.Duration `json:"cache,omitzero"`

	http *directory.HTTP
}

// The limits and defaults of the settings.
const (
	minTimeout, maxTimeout, defaultTimeout = 100 * time.Millisecond, 10 * time.Second, 2 * time.Second
	minCache, maxCache, defaultCache       = 100 * time.Millisecond, time.Hour, time.Minute
)

const exampleURL = "https://hr.example.com/users/{user}"

// CaddyModule returns the module's id.
func (HTTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.directories.http", New: func() caddy.Module { return new(HTTP) }}
}

// UnmarshalCaddyfile reads the directory. Syntax:
//
//	http URL {
//		send    FIELD VALUE
//		timeout DURATION
//		cache   DURATION
//	}
//
// send may be repeated.
func (h *HTTP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive := d.Token()
	if err := block.OneWord(d, &h.URL, exampleURL, "one URL"); err != nil {
		return err
	}
	err := block.Block{
		Name:    "directory http",
		Repeats: "send",
		Order:   []string{"send", "timeout", "cache"},
		Settings: map[string]block.Setting{
			"send":    h.readSend,
			"timeout": func(d *caddyfile.Dispenser) error { return block.Duration(d, &h.Timeout, "2s") },
			"cache":   func(d *caddyfile.Dispenser) error { return block.Duration(d, &h.Cache, "1m") },
		},
	}.Read(d)
	if err != nil {
		return err
	}
	return block.CheckedAt(directive, h.check())
}

func (h *HTTP) readSend(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.Args(&name, &value) {
		return d.Err("send takes a field and its value, such as `send Authorization {env.HR_TOKEN}`")
	}
	name = http.CanonicalHeaderKey(name)
	if _, twice := h.Send[name]; twice {
		return d.Errf("send names %s twice: keep one of them", name)
	}
	if h.Send == nil {
		h.Send = make(map[string]string)
	}
	h.Send[name] = value
	return block.Checked(d, checkSecret(name, value))
}

// checkSecret refuses a credential that is written into the configuration. A word
// such as Bearer may stand before the placeholder.
func checkSecret(name, value string) error {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Cookie":
		if scheme, rest, ok := strings.Cut(value, " "); ok && !strings.ContainsAny(scheme, "{}=") {
			value = rest
		}
		return secret.Check("the value of "+name, value, "{env.HR_TOKEN}")
	}
	return nil
}

// check returns what is wrong with the settings as they are written.
func (h *HTTP) check() error {
	if err := cmp.Or(
		config.Within("timeout", h.Timeout, config.Duration(minTimeout), config.Duration(maxTimeout)),
		config.Within("cache", h.Cache, config.Duration(minCache), config.Duration(maxCache)),
	); err != nil {
		return err
	}
	for name, value := range h.Send {
		if err := checkSecret(name, value); err != nil {
			return err
		}
		if err := block.OnlyPlaceholders("send "+name, value, "env.", "file."); err != nil {
			return err
		}
	}
	plain := strings.ReplaceAll(h.URL, directory.Placeholder, "user")
	if err := block.OnlyPlaceholders("the URL of the directory", plain, "env."); err != nil {
		return err
	}
	o, err := h.options(func(s string) (string, error) { return s, nil })
	if err != nil || strings.Contains(plain, "{") {
		return err // what is not replaced yet is checked once it is
	}
	return o.Check()
}

// options are the settings as the directory wants them.
func (h *HTTP) options(replace func(string) (string, error)) (o directory.Options, err error) {
	o.Timeout, o.Cache, o.Fields = time.Duration(h.Timeout), time.Duration(h.Cache), make(http.Header)
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Cache == 0 {
		o.Cache = defaultCache
	}
	for name, value := range h.Send {
		if value, err = replace(value); err != nil {
			return o, fmt.Errorf("reading the value of %s for the directory: %w: set it for the process of Caddy, or write another", name, err)
		}
		o.Fields.Add(name, strings.TrimRight(value, "\r\n"))
	}
	before, after, found := strings.Cut(h.URL, directory.Placeholder)
	if before, err = replace(before); err == nil {
		after, err = replace(after)
	}
	if err != nil {
		return o, fmt.Errorf("reading the URL of the directory: %w: set it for the process of Caddy, or write the address itself", err)
	}
	if o.URL = before; found {
		o.URL += directory.Placeholder + after
	}
	return o, nil
}

// Provision reads what placeholders stand for. The server is not asked yet.
func (h *HTTP) Provision(caddy.Context) error {
	if err := h.check(); err != nil {
		return err
	}
	o, err := h.options(func(s string) (string, error) { return caddy.NewReplacer().ReplaceOrErr(s, true, true) })
	if err != nil {
		return err
	}
	h.http, err = directory.NewHTTP(o, time.Now)
	return err
}

// Lookup asks the server.
func (h *HTTP) Lookup(ctx context.Context, user User) (Answer, error) {
	return h.http.Lookup(ctx, user)
}

// Cleanup closes the connections to the server.
func (h *HTTP) Cleanup() error {
	if h.http != nil {
		h.http.Close()
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*HTTP)(nil)
	_ caddy.CleanerUpper    = (*HTTP)(nil)
	_ caddyfile.Unmarshaler = (*HTTP)(nil)
)
