package config_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepup-gateway/caddy-stepup/config"
)

func TestDuration(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want time.Duration
		out  string // "" where in is refused
	}{
		{"90s", 90 * time.Second, "1m30s"},
		{"10m", 10 * time.Minute, "10m"},
		{"2h", 2 * time.Hour, "2h"},
		{"1d", 24 * time.Hour, "24h"},
		{"1d12h", 36 * time.Hour, "36h"},
		{"1h0m5s", time.Hour + 5*time.Second, "1h0m5s"},
		{"0s", 0, "0s"},
		{"10", 0, ""},
		{"-5m", 0, ""},
		{"1d-5m", 0, ""},
		{"d", 0, ""},
		{"1.5d", 0, ""},
		{"999999d", 0, ""},
		{"", 0, ""},
	} {
		d, err := config.ParseDuration(tc.in)
		if tc.out == "" {
			if err == nil {
				t.Errorf("%q was read as %s", tc.in, d)
			}
			continue
		}
		if err != nil || time.Duration(d) != tc.want || d.String() != tc.out {
			t.Errorf("%q gave %s (%v), want %s", tc.in, d, err, tc.out)
		}
		again, err := config.ParseDuration(d.String())
		if err != nil || again != d {
			t.Errorf("%q is written as %s, which is read as %s (%v)", tc.in, d, again, err)
		}
	}
}

func TestDurationJSON(t *testing.T) {
	for in, want := range map[string]string{`"5m"`: `"5m"`, `300000000000`: `"5m"`, `"1d"`: `"24h"`} {
		var d config.Duration
		if err := json.Unmarshal([]byte(in), &d); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if out, _ := json.Marshal(d); string(out) != want {
			t.Errorf("%s is written as %s, want %s", in, out, want)
		}
	}
	for _, in := range []string{`"5"`, `5.5`, `-1`, `true`, `{}`, `"`} {
		var d config.Duration
		if err := json.Unmarshal([]byte(in), &d); err == nil {
			t.Errorf("%s was read as %s", in, d)
		}
	}
}

// Zero and false are values: they must not turn into the default on their way
// through JSON.
func TestZeroSurvivesJSON(t *testing.T) {
	zero := 0
	in := config.App{TOTP: config.TOTP{Skew: &zero}}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out config.App
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Error(diff)
	}
	if got := out.WithDefaults().TOTP.Skew; got == nil || *got != 0 {
		t.Errorf("skew is %v after defaults", got)
	}
	if got := *(config.App{}).WithDefaults().TOTP.Skew; got != 1 {
		t.Errorf("skew left out is %d, want 1", got)
	}
}

