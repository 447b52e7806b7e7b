package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/stepup-gateway/caddy-stepup"
)

// separator stands in a golden between a Caddyfile and what it becomes.
const separator = "\n----------\n"

// spell finds out how a Caddyfile says each setting: it takes the lines of the
// Caddyfiles in testdata away, one after the other, and looks at what is missing in
// the JSON then.
func spell(root string, list []*unit) error {
	files, err := filepath.Glob(filepath.Join(root, "caddymodule", "testdata", "caddyfile", "*.caddyfile"))
	if err != nil {
		return err
	}
	slices.SortStableFunc(files, func(a, b string) int { // what has everything comes first
		return strings.Compare(strings.Replace(filepath.Base(a), "full", "!", 1), strings.Replace(filepath.Base(b), "full", "!", 1))
	})
	found := make(map[string][]string)
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "err_") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		input, _, _ := strings.Cut(string(content), separator)
		if err := spellOne(input, found); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, u := range list {
		for i := range u.settings {
			u.settings[i].lines = found[u.id+" "+u.settings[i].path]
		}
	}
	return nil
}

// spellOne adds to found, by module and path, the lines that say it.
func spellOne(input string, found map[string][]string) error {
	lines := strings.Split(strings.TrimRight(input, "\n"), "\n")
	whole, err := settingsIn(input)
	if err != nil {
		return err
	}
	var at []int // the open blocks
	for i, line := range lines {
		word := strings.TrimSpace(line)
		if word == "}" {
			at = at[:len(at)-1]
			continue
		}
		opens := strings.HasSuffix(word, "{")
		if ours(lines, at) && word != "" && !strings.HasPrefix(word, "#") {
			path := make([]string, 0, len(at)+1)
			for _, j := range append(slices.Clone(at), i) {
				if w := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(lines[j]), "{")); len(path) > 0 || strings.HasPrefix(w, "step_up") {
					path = append(path, "`"+w+"`")
				}
			}
			without, to := slices.Clone(lines), i+1
			if opens {
				to = end(lines, i)
			}
			rest, err := settingsIn(strings.Join(slices.Delete(without, i, to), "\n") + "\n")
			first := strings.Fields(word)[0]
			for key := range whole {
				gone := err == nil && rest[key] < whole[key]
				named := err != nil && says(first, key)
				if _, known := found[key]; !known && (gone && !opens || named) {
					found[key] = path
				}
			}
			if opens {
				defer func() { // what no line inside says, its first one does
					for key := range whole {
						if _, known := found[key]; !known && err == nil && rest[key] < whole[key] {
							found[key] = path
						}
					}
				}()
			}
		}
		if opens {
			at = append(at, i)
		}
	}
	return nil
}

// further are the words of lines that set members of other names.
var further = map[string][]string{
	"grant": {"rules[].ttl"}, "key": {"keys"}, "protect": {"rules", "rules[].action"}, "session_token": {"session_token", "session_token.action"},
	"identity": {"placeholder", "url", "header"}, "sender": {"url", "path", "sms_sender", "email_sender"}, "store": {"store"},
}

// says reports whether a line without which nothing loads is known to set what a
// key stands for: by its first word.
func says(first, key string) bool {
	_, path, _ := strings.Cut(key, " ")
	path = strings.TrimSuffix(path, "[]")
	return path == first || strings.HasSuffix(path, "."+first) || slices.Contains(further[first], path)
}

// ours reports whether the innermost of the open blocks is one of the gateway's.
func ours(lines []string, at []int) bool {
	return slices.ContainsFunc(at, func(i int) bool { return strings.HasPrefix(strings.TrimSpace(lines[i]), "step_up") })
}

// end is the line behind the block that begins at a line.
func end(lines []string, at int) int {
	depth := 0
	for i := at; i < len(lines); i++ {
		switch word := strings.TrimSpace(lines[i]); {
		case strings.HasSuffix(word, "{"):
			depth++
		case word == "}":
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(lines)
}

// settingsIn adapts a Caddyfile and returns how often its JSON has each setting, by
// module and path.
func settingsIn(input string) (map[string]int, error) {
	text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	found := make(map[string]int)
	collect(all, "", "", found)
	return found, nil
}

// collect walks JSON; module is the one that it is in, path what leads there.
func collect(v any, module, path string, found map[string]int) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			collect(item, module, path+"[]", found)
		}
		if module != "" && path != "" && len(v) > 0 {
			found[module+" "+path+"[]"]++
		}
	case map[string]any:
		for _, g := range guests {
			if name, ok := v[g.key].(string); ok && module != "" {
				module, path = g.namespace+"."+name, ""
			}
		}
		if name, ok := v["handler"].(string); ok && strings.HasPrefix(name, "step_up") {
			module, path = "http.handlers."+name, ""
		}
		for key, item := range v {
			next := key
			if path != "" && module != "" {
				next = path + "." + key
			}
			if module == "" && key == "step_up" {
				if o, ok := item.(map[string]any); ok {
					collect(o, "step_up", "", found)
					continue
				}
			}
			if module == "" {
				collect(item, "", "", found)
				continue
			}
			found[module+" "+next]++
			collect(item, module, next, found)
		}
	}
}
