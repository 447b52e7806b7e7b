package gate

import (
	"errors"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony/ceremonytest"
)

// TestS06Judge: the decision is a function of the matches alone, in whatever order
// the readings come.
func TestS06Judge(t *testing.T) {
	named := func(number int, action string) *rule {
		return &rule{Rule: Rule{Demand: ceremonytest.Demand(action, grants.TimeBased, time.Minute)}, number: number}
	}
	pay, payToo, view, watch := named(1, "PAY"), named(2, "PAY"), named(3, "VIEW"), named(4, "WATCH")
	none := match{}
	is := func(rl *rule, what says) match { return match{rule: rl, says: what} }
	for name, tc := range map[string]struct {
		all      []match
		tooLarge bool
		rule     *rule
		also     int
		observed int
		excepted bool
		err      error
	}{
		"nothing":                        {},
		"no rule":                        {all: []match{none, none}},
		"one":                            {all: []match{is(pay, decides)}, rule: pay},
		"no rule and one action":         {all: []match{none, is(pay, decides), none}, rule: pay},
		"one action by two rules":        {all: []match{is(payToo, decides), is(pay, decides)}, rule: payToo},
		"two actions":                    {all: []match{is(pay, decides), is(view, decides)}, err: errAmbiguous},
		"two actions far apart":          {all: []match{is(pay, decides), none, is(payToo, decides), is(view, decides)}, err: errAmbiguous},
		"maybe":                          {all: []match{is(pay, mayDecide), none}, rule: pay},
		"maybe and certainly":            {all: []match{is(pay, mayDecide), is(payToo, decides)}, rule: pay},
		"maybe another":                  {all: []match{is(pay, mayDecide), is(view, decides)}, rule: pay, also: 1},
		"maybe three":                    {all: []match{is(pay, mayDecide), is(view, mayDecide), is(payToo, mayDecide), is(watch, decides)}, rule: pay, also: 2},
		"maybe another, in a large body": {all: []match{is(pay, mayDecide), is(view, decides)}, tooLarge: true, rule: pay, also: 1},
		"certainly two, in a large body": {all: []match{is(pay, decides), is(view, decides)}, tooLarge: true, err: errAmbiguous},
		"observed":                       {all: []match{is(watch, observes), is(watch, observes), none}, observed: 1},
		"observed before it is decided":  {all: []match{is(watch, observes), is(pay, decides)}, rule: pay, observed: 1},
		"excepted":                       {all: []match{is(pay, excepts), none}, excepted: true},
		"excepted, then decided":         {all: []match{is(pay, excepts), is(view, decides)}, rule: view, excepted: true},
		"only if the body had it":        {all: []match{{rule: pay, says: mayDecide, ifBody: true}, is(view, decides)}, rule: view},
	} {
		t.Run(name, func(t *testing.T) {
			var all matches
			for _, m := range tc.all {
				all.add(m)
			}
			j, err := judge(&all, tc.tooLarge)
			if !errors.Is(err, tc.err) || j.rule != tc.rule || len(j.also) != tc.also || len(j.observed) != tc.observed || j.excepted != tc.excepted {
				t.Errorf("%+v, %v; want %+v", j, err, tc)
			}
			if j.untold && !tc.tooLarge {
				t.Error("untold without a large body")
			}
		})
	}
}