func TestDefaultsAreValid(t *testing.T) {
	if err := (config.App{}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (config.App{}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	site := config.Site{Rules: []config.Rule{{Action: "A", Any: true, Grant: config.GrantTimeBased}}}
	if err := site.Validate(); err != nil {
		t.Error(err)
	}
	if err := site.WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	if got := site.WithDefaults().Rules[0]; got.TTL != config.DefaultTimeBased || len(got.Methods) != 5 || got.Label != "A" {
		t.Errorf("defaults of a rule: %+v", got)
	}
	if site.Rules[0].TTL != 0 {
		t.Error("WithDefaults changed what it was given")
	}
}

func TestEnrollmentDeadline(t *testing.T) {
	for until, want := range map[string]string{
		"2026-12-31":                "2027-01-01T00:00:00Z",
		"2026-12-31T18:00:00+01:00": "2026-12-31T17:00:00Z",
	} {
		got, err := config.Enrollment{Policy: config.EnrollFirstUse, Until: until}.Deadline()
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s ends at %s (%v), want %s", until, got.Format(time.RFC3339), err, want)
		}
	}
}

// on, match and rule make the tables below short.
func on(paths ...string) config.Matchers {
	text, _ := json.Marshal(paths)
	return config.Matchers{"path": text}
}

func matching(name, text string) []config.Matchers {
	return []config.Matchers{{name: json.RawMessage(text)}}
}

func rule(action string, change func(*config.Rule)) config.Rule {
	r := config.Rule{Action: action, Grant: config.GrantOneTime}
	change(&r)
	return r
}

func path(action string, paths ...string) config.Rule {
	return rule(action, func(r *config.Rule) { r.On = on(paths...) })
}

// TestS20RuleSets checks sets of rules against what is refused: mistakes that
// leave something open which its author believes protected.
func TestS20RuleSets(t *testing.T) {
	all := func(except ...string) config.Rule {
		return rule("ALL", func(r *config.Rule) { r.Any, r.Except = true, except })
	}
	unsafe := func(action string, except ...string) config.Rule {
		return rule(action, func(r *config.Rule) { r.Unsafe, r.Except = true, except })
	}
	for name, tc := range map[string]struct {
		rules []config.Rule
		want  string // part of the sentence; "" where the set is fine
	}{
		"empty":                      {nil, "protects nothing"},
		"two paths":                  {[]config.Rule{path("A", "/a"), path("B", "/b")}, ""},
		"same path":                  {[]config.Rule{path("A", "/a"), path("B", "/A")}, "repeats"},
		"same path, spaced JSON":     {[]config.Rule{path("A", "/a"), rule("B", func(r *config.Rule) { r.On = config.Matchers{"path": json.RawMessage(" [ \"/a\" ]")} })}, "repeats"},
		"same header":                {[]config.Rule{rule("A", func(r *config.Rule) { r.Match = matching("header", `{"X":["1"],"Y":["2"]}`) }), rule("B", func(r *config.Rule) { r.On = config.Matchers{"header": json.RawMessage(`{"Y":["2"],"X":["1"]}`)} })}, "repeats"},
		"narrow first":               {[]config.Rule{path("A", "/a/b"), path("B", "/a/*")}, ""},
		"inside":                     {[]config.Rule{path("A", "/a/*"), path("B", "/a/b")}, "inside /a/*"},
		"the path without its slash": {[]config.Rule{path("A", "/a/*"), path("B", "/a")}, "inside /a/*"},
		"prefix without a slash":     {[]config.Rule{path("A", "/a*"), path("B", "/abc")}, "inside /a*"},
		"beside a prefix":            {[]config.Rule{path("A", "/a/*"), path("B", "/ab")}, ""},
		"wider after narrow glob":    {[]config.Rule{path("A", "/u/*/x"), path("B", "/u/*")}, ""},
		"catch-all last":             {[]config.Rule{path("A", "/a"), all()}, ""},
		"after a catch-all":          {[]config.Rule{all(), path("A", "/a")}, "can never be reached"},
		"two catch-alls":             {[]config.Rule{all(), rule("B", func(r *config.Rule) { r.Any = true })}, "repeats"},
		"after an excepting all":     {[]config.Rule{all("/login"), path("A", "/a")}, "inside *"},
		"the exception itself":       {[]config.Rule{all("/login"), path("A", "/login")}, ""},
		"around the exception":       {[]config.Rule{all("/api/v1/*"), path("A", "/api/*")}, ""},
		"inside, beside exception":   {[]config.Rule{rule("A", func(r *config.Rule) { r.On, r.Except = on("/a/*"), []string{"/a/help"} }), path("B", "/a/danger")}, "inside /a/*"},
		"unsafe, then paths":         {[]config.Rule{unsafe("A"), path("B", "/b")}, ""},
		"unsafe twice":               {[]config.Rule{unsafe("A"), unsafe("B")}, "repeats"},
		"unsafe with exceptions":     {[]config.Rule{unsafe("A", "/login"), unsafe("B")}, ""},
		"unsafe, then unsafe paths":  {[]config.Rule{unsafe("A"), rule("B", func(r *config.Rule) { r.Unsafe, r.On = true, on("/b") })}, "can never be reached"},
		"match narrows the earlier":  {[]config.Rule{rule("A", func(r *config.Rule) { r.On, r.Match = on("/a/*"), matching("method", `["POST"]`) }), path("B", "/a/b")}, ""},
		"match narrows the later":    {[]config.Rule{path("A", "/a/*"), rule("B", func(r *config.Rule) { r.On, r.Match = on("/a/b"), matching("method", `["POST"]`) })}, "inside"},
		"path within match":          {[]config.Rule{path("A", "/a/*"), rule("B", func(r *config.Rule) { r.Match = matching("path", `["/a/b"]`) })}, "inside"},
		"same action, same demand":   {[]config.Rule{path("A", "/a"), path("A", "/b")}, ""},
		"same action, said default":  {[]config.Rule{path("A", "/a"), rule("A", func(r *config.Rule) { r.On, r.TTL = on("/b"), config.DefaultOneTime })}, ""},
		"same action, other type":    {[]config.Rule{path("A", "/a"), rule("A", func(r *config.Rule) { r.On, r.Grant = on("/b"), config.GrantTimeBased })}, "another demand"},
		"same action, other ttl":     {[]config.Rule{path("A", "/a"), rule("A", func(r *config.Rule) { r.On, r.TTL = on("/b"), config.MinGrant })}, "another demand"},
		"same action, other methods": {[]config.Rule{path("A", "/a"), rule("A", func(r *config.Rule) { r.On, r.Methods = on("/b"), []string{"totp"} })}, "another demand"},
		"no request at all":          {[]config.Rule{{Action: "A", Grant: config.GrantOneTime}}, "names no request"},
		"any and narrower":           {[]config.Rule{rule("A", func(r *config.Rule) { r.Any, r.On = true, on("/a") })}, "both"},
		"empty alternative":          {[]config.Rule{rule("A", func(r *config.Rule) { r.Match = []config.Matchers{{}} })}, "empty match"},
		"bad pattern in match":       {[]config.Rule{rule("A", func(r *config.Rule) { r.Match = matching("path", `["/a["]`) })}, "well-formed"},
		"path matcher of no paths":   {[]config.Rule{rule("A", func(r *config.Rule) { r.On = config.Matchers{"path": json.RawMessage(`[]`)} })}, "1 to 100"},
		"too many":                   {make([]config.Rule, config.MaxRules+1), "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			err := config.CheckRules(tc.rules)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want a sentence with %q", err, tc.want)
			}
		})
	}
}

