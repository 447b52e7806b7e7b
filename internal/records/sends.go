package records

import "time"

// Sends counts the codes that were sent, stored under "m/" and the holder, or
// the digest of a destination, or that of all; see [DB.NameKey].
type Sends struct {
	// At are the times at which they were sent, the oldest first; what lies
	// before the window that counts is left out. Of all destinations together
	// only the number since Since is kept.
	At    []time.Time `json:"at,omitempty"`
	Since time.Time   `json:"since,omitzero"`
	Count int         `json:"count,omitempty"`
	// GivenBack are the times of those of a subject that were not charged,
	// since they could not be sent.
	GivenBack []time.Time `json:"given_back,omitempty"`
}
