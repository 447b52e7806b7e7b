package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/block"
	"github.com/stepup-gateway/caddy-stepup/config"
	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/coverage"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/portal"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// compileRules makes the gate's rules of a site's, and lists the action types
// that a person may step up for ahead of time.
func compileRules(ctx caddy.Context, said []config.Rule) ([]gate.Rule, map[string]portal.Action, error) {
	rules := make([]gate.Rule, 0, len(said))
	actions := make(map[string]portal.Action, len(said))
	for i, r := range said {
		load := func(name string, settings json.RawMessage) (any, error) {
			matcher, err := loadMatcher(ctx, name, settings)
			if err != nil {
				return nil, &config.PathError{Path: r.PathOfMatcher(name), Err: err}
			}
			return matcher, nil
		}
		demand, err := demandOf(r)
		if err != nil {
			return nil, nil, &config.RuleError{Rule: i, Err: err}
		}
		match, err := coverage.CompileMatch(load, r)
		if err != nil {
			return nil, nil, &config.RuleError{Rule: i, Err: err}
		}
		fields, shown, err := compileFields(r)
		if err != nil {
			return nil, nil, &config.RuleError{Rule: i, Err: fmt.Errorf("%s: %w", r.Action, err)}
		}
		rules = append(rules, gate.Rule{
			Demand:      demand,
			Label:       r.Label,
			Match:       match,
			Near:        coverage.CompileNear(r, match, withReading),
			Unsafe:      r.Unsafe,
			SafeMethods: r.UnsafeNot,
			Except:      r.Except,
			Fields:      fields,
			Show:        shown,
			ShowLabels:  r.ShowLabels,
			UsesMethod:  coverage.UsesMethod(r),
			UsesHost:    coverage.UsesHost(r),
			Observe:     r.Mode == config.ModeObserve,
			Line:        describe(r),
		})
		if _, known := actions[r.Action]; !known {
			actions[r.Action] = portal.Action{Demand: demand, Label: r.Label, RequestBound: len(r.Show) > 0}
		}
	}
	return rules, actions, nil
}

// loadMatcher loads one of Caddy's matchers. What is wrong with it stands without
// Caddy's words around it.
func loadMatcher(ctx caddy.Context, name string, settings json.RawMessage) (any, error) {
	const namespace = "http.matchers"
	if !block.Registered(namespace, name) {
		return nil, errors.New(block.Unknown(namespace, name))
	}
	matcher, err := ctx.LoadModuleByID(namespace+"."+name, settings)
	if err == nil {
		return matcher, nil
	}
	_, sentence, found := strings.Cut(err.Error(), "provision "+namespace+"."+name+": ")
	if !found {
		return nil, err
	}
	return nil, fmt.Errorf("%s: write it as Caddy's matcher %s takes it", sentence, name)
}

func demandOf(r config.Rule) (d grants.Demand, err error) {
	if d.Action, err = grants.NewAction(r.Action); err != nil {
		return d, err
	}
	d.Use = grants.TimeBased
	if r.Grant == config.GrantOneTime {
		d.Use = grants.OneTimeUse
	}
	d.TTL = time.Duration(r.TTL)
	for _, name := range r.Methods {
		m, err := grants.ParseMethod(name)
		if err != nil {
			return d, err
		}
		d.Methods |= m
	}
	d.AcceptAPI = slices.Contains(r.Accept, config.AcceptAPI)
	return d, nil
}

// compileFields returns the fields that a rule asks for, those of forms first, and
// those that it shows.
func compileFields(r config.Rule) (asked, shown []readings.Field, err error) {
	add := func(to *[]readings.Field, f readings.Field, failed error) {
		*to = append(*to, f)
		if err == nil {
			err = failed
		}
	}
	unless := func(f readings.Field, failed error, not []string) (readings.Field, error) {
		if failed != nil || len(not) == 0 {
			return f, failed
		}
		return f.Unless(not...)
	}
	for _, m := range r.Form {
		f, failed := readings.FormField(m.Name, m.Values...)
		f, failed = unless(f, failed, m.Not)
		add(&asked, f, failed)
	}
	for _, m := range r.JSON {
		f, failed := readings.JSONField(m.Pointer, m.Values...)
		f, failed = unless(f, failed, m.Not)
		add(&asked, f, failed)
	}
	for _, name := range r.Show {
		of := readings.FormField
		if strings.HasPrefix(name, "/") {
			of = readings.JSONField
		}
		f, failed := of(name)
		add(&shown, f, failed)
	}
	return asked, shown, err
}

// describe writes a rule in one line, for `caddy step-up explain`.
func describe(r config.Rule) string {
	words := []string{"protect", r.Action}
	if r.Any {
		words = append(words, "*")
	}
	words = append(words, describeSet(r.On)...)
	for _, set := range r.Match {
		words = append(words, "match", "{ "+strings.Join(describeSet(set), " ")+" }")
	}
	if r.Unsafe {
		words = append(append(words, "unsafe"), notWords(r.UnsafeNot)...)
	}
	if len(r.Except) > 0 {
		words = append(append(words, "except"), r.Except...)
	}
	for _, m := range r.Form {
		words = append(append(append(words, "form", m.Name), m.Values...), notWords(m.Not)...)
	}
	for _, m := range r.JSON {
		words = append(append(append(words, "json", m.Pointer), m.Values...), notWords(m.Not)...)
	}
	words = append(words, "grant", r.Grant, r.TTL.String())
	if len(r.Show) > 0 {
		words = append(append(words, "show"), r.Show...)
	}
	if len(r.Accept) > 0 {
		words = append(append(words, "accept"), r.Accept...)
	}
	if r.Mode == config.ModeObserve {
		words = append(words, "mode", r.Mode)
	}
	return strings.Join(words, " ")
}

// notWords are a list of what is harmless, as it is written.
func notWords(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return append([]string{"not"}, list...)
}

func describeSet(set config.Matchers) []string {
	var words []string
	for name, raw := range set {
		words = append(words, fmt.Sprintf("%s %s", name, raw))
	}
	slices.Sort(words)
	return words
}
