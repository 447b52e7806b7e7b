package gate_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
	"github.com/stepup-gateway/caddy-stepup/internal/gate"
	"github.com/stepup-gateway/caddy-stepup/internal/readings"
)

// watching notes what a gate tells of requests that no enforced rule is about.
type watching struct {
	mu   sync.Mutex
	seen []string
}

func (w *watching) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, fmt.Sprintf(format, args...))
}

func (w *watching) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := strings.Join(w.seen, ", ")
	w.seen = nil
	return all
}

func (w *watching) hear(rules ...gate.Rule) func(*gate.Options) {
	return func(o *gate.Options) {
		o.Rules = rules
		o.Decided = func(rule int) { w.note("decided %d", rule) }
		o.Observed = func(_ *http.Request, seen gate.Observation) {
			says, user := seen.Identity()
			w.note("observed %d %s %s", seen.Rule, seen.Action, strings.TrimSpace(string(says)+" "+user))
		}
		o.Uncovered = func(r *http.Request, excepted bool) {
			if excepted {
				w.note("excepted %s %s", r.Method, r.URL.Path)
				return
			}
			w.note("uncovered %s %s", r.Method, r.URL.Path)
		}
	}
}

func field(t *testing.T, name string, values ...string) []readings.Field {
	t.Helper()
	f, err := readings.FormField(name, values...)
	if err != nil {
		t.Fatal(err)
	}
	return []readings.Field{f}
}

