package block

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// Guest reads `NAME …`, a module of the given namespace, into its JSON form
// with its name beside it.
func Guest(d *caddyfile.Dispenser, namespace, inlineKey, example string) (json.RawMessage, error) {
	var name string
	if err := Word(d, &name, example); err != nil {
		return nil, err
	}
	return GuestHere(d, namespace, inlineKey)
}

// GuestHere is [Guest] where the dispenser stands on the module's name.
func GuestHere(d *caddyfile.Dispenser, namespace, inlineKey string) (json.RawMessage, error) {
	name := d.Val()
	if !registered(namespace, name) {
		return nil, d.Errf("%s", Unknown(namespace, name))
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+"."+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, inlineKey, name, nil), nil
}

// guests are what the modules of the namespaces are called.
var guests = map[string]string{
	"step_up.identity": "identity source", "step_up.senders": "sender", "step_up.stores": "store engine", "step_up.directories": "directory", "http.matchers": "matcher",
}

// Unknown is the sentence about a module that this build does not have.
func Unknown(namespace, name string) string {
	var all []string
	for _, m := range caddy.GetModules(namespace) {
		all = append(all, m.ID.Name())
	}
	slices.Sort(all)
	return fmt.Sprintf("unknown %s %q: %s", guests[namespace], name, nearest.OneOf(name, all))
}

func registered(namespace, name string) bool {
	_, err := caddy.GetModule(namespace + "." + name)
	return err == nil
}

// Load makes the guest of an owner's field, whose JSON is raw and names the module
// beside the inline key. A name that is misspelled gets a better sentence than
// Caddy's.
func Load(ctx caddy.Context, owner any, field string, raw json.RawMessage, namespace, inlineKey string) (any, error) {
	if err := CheckKnown(raw, namespace, inlineKey); err != nil {
		return nil, err
	}
	return ctx.LoadModule(owner, field)
}

// CheckKnown refuses the JSON of a guest that names a module which this build does
// not have.
func CheckKnown(raw json.RawMessage, namespace, inlineKey string) error {
	var members map[string]json.RawMessage
	var name string
	if json.Unmarshal(raw, &members) == nil && json.Unmarshal(members[inlineKey], &name) == nil && name != "" && !registered(namespace, name) {
		return errors.New(Unknown(namespace, name))
	}
	return nil
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

// CheckedDuration is the setting of a [Duration], after which check accepts or
// refuses its block at the line.
func CheckedDuration(into *config.Duration, example string, check func() error) Setting {
	return func(d *caddyfile.Dispenser) error {
		if err := Duration(d, into, example); err != nil {
			return err
		}
		return Checked(d, check())
	}
}

// CheckedCount is [CheckedDuration] for a [Count].
func CheckedCount(into *int, example string, check func() error) Setting {
	return func(d *caddyfile.Dispenser) error {
		if err := Count(d, into, example); err != nil {
			return err
		}
		return Checked(d, check())
	}
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
