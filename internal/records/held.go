package records

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/inflight"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
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
	// Kept is until when a challenge for the request can be begun again after the
	// one before ran out; zero: it cannot. From Expires on the request makes room
	// for others.
	Kept time.Time `json:"kept,omitzero"`
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

// Until is how long the request is kept.
func (t *Ticket) Until() time.Time {
	if t.Kept.After(t.Expires) {
		return t.Kept
	}
	return t.Expires
}

// Resume says whose ticket a browser comes back for, before anybody has said who
// is asking: stored under "r/", the zero holder, browser and id.
type Resume struct {
	Holder []byte `json:"holder"`
}

// HeldRequest is the request itself as the versions before packed requests stored
// it, in JSON, under "h/" and the same name. [DB.PutHeld] stores the byte 3, the
// generation in 8 bytes, the most significant first, and the packed request, sealed.
// It is written once and read once; whether it may be is the ticket's to say.
type HeldRequest struct {
	Stored []byte `json:"stored"`
}

// formPacked begins the plaintext of held requests.
const formPacked = 3

// heldPrefix is what lies before a packed request in its plaintext, and heldFront
// in its row: a negative array length below tells at compile time that there is no
// room for it.
const (
	heldPrefix = 1 + 8
	heldFront  = seal.Front + heldPrefix
)

var _ [heldrequest.Front - heldFront]struct{}
var _ [heldrequest.Back - (seal.Overhead - seal.Front)]struct{}

// HeldSize is how many bytes a request takes in the store.
func HeldSize(p *heldrequest.Packed) int64 { return int64(heldPrefix + p.Size() + seal.Overhead) }

// PutHeld is the op that stores a held request where there is none. It is sealed
// where it lies, so that no copy is made; p cannot be used afterwards.
func (db *DB) PutHeld(h grants.Holder, id []byte, p *heldrequest.Packed, expires time.Time) store.Op {
	key := db.Held.key(h, id)
	row := p.Buffer()[heldrequest.Front-heldFront:]
	row[seal.Front] = formPacked
	binary.BigEndian.PutUint64(row[seal.Front+1:], db.once())
	return store.Op{Key: key, Value: db.ring.SealInPlace(row, key), If: store.If(0), Expires: expires}
}

// ReadHeld reads a held request. [ErrNotFound] where there is none.
func (db *DB) ReadHeld(ctx context.Context, h grants.Holder, id []byte) (heldrequest.Request, error) {
	key := db.Held.key(h, id)
	e, err := db.get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return heldrequest.Request{}, err
	}
	if err != nil {
		return heldrequest.Request{}, fmt.Errorf("reading a record: %w", err)
	}
	plain, err := db.ring.OpenInPlace(e.Value, key)
	if err != nil {
		return heldrequest.Request{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var held heldrequest.Request
	switch {
	case len(plain) >= heldPrefix && plain[0] == formPacked:
		if !db.isGood(binary.BigEndian.Uint64(plain[1:])) {
			return held, ErrNotFound
		}
		held, err = heldrequest.Unpack(plain[heldPrefix:])
	case len(plain) > 0 && plain[0] == formJSON:
		if !db.isGood(0) {
			return held, ErrNotFound // it was made before there were generations
		}
		var old HeldRequest
		if json.Unmarshal(plain[1:], &old) != nil {
			return held, fmt.Errorf("%w: not the JSON expected", ErrCorrupt)
		}
		held, err = heldrequest.Unmarshal(old.Stored)
	default:
		return held, unknownForm(plain)
	}
	if err != nil {
		return held, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return held, nil
}

// InFlight is the memory that is reserved for requests while they are read, and
// HeldRate what is counted of each person's held requests. All configurations on
// the database share them.
func (db *DB) InFlight() *inflight.Room { return &db.inFlight }

// HeldRate: see [DB.InFlight].
func (db *DB) HeldRate() *inflight.Rate { return &db.heldRate }

// heldTotal knows how much is held in all, so that the disk has a bound.
type heldTotal struct {
	mu      sync.Mutex
	bytes   int64
	counted time.Time
	swept   time.Time // when lapsed requests were looked for last, and none found
}

// recount is how long a count of what is held is good: requests that run out in
// between are counted too long by this.
const recount = 30 * time.Second

// ReserveHeld reports whether size more bytes may be held without exceeding limit in
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
				if now.Before(row.Value.Until()) && len(row.Value.Spent) == 0 {
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

// maxLapsed bounds how many requests make room at once, and resweep how often they
// are looked for where there were none.
const (
	maxLapsed = store.MaxOps / 2
	resweep   = 5 * time.Second
)

// DropLapsed drops requests whose challenge ran out, those first that did so
// first, until size bytes are free. It reports whether any was dropped.
func (db *DB) DropLapsed(ctx context.Context, size int64, now time.Time) (bool, error) {
	t := &db.held
	t.mu.Lock()
	defer t.mu.Unlock()
	if since := now.Sub(t.swept); since >= 0 && since < resweep {
		return false, nil
	}
	var lapsed []Row[Ticket]
	for cursor, more := []byte(nil), true; more; {
		rows, next, err := db.Tickets.All(ctx, cursor, 1000)
		if err != nil {
			return false, err
		}
		for _, row := range rows {
			if !now.Before(row.Value.Expires) && now.Before(row.Value.Until()) && len(row.Value.Spent) == 0 {
				lapsed = append(lapsed, row)
			}
		}
		cursor, more = next, len(next) > 0
	}
	if len(lapsed) == 0 {
		t.swept = now
		return false, nil
	}
	slices.SortFunc(lapsed, func(a, b Row[Ticket]) int { return a.Value.Expires.Compare(b.Value.Expires) })
	var ops []store.Op
	freed := int64(0)
	for _, row := range lapsed[:min(len(lapsed), maxLapsed)] {
		if freed >= size {
			break
		}
		// Unless it was begun again meanwhile.
		ops = append(ops, db.Tickets.Delete(row), db.Held.DropID(db.Tickets.Holder(row), db.Tickets.ID(row)))
		freed += row.Value.Size
	}
	if err := db.Apply(store.Taking(ctx), ops...); errors.Is(err, ErrConflict) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	t.bytes -= freed
	return true, nil
}
