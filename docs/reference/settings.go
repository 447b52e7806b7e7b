package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// unit is one module of Caddy whose settings are described.
type unit struct {
	id, title, where string
	settings         []setting
	about            described
	syntax           []string
	more             string
}

// setting is one member of a module's JSON.
type setting struct {
	path  string // limits.attempts.api, rules[].form[].name
	kind  string // its type, for people
	text  string
	lines []string // how a Caddyfile says it
}

// roots are the modules that are no guests, and where their JSON stands.
var roots = []struct{ id, title, where string }{
	{"step_up", "The global option `step_up`", "`apps.step_up`"},
	{"http.handlers.step_up", "The directive `step_up`", "a handler `{\"handler\": \"step_up\", …}`"},
	{"http.handlers.step_up_api", "The directive `step_up_api`", "a handler `{\"handler\": \"step_up_api\", …}`"},
}

// guests are the namespaces of modules that a setting of the others names.
var guests = []struct{ namespace, key, title string }{
	{"step_up.identity", "source", "Identity source"},
	{"step_up.senders", "sender", "Sender"},
	{"step_up.stores", "engine", "Store"},
	{"step_up.directories", "directory", "Directory"},
}

// units returns all modules of ours that are configured.
func units(src *source) ([]*unit, error) {
	var list []*unit
	add := func(u *unit) error {
		info, err := caddy.GetModule(u.id)
		if err != nil {
			return err
		}
		t := reflect.TypeOf(info.New()).Elem()
		if u.about, err = src.structOf(t); err != nil {
			return err
		}
		_, name, _ := strings.Cut(u.title, "`")
		u.about.text = titled(u.about.text, t.Name(), "`"+name)
		if u.syntax, u.more, err = src.syntax(t); err != nil {
			return err
		}
		u.settings, err = settingsOf(src, t, "")
		list = append(list, u)
		return err
	}
	for _, r := range roots {
		if err := add(&unit{id: r.id, title: r.title, where: r.where}); err != nil {
			return nil, err
		}
	}
	for _, g := range guests {
		for _, m := range caddy.GetModules(g.namespace) {
			name := m.ID.Name()
			u := &unit{id: string(m.ID), title: fmt.Sprintf("%s `%s`", g.title, name), where: fmt.Sprintf("`{%q: %q, …}`", g.key, name)}
			if err := add(u); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// settingsOf returns what JSON a struct takes, with the comments of its fields.
func settingsOf(src *source, t reflect.Type, base string) ([]setting, error) {
	about, err := src.structOf(t)
	if err != nil {
		return nil, err
	}
	var list []setting
	names := namesOf(t)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		element, path := f.Type, base+name
		for element.Kind() == reflect.Pointer || element.Kind() == reflect.Slice && element != reflect.TypeFor[json.RawMessage]() {
			if element.Kind() == reflect.Slice {
				path += "[]"
			}
			element = element.Elem()
		}
		ours := element.Kind() == reflect.Struct && strings.HasPrefix(element.PkgPath(), module)
		if f.Anonymous {
			inner, err := settingsOf(src, element, base)
			if err != nil {
				return nil, err
			}
			list = append(list, inner...)
			continue
		}
		one := setting{path: path, kind: kindOf(f, element), text: forJSON(about.fields[f.Name], names)}
		if !ours || written(element) {
			list = append(list, one)
			continue
		}
		inner, err := settingsOf(src, element, path+".")
		if err != nil {
			return nil, err
		}
		if of, err := src.structOf(element); err == nil && strings.HasSuffix(path, "[]") {
			one.text += "\n\n" + forJSON(titled(of.text, element.Name(), "Each item"), namesOf(element))
		}
		list = append(append(list, one), inner...)
	}
	return list, nil
}

// namesOf returns the JSON names of a struct by those of Go, for its comments.
func namesOf(t reflect.Type) map[string]string {
	names := make(map[string]string)
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" && name != "-" {
			names[t.Field(i).Name] = name
		}
	}
	return names
}

// titled is a type's comment with another name in the place of the type's.
func titled(comment, name, as string) string {
	if rest, ok := strings.CutPrefix(comment, name+" "); ok {
		return as + " " + rest
	}
	return comment
}

// written reports whether a struct has a JSON form of its own.
func written(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}

