package records

import "time"

// Activity is something that was done to a subject's means of proof, or with
// them, for the subject to see, stored under "l/" holder time random.
type Activity struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"`
	Outcome string    `json:"outcome"`
	Cause   string    `json:"cause,omitempty"`
	Action  string    `json:"action,omitempty"`
	Method  string    `json:"method,omitempty"`
	// Authenticator is what the authenticator concerned was called at the time,
	// if there was one. Entries of earlier versions have none.
	Authenticator string `json:"authenticator,omitempty"`
	Address       string `json:"address,omitempty"`
	// Client is the id of the API key that acted, if one did.
	Client string `json:"client,omitempty"`
}