// An observing rule is told of, never asked: what becomes of a request is what
// the other rules say.
func TestObserve(t *testing.T) {
	var (
		watch    = gate.Rule{Demand: admin, Match: below("/admin"), Observe: true}
		again    = gate.Rule{Demand: change, Match: below("/admin/x"), Observe: true}
		deleting = gate.Rule{Demand: change, Match: methodAnd("DELETE", below("/admin")), UsesMethod: true, Observe: true}
		paying   = gate.Rule{Demand: transfer, Match: below("/admin"), Fields: field(t, "op", "pay"), Observe: true}
		enforce  = gate.Rule{Demand: transfer, Match: below("/admin")}
		unsafe   = gate.Rule{Demand: change, Unsafe: true, Except: []string{"/login"}}
		broken   = gate.Rule{Demand: admin, Match: func(*http.Request) (bool, error) { return false, errors.New("broken") }, Observe: true}
	)
	asForm := []string{"Content-Type", "application/x-www-form-urlencoded"}
	rules := func(rs ...gate.Rule) []gate.Rule { return rs }
	for _, tc := range []struct {
		name                 string
		rules                []gate.Rule
		method, target, body string
		headers              []string
		status               int
		told                 string
	}{
		{"passes", rules(watch), "GET", "/admin/x", "", nil, 200, "observed 0 ADMIN present alice"},
		{"nobody passes", rules(watch), "GET", "/admin/x", "", []string{"X-User", ""}, 200, "observed 0 ADMIN absent"},
		{"a failing source changes nothing", rules(watch), "GET", "/admin/x", "", []string{"X-User", "failing"}, 200, "observed 0 ADMIN unidentified"},
		{"nor does one that panics", rules(watch), "GET", "/admin/x", "", []string{"X-User", "panicking"}, 200, "observed 0 ADMIN unidentified"},
		{"nor do two credentials", rules(watch), "POST", "/admin/x", "", []string{"X-User", "twofold"}, 200, "observed 0 ADMIN ambiguous"},
		{"another path", rules(watch), "GET", "/x", "", nil, 200, ""},
		{"two of them", rules(watch, again), "GET", "/admin/x", "", nil, 200, "observed 0 ADMIN present alice, observed 1 CHANGE present alice"},
		{"in front of an enforced rule", rules(watch, enforce), "GET", "/admin/x", "", nil, 401, "decided 1, observed 0 ADMIN present alice"},
		{"in front of one that nobody passes", rules(watch, enforce), "GET", "/admin/x", "", []string{"X-User", ""}, 401, "decided 1, observed 0 ADMIN absent"},
		{"behind an enforced rule", rules(enforce, watch), "GET", "/admin/x", "", nil, 401, "decided 0"},
		{"another reading of the path", rules(watch), "GET", "/x/%2e%2e/admin", "", nil, 200, "observed 0 ADMIN present alice"},
		{"each reading once", rules(watch), "GET", "/admin//x", "", nil, 200, "observed 0 ADMIN present alice"},
		{"readings of two rules are not ambiguous", rules(watch, unsafe), "POST", "/login/..%2fadmin", "", nil, 401, "decided 1, observed 0 ADMIN present alice"},
		{"a method", rules(deleting), "POST", "/admin?_method=delete", "", nil, 200, "observed 0 CHANGE present alice"},
		{"a method in the body", rules(deleting), "POST", "/admin", "_method=delete", asForm, 200, "observed 0 CHANGE present alice"},
		{"another method", rules(deleting), "POST", "/admin", "", nil, 200, "uncovered POST /admin"},
		{"a field", rules(paying), "POST", "/admin", "op=pay", asForm, 200, "observed 0 TRANSFER present alice"},
		{"another field", rules(paying), "POST", "/admin", "op=view", asForm, 200, "uncovered POST /admin"},
		{"a body that cannot be told", rules(paying), "POST", "/admin", "op=pay", append(asForm, "Content-Encoding", "br"), 200, "observed 0 TRANSFER present alice"},
		{"a matcher that fails", rules(broken, enforce), "GET", "/admin/x", "", nil, 401, "decided 1, observed 0 ADMIN present alice"},
		{"a matcher that fails, alone", rules(broken), "GET", "/x", "", nil, 200, "observed 0 ADMIN present alice"},
		{"safe", rules(enforce), "GET", "/x", "", nil, 200, ""},
		{"uncovered", rules(enforce), "POST", "/x?secret=1", "", nil, 200, "uncovered POST /x"},
		{"an override", rules(enforce), "GET", "/x?_method=delete", "", nil, 200, "uncovered GET /x"},
		{"an override in a header", rules(enforce), "GET", "/x", "", []string{"X-HTTP-Method-Override", "PUT"}, 200, "uncovered GET /x"},
		{"excepted", rules(unsafe), "POST", "/login", "", nil, 200, "excepted POST /login"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var w watching
			s := newSite(t, w.hear(tc.rules...))
			if got := s.do(tc.method, tc.target, tc.body, tc.headers...); got.StatusCode != tc.status {
				t.Errorf("status %d %s, want %d", got.StatusCode, got.body, tc.status)
			}
			told := w.take()
			if told != tc.told {
				t.Errorf("told %q, want %q", told, tc.told)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			var would int
			for name, n := range s.counted {
				if strings.HasSuffix(name, " "+string(gate.WouldChallenge)) {
					would += n
				}
			}
			if want := strings.Count(tc.told, "observed"); would != want {
				t.Errorf("counted %v, want %d would-be challenges", s.counted, want)
			}
			if reached := tc.status == 200; reached != (len(s.reached) == 1) {
				t.Errorf("%d requests reached the application", len(s.reached))
			} else if reached && tc.body != "" {
				if s.reached[0].ContentLength != int64(len(tc.body)) {
					t.Error("the body is not what was sent")
				}
			}
		})
	}
}

