package config

import (
	"strings"
	"testing"
	"time"
)

func TestSMS(t *testing.T) {
	for _, tt := range []struct {
		name string
		sms  SMS
		says string // "": it is good
	}{
		{"one country", SMS{Country: "DE"}, ""},
		{"countries", SMS{Countries: []string{"DE", "AT", "US"}}, ""},
		{"both", SMS{Country: "AT", Countries: []string{"DE", "AT"}}, ""},
		{"limits at their ends", SMS{Country: "DE", SentCodes: SentCodes{CodeTTL: Duration(15 * time.Minute), ResendAfter: Duration(10 * time.Second), PerSubject: 20, PerDestination: 1, Total: 1_000_000}}, ""},
		{"none", SMS{}, "invite those who earn"},
		{"another", SMS{Country: "CH", Countries: []string{"DE"}}, "not among countries"},
		{"small letters", SMS{Country: "de"}, "in capitals"},
		{"three letters", SMS{Countries: []string{"DEU"}}, "two letters"},
		{"no country", SMS{Country: "ZZ"}, "no country"},
		{"no country of its own", SMS{Country: "001"}, "no country"},
		{"the United Kingdom", SMS{Countries: []string{"UK"}}, "write GB"},
		{"empty", SMS{Countries: []string{""}}, "no country"},
		{"twice", SMS{Countries: []string{"DE", "AT", "DE"}}, "DE twice"},
		{"too many", SMS{Countries: make([]string, maxCountries+1)}, "more than"},
		{"too long a code", SMS{Country: "DE", SentCodes: SentCodes{CodeTTL: Duration(time.Hour)}}, "code_ttl must be between 1m and 15m"},
		{"resent at once", SMS{Country: "DE", SentCodes: SentCodes{ResendAfter: Duration(time.Second)}}, "resend_after must be between"},
		{"too many for one", SMS{Country: "DE", SentCodes: SentCodes{PerSubject: 21}}, "per_subject must be between 1 and 20"},
		{"less than none", SMS{Country: "DE", SentCodes: SentCodes{PerDestination: -1}}, "per_destination must be between"},
		{"too many in all", SMS{Country: "DE", SentCodes: SentCodes{Total: 1_000_001}}, "total must be between"},
	} {
		err := tt.sms.Validate()
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if app := (App{SMS: &tt.sms}).Validate(); (app == nil) != (err == nil) {
			t.Errorf("%s: the whole says %v", tt.name, app)
		}
	}
}

func TestSMSDefaults(t *testing.T) {
	said := App{SMS: &SMS{Country: "DE"}}
	s := said.WithDefaults().SMS
	if len(s.Countries) != 1 || s.Countries[0] != "DE" || time.Duration(s.CodeTTL) != 5*time.Minute || time.Duration(s.ResendAfter) != 30*time.Second ||
		s.PerSubject != 3 || s.PerDestination != 10 || s.Total != 1000 {
		t.Errorf("%+v", s)
	}
	if said.SMS.CodeTTL != 0 {
		t.Error("what was said has changed")
	}
	if (App{}).WithDefaults().SMS != nil {
		t.Error("there is a method that nobody asked for")
	}
}
