package senders

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/realpath"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/secret"
	"github.com/stepup-gateway/caddy-stepup/internal/sender"
)

func init() {
	caddy.RegisterModule(File{})
}

// File writes each text to a file in place of sending it, for trying out:
// whoever reads the file has everybody's codes. It is never a default.
type File struct {
	// Path of the file, to which lines of JSON with time, to and text are
	// appended. It is made with mode 0600; one that others can read, that belongs
	// to another user, or that is a symbolic link is refused. Placeholders such as {env.HOME} are replaced. Required.
	Path string `json:"path"`

	file *sender.File
}

// CaddyModule returns the module's id.
func (File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.senders.file", New: func() caddy.Module { return new(File) }}
}

// UnmarshalCaddyfile reads the sender. Syntax:
//
//	file PATH
func (f *File) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := block.Word(d, &f.Path, "/var/tmp/sms.jsonl"); err != nil {
		return err
	}
	if d.NextArg() || d.NextBlock(0) {
		return d.Errf("sender file takes one path only, and %q follows it", d.Val())
	}
	return nil
}

// Provision resolves Path and looks at the file, and makes none.
func (f *File) Provision(caddy.Context) error {
	path, err := secret.Resolve(f.Path)
	if err != nil {
		return fmt.Errorf("reading path of the file sender: %w", err)
	}
	if path != "" {
		if stat, err := os.Lstat(path); err == nil && stat.Mode()&os.ModeSymlink != 0 {
			return fmt.Errorf("the file sender does not follow the symbolic link %s: name the file itself", path)
		}
		if path, err = realpath.Of(path); err != nil {
			return err
		}
	}
	if f.file, err = sender.NewFile(path, time.Now); err != nil {
		return err
	}
	f.Path = path
	return nil
}

// Send writes a text.
func (f *File) Send(ctx context.Context, to, text string) error {
	return f.file.Send(ctx, to, text)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*File)(nil)
	_ caddyfile.Unmarshaler = (*File)(nil)
)
