package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Resolve replaces the placeholders in a setting, such as {env.NAME} and
// {file./path}. One that stands for nothing is an error that says what to do.
func Resolve(value string) (string, error) {
	text, err := caddy.NewReplacer().ReplaceOrErr(value, true, true)
	if err == nil {
		return text, nil
	}
	for rest := value; ; {
		_, after, open := strings.Cut(rest, "{")
		if !open {
			return "", err
		}
		var name string
		name, rest, _ = strings.Cut(after, "}")
		if missing := missing(name); missing != nil {
			return "", missing
		}
	}
}

// missing says why a placeholder stands for nothing, or nil if it does not.
func missing(placeholder string) error {
	if name, ok := strings.CutPrefix(placeholder, "env."); ok && os.Getenv(name) == "" {
		return fmt.Errorf("the environment variable %s is not set: set it for the process that runs Caddy, in a systemd unit by Environment= or EnvironmentFile=", name)
	}
	path, ok := strings.CutPrefix(placeholder, "file.")
	if !ok {
		return nil
	}
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the file %s does not exist: create it, or write the path of the one that you have", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the file %s is not readable: let the user that runs Caddy read it", path)
	case err != nil:
		return fmt.Errorf("the file %s cannot be read: %w", path, err)
	case len(content) == 0:
		return fmt.Errorf("the file %s is empty: write the value into it", path)
	}
	return nil
}
