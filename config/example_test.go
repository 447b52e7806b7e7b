package config_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stepup-gateway/caddy-stepup/config"
)

// The configuration is plain data: it is read from JSON, checked, and completed.
func ExampleSite() {
	var site config.Site
	err := json.Unmarshal([]byte(`{
		"tenant": "staff",
		"rules": [{"action": "WITHDRAW_FUNDS", "on": {"path": ["/transfer"]}, "grant": "one_time", "ttl": "2m"}]
	}`), &site)
	if err != nil {
		fmt.Println(err)
		return
	}
	rule := site.WithDefaults().Rules[0]
	fmt.Println(site.Validate())
	fmt.Println(rule.Label, rule.Mode, time.Duration(rule.TTL))
	// Output:
	// <nil>
	// WITHDRAW_FUNDS enforce 2m0s
}

// A refusal says what to write.
func ExampleCheckGrant() {
	fmt.Println(config.CheckGrant("one_time", config.Duration(2*time.Minute)))
	fmt.Println(config.CheckGrant("", 0))
	// Output:
	// <nil>
	// grant is missing: write `grant time_based 10m`, or `grant one_time 2m` for a proof that opens a single request
}

func ExampleCheckAction() {
	fmt.Println(config.CheckAction("WITHDRAW_FUNDS"))
	fmt.Println(config.CheckAction("step_up.manage"))
	// Output:
	// <nil>
	// action type "step_up.manage": names beginning with step_up. are the gateway's own; write a name of yours, such as VIEW_REPORTS
}

func ExampleParseDuration() {
	for _, text := range []string{"90s", "7d", "soon"} {
		d, err := config.ParseDuration(text)
		fmt.Println(time.Duration(d), err == nil)
	}
	// Output:
	// 1m30s true
	// 168h0m0s true
	// 0s false
}
