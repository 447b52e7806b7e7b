package passkey_test

import (
	"encoding/json"

	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/factor/passkey"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// create returns the options with which the enrollment of the id makes a passkey.
func create(f passkey.Factor, db *records.DB, a *records.Account, id, site string) (json.RawMessage, error) {
	var e ceremony.Enrollment
	err := f.Show(db, a, id, &records.Pending{Site: site}, &e)
	return e.Options, err
}

// register reads the browser's answer to create.
func register(f passkey.Factor, db *records.DB, a *records.Account, id, site, answer string) (records.Passkey, error) {
	made, _, err := f.Finish(db, a, &records.Pending{Site: site}, ceremony.Attempt{Challenge: id, Site: site, Answer: answer})
	if made.Passkey == nil {
		return records.Passkey{}, err
	}
	return *made.Passkey, err
}

// ask returns the options with which a challenge asks for a passkey.
func ask(f passkey.Factor, db *records.DB, a *records.Account, challenge, site string) (json.RawMessage, error) {
	asked, err := f.Ask(db, a, challenge, site)
	return asked.Options, err
}
