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

// Guest reads `NAME …`, a module of the given namespace, into its JSON form with
// its name beside it. Where its settings stand is written to source, under the path
// of the word that d stands on.
func Guest(d *caddyfile.Dispenser, namespace, inlineKey, example string, source config.Source, path string) (json.RawMessage, error) {
	source[path] = Line(d.Token())
	var name string
	if err := Word(d, &name, example); err != nil {
		return nil, err
	}
	return GuestHere(d, namespace, inlineKey, source, path)
}

// GuestHere is [Guest] where the dispenser stands on the module's name.
func GuestHere(d *caddyfile.Dispenser, namespace, inlineKey string, source config.Source, path string) (json.RawMessage, error) {
	name := d.Val()
	source[path] = Line(d.Token())
	if !Registered(namespace, name) {
		return nil, d.Errf("%s", Unknown(namespace, name))
	}
	info, err := caddy.GetModule(namespace + "." + name)
	if err != nil {
		return nil, d.WrapErr(err)
	}
	module := info.New()
	reads, ok := module.(caddyfile.Unmarshaler)
	if !ok {
		return nil, d.Errf("%s %s cannot be configured in a Caddyfile: configure it in JSON", guests[namespace], name)
	}
	tokens := d.NextSegment()
	if err := reads.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
		return nil, err
	}
	for word, token := range WordsOf(tokens) {
		source[path+"."+word] = Line(token)
	}
	return caddyconfig.JSONModuleObject(module, inlineKey, name, nil), nil
}

// Line is where a token stands, as FILE:LINE.
func Line(token caddyfile.Token) string { return fmt.Sprintf("%s:%d", token.File, token.Line) }

// WordsOf are the words that begin the lines of the block in a segment.
func WordsOf(tokens []caddyfile.Token) Lines {
	lines, depth := Lines{}, 0
	for i, t := range tokens {
		switch {
		case t.Text == "{" && !t.Quoted():
			depth++
		case t.Text == "}" && !t.Quoted():
			depth--
		case depth == 1 && (t.Line != tokens[i-1].Line || t.File != tokens[i-1].File):
			lines[t.Text] = t
		}
	}
	return lines
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

// Registered reports whether this build has a module of the namespace.
func Registered(namespace, name string) bool {
	_, err := caddy.GetModule(namespace + "." + name)
	return err == nil
}

// CheckKnown refuses the JSON of a guest that names a module which this build does
// not have.
func CheckKnown(raw json.RawMessage, namespace, inlineKey string) error {
	var members map[string]json.RawMessage
	var name string
	if json.Unmarshal(raw, &members) == nil && json.Unmarshal(members[inlineKey], &name) == nil && name != "" && !Registered(namespace, name) {
		return errors.New(Unknown(namespace, name))
	}
	return nil
}

// Load makes the guest of an owner's field, whose JSON is raw and names the module
// beside the inline key. A name that is misspelled gets a better sentence than
// Caddy's, and what the module refuses stands without Caddy's words around it. The
// error has the path of the setting in the owner's JSON, where the guest is at path.
func Load(ctx caddy.Context, owner any, field string, raw json.RawMessage, namespace, inlineKey, path string) (any, error) {
	return load(raw, namespace, inlineKey, path, func(string, json.RawMessage) (any, error) { return ctx.LoadModule(owner, field) })
}

// LoadRaw is [Load] for a guest that is not a field of its owner by itself.
func LoadRaw(ctx caddy.Context, raw json.RawMessage, namespace, inlineKey, path string) (any, error) {
	return load(raw, namespace, inlineKey, path, func(name string, settings json.RawMessage) (any, error) {
		return ctx.LoadModuleByID(namespace+"."+name, settings)
	})
}

func load(raw json.RawMessage, namespace, inlineKey, path string, by func(name string, settings json.RawMessage) (any, error)) (any, error) {
	var members map[string]json.RawMessage
	var name string
	if err := CheckKnown(raw, namespace, inlineKey); err != nil {
		return nil, &config.PathError{Path: path + "." + inlineKey, Err: err}
	}
	_ = json.Unmarshal(raw, &members) // a module that cannot read it says so
	_ = json.Unmarshal(members[inlineKey], &name)
	delete(members, inlineKey)
	settings, err := json.Marshal(members)
	if err != nil {
		return nil, &config.PathError{Path: path, Err: err}
	}
	module, err := by(name, settings)
	if err == nil {
		return module, nil
	}
	if _, sentence, found := strings.Cut(err.Error(), "provision "+namespace+"."+name+": "); found {
		err = errors.New(sentence)
	}
	for _, word := range subjects(err) {
		for _, member := range []string{word, word + "s"} {
			if _, written := members[member]; written {
				return nil, &config.PathError{Path: path + "." + member, Err: err}
			}
		}
	}
	return nil, &config.PathError{Path: path, Err: err}
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