func kindOf(f reflect.StructField, element reflect.Type) string {
	kind := "object"
	switch {
	case element == reflect.TypeFor[config.Duration]():
		kind = "duration"
	case element == reflect.TypeFor[json.RawMessage]():
		_, after, _ := strings.Cut(f.Tag.Get("caddy"), "namespace=")
		namespace, _, _ := strings.Cut(after, " ")
		kind = "module of `" + namespace + "`"
	case element == reflect.TypeFor[config.Matchers]():
		kind = "set of Caddy's request matchers"
	case element.Kind() == reflect.String:
		kind = "text"
	case element.Kind() == reflect.Bool:
		kind = "true or false"
	case element.Kind() == reflect.Int, element.Kind() == reflect.Int64:
		kind = "number"
	case element.Kind() == reflect.Map:
		kind = "map"
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice && t != reflect.TypeFor[json.RawMessage]() {
		return "list of " + strings.Replace(kind, "object", "objects", 1)
	}
	return kind
}

var goName = regexp.MustCompile(`\b[A-Z][A-Za-z]+\b`)

// forJSON writes the names of a struct's fields as the JSON has them, and a
// paragraph on one line.
func forJSON(comment string, names map[string]string) string {
	first := true
	comment = goName.ReplaceAllStringFunc(comment, func(word string) string {
		acronym := strings.ToUpper(word) == word && !first
		first = false
		if name, ok := names[word]; ok && !acronym {
			return "`" + name + "`"
		}
		return word
	})
	return paragraphs(comment)
}

// paragraphs joins the lines of each paragraph.
func paragraphs(comment string) string {
	var b strings.Builder
	for i, p := range strings.Split(comment, "\n\n") {
		if i > 0 {
			b.WriteString("\n\n")
		}
		if strings.HasPrefix(p, "\t") || strings.HasPrefix(p, "  - ") {
			b.WriteString(p)
			continue
		}
		b.WriteString(strings.Join(strings.Fields(p), " "))
	}
	return strings.ReplaceAll(b.String(), "<", "\\<")
}

// settingsPage draws configuration.md.
func settingsPage(src *source) (string, error) {
	list, err := units(src)
	if err != nil {
		return "", err
	}
	if err := spell(src.root, list); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(settingsIntro)
	for _, u := range list {
		fmt.Fprintf(&b, "- [%s](#%s)\n", u.title, anchor(u.title))
	}
	for _, u := range list {
		fmt.Fprintf(&b, "\n## %s\n\nModule `%s`; in JSON %s.\n\n%s\n", u.title, u.id, u.where, paragraphs(u.about.text))
		for i, s := range u.syntax {
			if i > 0 && strings.Contains(squeeze(u.syntax[0]), squeeze(s)) {
				continue
			}
			fmt.Fprintf(&b, "\n```\n%s\n```\n", s)
		}
		if u.more != "" {
			fmt.Fprintf(&b, "\n%s\n", paragraphs(u.more))
		}
		for _, s := range u.settings {
			fmt.Fprintf(&b, "\n### %s\n\n", "`"+s.path+"`")
			if len(s.lines) > 0 {
				fmt.Fprintf(&b, "Caddyfile: %s · ", strings.Join(s.lines, " › "))
			}
			fmt.Fprintf(&b, "JSON: %s\n\n%s\n", s.kind, s.text)
		}
	}
	return b.String(), nil
}

const settingsIntro = "# Configuration reference\n\n" +
	"Every setting, with its meaning, default and limits. This page is drawn from the comments of the code by `go run ./docs/reference`; a test compares it.\n\n" +
	"Each entry is headed by the setting's place in JSON: `limits.attempts.api` is `{\"limits\": {\"attempts\": {\"api\": 20}}}`, and `[]` stands for each item of a list. The line below it shows a\n" +
	"Caddyfile that sets it, from the outer block to the inner one, with the values of an example. Durations are written as `90s`, `10m` or `1d`, in JSON also as nanoseconds. Sizes are written\n" +
	"as `512KiB` in a Caddyfile and as bytes in JSON. What is unknown, contradictory or out of range is refused when the configuration loads, with file and line.\n\n"

var notInAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)

// anchor is how a heading is linked to.
func anchor(title string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
