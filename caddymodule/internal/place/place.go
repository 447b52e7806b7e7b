// Package place says where in a configuration a module stands, for refusals: at the
// line of a Caddyfile, or by the path in the JSON.
package place

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
)

// Place is where a module stands in the configuration: in the Caddyfile, if it was
// written as one, or else by its path in the JSON.
type Place struct {
	Path   string // such as apps.http.servers.srv0.routes[0].handle[1]; empty if it is not known
	Source config.Source
}

// At returns where the setting at a path in the module's JSON stands; empty if that
// is not known.
func (p Place) At(setting string) string {
	if line := p.Source.Of(setting); line != "" {
		return line
	}
	if p.Path == "" || setting == "" {
		return p.Path + setting
	}
	return p.Path + "." + setting
}

// Refused adds the place that a refusal is about; nil stays nil.
func (p Place) Refused(err error) error { return p.RefusedAt(err, config.PathOf(err)) }

// RefusedAt is Refused for an error about the setting at a path.
func (p Place) RefusedAt(err error, path string) error {
	if err == nil || errors.As(err, new(*placedError)) {
		return err
	}
	if rule, ok := err.(*config.RuleError); ok {
		err = rule.Err // the place tells which
	}
	if at := p.At(path); at != "" {
		return &placedError{err, at}
	}
	return err
}

// Already marks a refusal whose text ends with its place.
func Already(err error) error {
	if err == nil {
		return nil
	}
	return &placedError{err: err}
}

// placedError is a refusal with the place that it is about.
type placedError struct {
	err error
	at  string // empty: the sentence ends with it already
}

// Error is the sentence, and then the place, as Caddy writes it.
func (e *placedError) Error() string {
	if e.at == "" {
		return e.err.Error()
	}
	return e.err.Error() + ", at " + e.at
}

// Unwrap returns the sentence.
func (e *placedError) Unwrap() error { return e.err }

// Find returns the path of a handler below path, where the routes stand: that of the
// first one with the module's name and the settings of handler, a pointer. It is empty
// if there is none.
func Find(routes []coverage.Route, path, name string, handler any) string {
	said, err := json.Marshal(handler)
	if err != nil {
		return ""
	}
	s := search{name: name, like: handler}
	_ = json.Unmarshal(said, &s.settings)
	return s.routes(routes, path, 0)
}

// search looks for a handler by its settings.
type search struct {
	name     string
	settings any
	like     any
}

func (s search) routes(list []coverage.Route, path string, depth int) string {
	if depth > coverage.MaxNesting {
		return ""
	}
	for i, route := range list {
		for j, raw := range route.Handle {
			at := fmt.Sprintf("%s[%d].handle[%d]", path, i, j)
			var h struct {
				Handler string           `json:"handler"`
				Routes  []coverage.Route `json:"routes"`
			}
			if json.Unmarshal(raw, &h) != nil {
				continue
			}
			if h.Handler == s.name && s.same(raw) {
				return at
			}
			if found := s.routes(h.Routes, at+".routes", depth+1); found != "" {
				return found
			}
		}
	}
	return ""
}

// same reports whether raw has the settings that are looked for, once it has been
// read and written like them.
func (s search) same(raw json.RawMessage) bool {
	fresh := reflect.New(reflect.TypeOf(s.like).Elem()).Interface()
	var settings any
	if json.Unmarshal(raw, fresh) != nil {
		return false
	}
	said, err := json.Marshal(fresh)
	return err == nil && json.Unmarshal(said, &settings) == nil && reflect.DeepEqual(settings, s.settings)
}
