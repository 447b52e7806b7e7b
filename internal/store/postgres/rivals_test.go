package postgres

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func TestJudge(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	one := func(host string, writes bool, timeline uint64, started int) server {
		return server{host: host, writes: writes, timeline: timeline, system: 7, started: start.Add(time.Duration(started))}
	}
	other := one("c", true, 9, 3)
	other.system = 8
	for name, c := range map[string]struct {
		all  []server
		want []string // what the sentence names; nothing: no rivals
	}{
		"none answers":                       {nil, nil},
		"one alone":                          {[]server{one("a", true, 1, 1)}, nil},
		"one with a standby":                 {[]server{one("b", false, 1, 2), one("a", true, 1, 1)}, nil},
		"one by two names":                   {[]server{one("a", true, 1, 1), one("b", true, 1, 1)}, nil},
		"only standbys":                      {[]server{one("a", false, 1, 1), one("b", false, 2, 2)}, nil},
		"a standby that lags":                {[]server{one("a", true, 3, 1), one("b", false, 2, 2)}, nil},
		"both take writes":                   {[]server{one("a", true, 1, 1), one("b", true, 2, 2)}, []string{"two", "a (timeline 1)", "b (timeline 2)"}},
		"both, on one timeline":              {[]server{one("a", true, 2, 1), one("b", true, 2, 2)}, []string{"two"}},
		"two clusters":                       {[]server{one("a", true, 1, 1), other}, []string{"two", "c (timeline 9)"}},
		"a standby of one that was promoted": {[]server{one("a", true, 1, 1), one("b", false, 2, 2)}, []string{"b has come to timeline 2"}},
		"it takes no writes any more":        {[]server{one("a", false, 1, 1), one("b", true, 2, 2)}, nil},
	} {
		got := judge(c.all)
		if (got == "") != (c.want == nil) {
			t.Errorf("%s: %q", name, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q does not name %q", name, got, want)
			}
		}
	}
}

// A refusal ends once no rival was seen for some rounds and another generation has
// begun.
func TestRivals(t *testing.T) {
	var r rivals
	if r.found("", 4) || r.refusal() != nil || r.settle() {
		t.Fatal("rivals that were not found")
	}
	if !r.found("two", 4) || r.found("two", 4) {
		t.Error("what is new is not what is told")
	}
	if err := r.refusal(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "two") {
		t.Errorf("refused: %v", err)
	}
	r.found("", 4)
	r.found("", 4)
	r.found("two", 5) // it was too slow in between
	for range quietAfter {
		if r.gone() || r.settle() || r.cause(5) != "" {
			t.Fatal("over before its time")
		}
		r.found("", 5)
	}
	if !r.gone() || r.cause(4) == "" || r.cause(5) == "" || r.cause(6) != "" {
		t.Error("the generation in which there were rivals does not end")
	}
	if r.refusal() == nil {
		t.Error("served before the next generation has begun")
	}
	if !r.settle() || r.refusal() != nil || r.gone() || r.settle() {
		t.Error("it does not end")
	}
	// What was there before anything was known ends a generation too, and one only.
	r.found("two", -1)
	for range quietAfter {
		r.found("", -1)
	}
	for range 2 { // one that could not be begun is tried again
		if r.cause(6) == "" {
			t.Error("rivals of the time before the start end no generation")
		}
	}
	if r.cause(7) != "" {
		t.Error("they end two")
	}
}

func TestHostsOf(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u@127.0.0.1,localhost:5433/d?sslmode=disable":    "127.0.0.1:5432 localhost:5433",
		"postgres://u@localhost/d?sslmode=prefer":                    "localhost:5432",
		"host=/run/a,/run/b user=u dbname=d":                         "/run/a:5432 /run/b:5432",
		"postgres://u@db1.test,db2.test:1/d?sslmode=verify-full":     "db1.test:5432 db2.test:1",
		"postgres://u@localhost:1,[::1]:1,localhost:1/d":             "localhost:1 [::1]:1",
		"postgres://u@localhost,127.0.0.1/d?sslmode=prefer&port=5,5": "localhost:5 127.0.0.1:5",
	} {
		config, err := parse(url)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, h := range hostsOf(config.ConnConfig) {
			names = append(names, h.name)
			if h.config.ValidateConnect != nil || h.config.Host != config.ConnConfig.Host && len(names) == 1 {
				t.Errorf("%s: %+v", url, h.config)
			}
			if strings.Contains(url, "prefer") && len(h.config.Fallbacks) == 0 {
				t.Errorf("%s: one way to %s is lost", url, h.name)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
