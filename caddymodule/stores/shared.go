package stores

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
)

// What stores have in common that several gateways share.

const defaultStale = time.Second

// staleOf returns the setting, or the default.
func staleOf(s *config.Duration) time.Duration {
	if s == nil {
		return defaultStale
	}
	return time.Duration(*s)
}

func readStale(into **config.Duration) block.Setting {
	return func(d *caddyfile.Dispenser) error {
		var text string
		if err := block.Word(d, &text, "1s"); err != nil {
			return err
		}
		stale, err := config.ParseDuration(text) // 0 has a meaning
		if err != nil {
			return d.WrapErr(err)
		}
		*into = &stale
		return nil
	}
}

func checkStale(s *config.Duration) error {
	if d := staleOf(s); d != 0 && (d < 500*time.Millisecond || d > 10*time.Second) {
		return wrong("stale", "stale of %v is not allowed: write 0, or 500ms to 10s", d)
	}
	return nil
}

// wrong is an error about a setting of the store.
func wrong(setting, format string, args ...any) error {
	return &config.PathError{Path: setting, Err: fmt.Errorf(format, args...)}
}

// locationOf returns the name of a database and a mark of its settings: a reload that
// changes them opens the database anew, beside the one before, which is no other than
// a second gateway. The mark tells nothing of what is secret in them.
func locationOf(name string, settings ...any) string {
	mac := hmac.New(sha256.New, markKey[:])
	fmt.Fprintf(mac, "%q", settings)
	return fmt.Sprintf("%s#%x", name, mac.Sum(nil)[:8])
}

// markKey is another one in each process.
var markKey = func() (key [32]byte) {
	rand.Read(key[:]) // never fails: crypto/rand ends the program instead
	return key
}()
