package records_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// What a newer version stored in a record, and this one does not know, is there
// after this one rewrote the record: in the account, in what is nested in it, and
// in those elements of its lists that are still there.
func TestUnknownMembersSurviveARewrite(t *testing.T) {
	db, s, key := create(t)
	ring := must[*seal.Ring](t)(seal.NewRing(key))
	h := db.Holder(subject("alice"))
	rowKey := append([]byte("s/"), h[:]...)
	write := func(text string) {
		t.Helper()
		if err := s.Apply(t.Context(), store.Op{Key: rowKey, Value: ring.Seal([]byte("\x01"+text), rowKey)}); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (stored any) {
		t.Helper()
		plain := must[[]byte](t)(ring.Open(must[store.Entry](t)(s.Get(t.Context(), rowKey)).Value, rowKey))
		if err := json.Unmarshal(plain[1:], &stored); err != nil {
			t.Fatal(err)
		}
		return stored
	}
	const at = `"2027-01-15T12:00:00Z"`
	account := func(more, totp, phone, code string) string {
		return `{"tenant":"staff","user":"alice","state":"enrolled","set":3,"created_at":` + at + more + `,"authenticators":[` +
			`{"id":"a","type":"totp","label":"App","created_at":` + at + totp + `},` +
			`{"id":"b","type":"phone","label":"<Phone>","created_at":` + at + phone + `}],` +
			`"recovery_codes":[{"hash":"AQ=="` + code + `},{"hash":"Ag=="}]}`
	}
	for name, test := range map[string]struct {
		before string
		change func(*records.Account)
		after  string
	}{
		"nothing changes": {
			before: account(`,"New":{"a":[1,2.50,"<x>"]},"big":12345678901234567890`, `,"attested":true`, `,"region":"eu"`, `,"why":null`),
			change: func(*records.Account) {},
			after:  account(`,"New":{"a":[1,2.50,"<x>"]},"big":12345678901234567890`, `,"attested":true`, `,"region":"eu"`, `,"why":null`),
		},
		"in a nested secret": {
			before: account(``, `,"totp":{"secret":"AQ==","algorithm":"SHA1","digits":6,"last":1,"drift":4}`, ``, ``),
			change: func(a *records.Account) {
				secret := *a.Authenticators[0].TOTP
				secret.Last = 2
				a.Authenticators = append([]records.Authenticator(nil), a.Authenticators...)
				a.Authenticators[0].TOTP = &secret
			},
			after: account(``, `,"totp":{"secret":"AQ==","algorithm":"SHA1","digits":6,"last":2,"drift":4}`, ``, ``),
		},
		"an element goes, the others keep their own": {
			before: account(``, `,"attested":true`, `,"region":"eu"`, `,"why":"x"`),
			change: func(a *records.Account) {
				a.Authenticators, a.RecoveryCodes = a.Authenticators[1:], a.RecoveryCodes[1:]
			},
			after: `{"tenant":"staff","user":"alice","state":"enrolled","set":3,"created_at":` + at +
				`,"authenticators":[{"id":"b","type":"phone","label":"<Phone>","created_at":` + at + `,"region":"eu"}],"recovery_codes":[{"hash":"Ag=="}]}`,
		},
		"what was taken away stays away": {
			before: account(`,"codes_origin":{"methods":1,"ever":1,"more":2}`, `,"last_used_at":`+at, ``, `,"used_at":`+at),
			change: func(a *records.Account) {
				a.CodesOrigin = nil
				a.Authenticators = []records.Authenticator{a.Authenticators[0]}
				a.Authenticators[0].LastUsedAt = time.Time{}
				a.RecoveryCodes = nil
			},
			after: `{"tenant":"staff","user":"alice","state":"enrolled","set":3,"created_at":` + at +
				`,"authenticators":[{"id":"a","type":"totp","label":"App","created_at":` + at + `}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			write(test.before)
			for range 2 { // also of what was merged
				row := must[records.Row[records.Account]](t)(db.Accounts.Get(t.Context(), h, nil))
				value := row.Value
				test.change(&value)
				if name == "an element goes, the others keep their own" {
					test.change = func(*records.Account) {}
				}
				apply(t, db, must[store.Op](t)(db.Accounts.Update(row, value, time.Time{})))
			}
			var want any
			if err := json.Unmarshal([]byte(test.after), &want); err != nil {
				t.Fatal(err)
			}
			if got := read(); !reflect.DeepEqual(got, want) {
				t.Errorf("stored\n%v, want\n%v", got, want)
			}
		})
	}
}
