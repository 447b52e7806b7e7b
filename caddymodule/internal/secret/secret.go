// Package secret reads settings that hold secrets. A configuration can be read
// back through Caddy's admin endpoint, so such a setting names a place outside of
// it, an environment variable or a file, and never holds the secret itself.
package secret

import (
	"fmt"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// Read resolves a setting that names a secret, and returns the secret without
// the line end that files have.
func Read(setting, value string) (string, error) {
	secret, err := Resolve(value)
	if err != nil {
		return "", fmt.Errorf("reading %s %s: %w", setting, value, err)
	}
	return strings.TrimRight(secret, "\r\n"), nil
}

// Check refuses everything that is not one placeholder. The value is not
// repeated: it may well be the secret.
func Check(setting, value, example string) error {
	if config.IsOutside(value) {
		return nil
	}
	return fmt.Errorf("%s must be one placeholder such as %s, from {env.*} or {file.*}: a secret written into the configuration can be read back through Caddy's admin endpoint", setting, example)
}