// Whatever JSON says, reading it never panics, and what is accepted is accepted
// again with its defaults filled in.
func FuzzSite(f *testing.F) {
	f.Add([]byte(`{"tenant":"t","rules":[{"action":"A","any":true,"grant":"one_time"}]}`))
	f.Add([]byte(`{"rules":[{"action":"A","on":{"path":["/a/*"]},"match":[{"method":["POST"]}],"except":["/a/b"],"grant":"time_based","ttl":"5m"},{"action":"B","unsafe":true,"grant":"one_time"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s config.Site
		if json.Unmarshal(text, &s) != nil || s.Validate() != nil {
			return
		}
		if err := s.WithDefaults().Validate(); err != nil {
			t.Errorf("%s: valid, but not with its defaults: %v", text, err)
		}
	})
}

// Two sites of one tenant ask for the same under one action type: a server that
// is told of a grant cannot say for which site.
func TestS20CheckShared(t *testing.T) {
	rule := func(change func(*config.Rule)) []config.Rule {
		r := config.Rule{Action: "A", Any: true, Grant: config.GrantTimeBased}
		change(&r)
		return []config.Rule{{Action: "OTHER", Any: true, Grant: config.GrantOneTime}, r}
	}
	plain := rule(func(*config.Rule) {})
	for name, tc := range map[string]struct {
		other []config.Rule
		ok    bool
	}{
		"the same":          {plain, true},
		"its default, said": {rule(func(r *config.Rule) { r.TTL = config.DefaultTimeBased }), true},
		"methods, in any order": {rule(func(r *config.Rule) {
			r.Methods = []string{config.MethodRecoveryCode, config.MethodSMS, config.MethodEmail, config.MethodTOTP, config.MethodPasskey}
		}), true},
		"other requests":     {rule(func(r *config.Rule) { r.Any, r.Unsafe = false, true }), true},
		"another action":     {rule(func(r *config.Rule) { r.Action, r.Grant = "B", config.GrantOneTime }), true},
		"another grant type": {rule(func(r *config.Rule) { r.Grant = config.GrantOneTime }), false},
		"another duration":   {rule(func(r *config.Rule) { r.TTL = config.MaxGrant }), false},
		"fewer methods":      {rule(func(r *config.Rule) { r.Methods = []string{config.MethodTOTP} }), false},
		"accept":             {rule(func(r *config.Rule) { r.Accept = []string{config.AcceptAPI} }), false},
	} {
		err := config.CheckShared(plain, tc.other)
		var at *config.RuleError
		if (err == nil) != tc.ok || err != nil && (!errors.As(err, &at) || at.Rule != 1) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
