package records

import (
	"context"
	"sync"
	"time"
)

// Ticket is what a held request is carried on with, once: stored under "t/"
// holder browser id, the id being its challenge's.
type Ticket struct {
	Action  string `json:"action"`
	Site    string `json:"site"`
	Session []byte `json:"session,omitempty"`
	// URL is the path and query that was asked for; the browser comes back to
	// it.
	URL     string    `json:"url"`
	Size    int64     `json:"size"` // of the held request as stored, in bytes
	Expires time.Time `json:"expires"`
	// Gate names the gateway instance that held the request: only it carries on.
	Gate string `json:"gate,omitempty"`
	// Grant is the id of the one-time grant that was won for the request. It is
	// found here, so that no other grant of the browser can take its place.
	Grant []byte `json:"grant,omitempty"`
	// Claim marks a ticket that one request of its browser is being carried on
	// with, until ClaimedUntil. It is random, so that only that request may
	// redeem the ticket.
	Claim        []byte    `json:"claim,omitempty"`
	ClaimedUntil time.Time `json:"claimed_until,omitzero"`
	// Spent marks a ticket as used. As with a grant it is random, so that
	// whoever spent it, and nobody else, may give it back.
	Spent []byte `json:"spent,omitempty"`
}

// Resume says whose ticket a browser comes back for, before anybody has said who
// is asking: stored under "r/", the zero holder, browser and id.
type Resume struct {
	Holder []byte `json:"holder"`
}

// HeldRequest is the request itself, under "h/" and the same name. It is written
// once and read once; whether it may be is the ticket's to say.
type HeldRequest struct {
	Stored []byte `json:"stored"`
}

// heldTotal knows how much is held in all, so that the disk has a bound.
type heldTotal struct {
	mu      sync.Mutex
	bytes   int64
	counted time.Time
}

// recount is how long a count of what is held is good: requests that run out in
// between are counted too long by this.
const recount = 30 * time.Second

// ReserveHeld tells whether size more bytes may be held without exceeding limit in
// all, and counts them if so.
func (db *DB) ReserveHeld(ctx context.Context, size, limit int64, now time.Time) (bool, error) {
	t := &db.held
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted.IsZero() || now.Sub(t.counted) >= recount || now.Before(t.counted) {
		total := int64(0)
		for cursor, more := []byte(nil), true; more; {
			rows, next, err := db.Tickets.All(ctx, cursor, 1000)
			if err != nil {
				return false, err
			}
			for _, row := range rows {
				if now.Before(row.Value.Expires) && len(row.Value.Spent) == 0 {
					total += row.Value.Size
				}
			}
			cursor, more = next, len(next) > 0
		}
		t.bytes, t.counted = total, now
	}
	if t.bytes+size > limit {
		return false, nil
	}
	t.bytes += size
	return true, nil
}
