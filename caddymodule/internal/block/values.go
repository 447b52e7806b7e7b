package block

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// Guest reads `NAME …`, a module of the given namespace, into its JSON form
// with its name beside it.
func Guest(d *caddyfile.Dispenser, namespace, inlineKey, example string) (json.RawMessage, error) {
	var name string
	if err := Word(d, &name, example); err != nil {
		return nil, err
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, inlineKey, name, nil), nil
}

// Number reads a whole number.
func Number(d *caddyfile.Dispenser, into *int, example string) error {
	name := d.Val()
	var s string
	if err := Word(d, &s, example); err != nil {
		return err
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return d.Errf("%s takes a whole number such as %s, not %q", name, example, s)
	}
	*into = n
	return nil
}

// Count is [Number] without zero, which stands for "left out" in these settings.
func Count(d *caddyfile.Dispenser, into *int, example string) error {
	name := d.Val()
	if err := Number(d, into, example); err != nil {
		return err
	}
	if *into == 0 {
		return d.Errf("%s cannot be 0: write a number such as %s, or leave it out", name, example)
	}
	return nil
}

// Duration reads a length of time other than zero.
func Duration(d *caddyfile.Dispenser, into *config.Duration, example string) error {
	name := d.Val()
	var s string
	if err := Word(d, &s, example); err != nil {
		return err
	}
	parsed, err := config.ParseDuration(s)
	if err != nil {
		return d.WrapErr(err)
	}
	if parsed == 0 {
		return d.Errf("%s cannot be 0: write a duration such as %s, or leave it out", name, example)
	}
	*into = parsed
	return nil
}

// OnlyPlaceholders refuses placeholders of other families than those named. What
// the client writes, above all, must not decide whom we ask, or how we verify.
func OnlyPlaceholders(setting, value string, families ...string) error {
	for rest := value; ; {
		_, after, open := strings.Cut(rest, "{")
		if !open {
			return nil
		}
		name, end, closed := strings.Cut(after, "}")
		known := false
		for _, f := range families {
			known = known || strings.HasPrefix(name, f) && len(name) > len(f)
		}
		if !closed || !known {
			return fmt.Errorf("%s takes no placeholders but {%s*}, which are the same for every request", setting, strings.Join(families, "*}, {"))
		}
		rest = end
	}
}
