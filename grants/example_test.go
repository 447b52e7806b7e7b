package grants_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// A rule asks for a proof by an app that is at most ten minutes old. A grant that
// was won for it is good until then, and for nothing else.
func ExampleGrant_Check() {
	demand := grants.Demand{
		Action:  grants.MustAction("VIEW_REPORTS"),
		Use:     grants.TimeBased,
		TTL:     10 * time.Minute,
		Methods: grants.TOTP,
	}
	alice, mallory := grants.Holder{1}, grants.Holder{2}
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	grant, _ := grants.Issue(demand, alice, grants.Binding{}, grants.TOTP, noon)

	check := func(who grants.Holder, d grants.Demand, after time.Duration) {
		err := grant.Check(&d, &who, &grants.Binding{}, noon.Add(after))
		fmt.Println(err == nil, errors.Is(err, grants.ErrNoGrant), grants.CauseOf(err))
	}
	check(alice, demand, 9*time.Minute)
	check(alice, demand, 10*time.Minute)
	check(mallory, demand, time.Minute)
	demand.TTL = time.Minute // the rule became stricter
	check(alice, demand, 2*time.Minute)
	// Output:
	// true false absent
	// false true expired
	// false true other_subject
	// false true older_than_demanded
}

// Only the token's identifier is stored, so that a stolen store opens nothing.
func ExampleParseToken() {
	_, token := grants.Issue(grants.Demand{Action: grants.MustAction("PAY")}, grants.Holder{}, grants.Binding{}, grants.TOTP, time.Now())
	parsed, err := grants.ParseToken(token.Text())
	fmt.Println(parsed.ID() == token.ID(), err)
	fmt.Println(token) // hidden from logs
	_, err = grants.ParseToken("sug_not-a-token")
	fmt.Println(err)
	// Output:
	// true <nil>
	// sug_…
	// not a grant token
}

// Any string is an action type; what a rule is called is narrower.
func ExampleNewAction() {
	for _, name := range []string{"WITHDRAW_FUNDS", "wire transfer", "wire\ntransfer"} {
		action, err := grants.NewAction(name)
		fmt.Println(action.IsRuleName(), err)
	}
	// Output:
	// true <nil>
	// false <nil>
	// false action type "wire\ntransfer" must be Unicode text without control characters
}

func ExampleMethods_Accepts() {
	rule := grants.TOTP | grants.Passkey
	fmt.Println(rule.Accepts(grants.TOTP), rule.Accepts(grants.SMS))
	fmt.Println(grants.Methods(0).Accepts(grants.SMS)) // no methods: any
	// Output:
	// true false
	// true
}
