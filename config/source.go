package config

import (
	"errors"
	"fmt"
	"strings"
)

// Source tells where the settings of a module stand in a Caddyfile: FILE:LINE by
// the path of a setting in the module's JSON, such as rules[2]. The module itself
// has the path "". The Caddyfile's adapter writes it, so that what is refused or
// warned of only once the configuration loads names a line too; nothing else
// depends on it.
type Source map[string]string

// Of returns where the setting at path stands, or the nearest one around it; empty
// if neither is known.
func (s Source) Of(path string) string {
	for {
		if at, known := s[path]; known || path == "" {
			return at
		}
		if at, known := s[strings.TrimSuffix(path, "s")]; known {
			return at // a list, of which each line of the Caddyfile names one
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// PathError is a refusal of one setting.
type PathError struct {
	Path string // of the setting in the JSON of its module, such as grant or form[0]
	Err  error
}

// Error is the sentence alone.
func (e *PathError) Error() string { return e.Err.Error() }

// Unwrap returns the sentence.
func (e *PathError) Unwrap() error { return e.Err }

// at says which setting err refuses; nil stays nil.
func at(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &PathError{fmt.Sprintf(format, args...), err}
}

// PathOf returns the path of the setting that err refuses, in the JSON of its
// module; empty if none is known.
func PathOf(err error) string {
	var path []string
	for err != nil {
		switch e := err.(type) {
		case *RuleError:
			path = append(path, fmt.Sprintf("rules[%d]", e.Rule))
		case *PathError:
			path = append(path, e.Path)
		}
		err = errors.Unwrap(err)
	}
	return strings.Join(path, ".")
}

// PathOfMatcher returns where the first matcher of a name stands in r.
func (r Rule) PathOfMatcher(name string) string {
	if _, ok := r.On[name]; ok {
		return "on." + name
	}
	for i, set := range r.Match {
		if _, ok := set[name]; ok {
			return fmt.Sprintf("match[%d].%s", i, name)
		}
	}
	return ""
}
