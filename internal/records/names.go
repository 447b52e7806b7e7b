package records

import "github.com/stepup-gateway/caddy-stepup/grants"

// Name leads from what a server calls a subject, or an enrollment of it, to the
// subject. It is stored under "n/" and the digest of what it is called; see
// [DB.NameKey].
type Name struct {
	Tenant string `json:"tenant"`
	User   string `json:"user"`
	// Enrollment is the id of the pending enrollment, and later of the
	// authenticator, that is named; empty where the subject is.
	Enrollment string `json:"enrolment,omitempty"`
}

// NameKey is what the record of a name of some kind is filed under.
func (db *DB) NameKey(kind string, parts ...string) grants.Holder {
	data := make([][]byte, len(parts))
	for i, p := range parts {
		data[i] = []byte(p)
	}
	return grants.Holder(db.MAC("name "+kind, data...))
}