// TestS06ObservingChangesNothing: whatever rules observe, every request is
// answered as by the enforced ones alone.
func TestS06ObservingChangesNothing(t *testing.T) {
	var watched []gate.Rule
	for _, r := range usualRules() {
		watched = append(watched,
			gate.Rule{Demand: transfer, Observe: true, Unsafe: true},
			gate.Rule{Demand: admin, Observe: true, UsesMethod: true, Match: methodAnd("DELETE", below("/"))},
			gate.Rule{Demand: change, Observe: true, Fields: field(t, "op")},
			gate.Rule{Demand: change, Observe: true},
			r)
	}
	alone, with := newSite(t), newSite(t, func(o *gate.Options) { o.Rules = watched })
	pathOnly := func(o *gate.Options) { o.Rules = []gate.Rule{usualRules()[0]} }
	bare := newSite(t, pathOnly)
	both := newSite(t, func(o *gate.Options) { pathOnly(o); o.Rules = slices.Insert(o.Rules, 0, watched[:4]...) })
	for _, target := range []string{
		"/", "/x", "/admin", "/ADMIN/x", "/admin/..%2ftransfer", "/transfer", "/transfer?_method=post", "/login", "/login/../x", "/assets/%2e%2e/x",
		"/.step-up/", "/x/..%2f.step-up/", "/%2561dmin", "/" + strings.Repeat("a;b//", 40), "/x?_method=a&_method=b&_method=c&_method=d",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS", "FROB"} {
			for _, body := range []string{"", "op=pay&_method=delete"} {
				if method == "HEAD" && body != "" {
					continue
				}
				headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
				a, w := alone.do(method, target, body, headers...), with.do(method, target, body, headers...)
				if a.StatusCode != w.StatusCode {
					t.Errorf("%s %s %q: %d, and with observing rules %d", method, target, body, a.StatusCode, w.StatusCode)
				}
				a, w = bare.do(method, target, body, headers...), both.do(method, target, body, headers...)
				if a.StatusCode != w.StatusCode {
					t.Errorf("path only: %s %s %q: %d, and with observing rules %d", method, target, body, a.StatusCode, w.StatusCode)
				}
			}
		}
	}
}

func TestExplainObserve(t *testing.T) {
	s := newSite(t, func(o *gate.Options) {
		o.Rules = []gate.Rule{
			{Demand: admin, Match: below("/admin"), Observe: true, Line: "a"},
			{Demand: transfer, Match: below("/admin"), Fields: field(t, "op"), Observe: true, Line: "b"},
			{Demand: change, Match: below("/admin/x"), Line: "c"},
		}
	})
	for _, tc := range []struct {
		target, outcome string
		rules           []string
	}{
		{"/x", "pass", []string{"0"}},
		{"/admin", "pass", []string{"1 observes", "2 observes if the body", "0"}},
		{"/admin/x", "step_up", []string{"1 observes", "2 observes if the body", "3"}},
	} {
		r, err := http.NewRequest("GET", s.URL+tc.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RequestURI = tc.target
		e := s.Gate.Explain(r)
		var rules []string
		for _, one := range e.Readings {
			text := fmt.Sprint(one.Rule)
			if one.Observes {
				text += " observes"
			}
			if one.IfBody {
				text += " if the body"
			}
			rules = append(rules, text)
		}
		if e.Outcome != tc.outcome || !slices.Equal(rules, tc.rules) || e.DependsOnBody {
			t.Errorf("%s: %s %q %v, want %s %q", tc.target, e.Outcome, rules, e.DependsOnBody, tc.outcome, tc.rules)
		}
	}
}

// What nobody protects passes without a search for what it may be, and a site
// that watches nothing does not allocate for it.
func BenchmarkUndemanded(b *testing.B) {
	for name, observe := range map[string]bool{"enforced": false, "observed": true} {
		w := ceremonytest.New(b)
		rules := usualRules()
		rules[0].Observe = observe
		g, err := gate.New(gate.Options{
			Tenant: ceremonytest.Tenant, Ceremony: w.Service, Rules: rules, Identify: identify,
			Server:    server{},
			Uncovered: func(*http.Request, bool) {},
			Portal:    http.NotFoundHandler(),
		})
		if err != nil {
			b.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/reports/7?page=2", nil)
		rec := httptest.NewRecorder()
		next := func(http.ResponseWriter, *http.Request) error { return nil }
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := g.ServeHTTP(rec, r, next); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
