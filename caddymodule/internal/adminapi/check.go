package adminapi

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/database"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/doctor"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/stores"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
)

// CheckRequest asks what an operator should know of a configuration, and what would
// become of requests for the URLs.
type CheckRequest struct {
	// Config is the configuration that runs, as Caddy's route /config/ gives it.
	Config json.RawMessage `json:"config"`
	URLs   []string        `json:"urls,omitempty"`
	// Offline asks no other server.
	Offline bool `json:"offline,omitempty"`
	// Lines are where words first begin a line of the Caddyfile, as FILE:LINE.
	Lines map[string]string `json:"lines,omitempty"`
}

// maxConfig bounds a configuration that is checked.
const maxConfig = 32 << 20

// checkRunning looks at the configuration that runs, as the user that runs Caddy.
func checkRunning(ctx context.Context, g Gateway, in CheckRequest) (doctor.Report, error) {
	if len(in.Config) == 0 {
		return doctor.Report{}, refused("config is missing: send what GET /config/ answers")
	}
	return check(ctx, caddy.ActiveContext(), g, in, nil), nil
}

// Check looks at a configuration that does not run: it is provisioned and not started.
func Check(ctx context.Context, in CheckRequest) doctor.Report {
	var cfg caddy.Config
	if err := json.Unmarshal(in.Config, &cfg); err != nil {
		return check(ctx, caddy.Context{}, nil, in, err)
	}
	// Nothing is listened on, and what provisioning logs is told as findings.
	cfg.Admin = &caddy.AdminConfig{Disabled: true}
	cfg.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`)}}}}
	provisioned, err := caddy.ProvisionContext(&cfg)
	if err != nil {
		return check(ctx, caddy.Context{}, nil, in, err)
	}
	var g Gateway
	if app, err := provisioned.AppIfConfigured("step_up"); err == nil {
		g = app.(Operated).Operator()
	}
	return check(ctx, provisioned, g, in, nil)
}

func check(ctx context.Context, with caddy.Context, g Gateway, in CheckRequest, refusal error) doctor.Report {
	input := doctor.Input{Config: in.Config, Refused: refusal, URLs: in.URLs, Offline: in.Offline, Now: time.Now, Lines: in.Lines, Paths: pathsOf(in.Config)}
	if refusal == nil {
		if app, err := with.AppIfConfigured("http"); err == nil {
			input.Servers = app.(*caddyhttp.App).Servers
		}
	}
	if g != nil {
		input.Explain = func(method, url string) (string, gate.Explanation, error) {
			e, err := explain(ctx, g, ExplainRequest{Method: method, URL: url})
			return e.Tenant, e.Explanation, err
		}
		input.Inspect = g.Inspect
	}
	return doctor.Examine(ctx, input)
}

// pathsOf are the files of the gateway in a configuration, whether or not it loads.
func pathsOf(raw json.RawMessage) doctor.Paths {
	var said struct {
		Apps struct {
			StepUp struct {
				config.App
				Store json.RawMessage `json:"store"`
			} `json:"step_up"`
		} `json:"apps"`
	}
	p := doctor.Paths{Said: map[string]string{}}
	if p.Err = json.Unmarshal(raw, &said); p.Err != nil {
		return p
	}
	app := said.Apps.StepUp
	var store struct {
		Engine string `json:"engine"`
		stores.Badger
	}
	if len(app.Store) > 0 {
		if p.Err = json.Unmarshal(app.Store, &store); p.Err != nil || store.Engine != "badger" {
			return p // another's, of which nothing is known
		}
	}
	for setting, path := range map[string]string{"dir": store.Dir, "mark": store.Mark, "key_file": app.KeyFile} {
		if path != "" {
			p.Said[setting] = path
		}
	}
	if p.Err = store.Badger.Locate(); p.Err != nil {
		return p
	}
	p.Database, p.Mark = store.Badger.Location(), store.Badger.KeptMark()
	if strings.TrimSpace(app.Key) == "" {
		if p.KeyFile, p.Err = database.KeyPath(app.KeyFile); p.Err == nil {
			p.KeyFile = filepath.Clean(p.KeyFile)
		}
	}
	return p
}
