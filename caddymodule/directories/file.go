package directories

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/realpath"
	"github.com/stepup-gateway/caddy-stepup/internal/directory"
)

func init() {
	caddy.RegisterModule(File{})
}

// File is a directory in a file: one user id a line. Lines that begin with # are
// comments, and empty lines and blanks around an id do not count.
//
// Ids are compared like those of the tenant: without regard to case, unless the
// tenant says `user_id exact`. The file is read again when it changed, without a
// reload; put a new one in its place by renaming it. At most 8 MiB and 100,000 ids
// of 256 bytes. While the file is missing or broken, nobody is enrolled or invited.
type File struct {
	// Path of the file. Placeholders such as {env.HOME} are replaced. Required.
	Path string `json:"path"`

	file *directory.File
}

// CaddyModule returns the module's id.
func (File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "step_up.directories.file", New: func() caddy.Module { return new(File) }}
}

// UnmarshalCaddyfile reads the directory. Syntax:
//
//	file PATH
func (f *File) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if err := block.Word(d, &f.Path, "/etc/step_up/users"); err != nil {
		return err
	}
	if d.NextArg() || d.NextBlock(d.Nesting()) {
		return d.Errf("directory file takes one path only, and %q follows it", d.Val())
	}
	return nil
}

// Provision reads the file once.
func (f *File) Provision(caddy.Context) error {
	path, err := caddy.NewReplacer().ReplaceOrErr(f.Path, true, true)
	if err != nil {
		return fmt.Errorf("reading path of the directory: %w", err)
	}
	if path == "" {
		return errors.New("directory file has no path: write the file of users, such as /etc/step_up/users")
	}
	if path, err = realpath.Of(path); err != nil {
		return err
	}
	if f.file, err = directory.NewFile(path); err != nil {
		return fmt.Errorf("%w: write the path of a file with one user id a line", err)
	}
	return nil
}

// Lookup compares the user with the lines of the file.
func (f *File) Lookup(ctx context.Context, user User) (Answer, error) {
	return f.file.Lookup(ctx, user)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*File)(nil)
	_ caddyfile.Unmarshaler = (*File)(nil)
)
