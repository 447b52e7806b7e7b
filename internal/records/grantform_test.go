package records

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func someGrants() []GrantRow {
	full := GrantRow{
		Action: strings.Repeat("A", maxActionText), Digest: make([]byte, 16), Session: []byte("0123456789abcdef"),
		Request: []byte("0123456789abcdef0123456789abcdef"), AuthTime: 1, Expires: -1, Methods: 0xffff, Origin: 3,
		Use: "ONE_TIME_USE", API: true, CreatedBy: "an authenticator", Spent: []byte("sixteen bytes or"),
	}
	return []GrantRow{{Action: "A", Digest: make([]byte, 16), Use: "TIME_BASED", AuthTime: noon.UnixNano(), Expires: 1}, full}
}

// What is packed is read again as it was, and what is cut short, or longer, is told.
func TestGrantsArePacked(t *testing.T) {
	for _, g := range someGrants() {
		packed := packGrant(nil, &g)
		if got, err := unpackGrant(packed); err != nil || !reflect.DeepEqual(got, g) {
			t.Errorf("%+v, %v; want %+v", got, err, g)
		}
		for n := range packed {
			if got, err := unpackGrant(packed[:n]); err == nil {
				t.Errorf("%d of %d bytes: %+v", n, len(packed), got)
			}
		}
		if got, err := unpackGrant(append(packed, 0)); err == nil {
			t.Errorf("a byte more: %+v", got)
		}
	}
}

func FuzzUnpackGrant(f *testing.F) {
	for _, g := range someGrants() {
		f.Add(packGrant(nil, &g))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := unpackGrant(b)
		if err != nil {
			return
		}
		if again := packGrant(nil, &g); string(again) != string(b) {
			t.Errorf("%x is packed as %x", b, again)
		}
	})
}

// A grant that a version before stored as JSON is read, and packed when it is
// changed; one of a form that is not known yet says so.
func TestGrantsOfOtherVersions(t *testing.T) {
	db := open(t)
	h := db.Holder(grants.Subject{Tenant: "t", User: "alice"})
	g, token := grants.Issue(demand, h, grants.Binding{}, grants.TOTP, noon)
	id := token.ID()
	key := db.grantRows.key(h, id[:])
	stored := func(form byte, body []byte) {
		t.Helper()
		plain := append(binary.BigEndian.AppendUint64([]byte{form}, db.Generation()), body...)
		if err := db.store.Apply(t.Context(), store.Op{Key: key, Value: db.ring.Seal(plain, key)}); err != nil {
			t.Fatal(err)
		}
	}
	body, err := json.Marshal(GrantRow{
		Action: action.String(), Digest: g.Action[:], AuthTime: g.AuthTime, Expires: g.Expires, Methods: uint16(g.Methods), Use: g.Use.String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	stored(formOnce, body)
	live, err := db.Grant(t.Context(), &h, &id, noon)
	if err != nil || live.Grant != g {
		t.Fatalf("%+v, %v; want %+v", live.Grant, err, g)
	}
	row, err := db.ReadGrant(t.Context(), h, id)
	if err != nil {
		t.Fatal(err)
	}
	op, err := db.MarkGrant(row, []byte("mark"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	e, err := db.store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := db.ring.Open(e.Value, key); err != nil || plain[0] != formGrant {
		t.Errorf("after a change: %v, %v", plain, err)
	}
	if row, err = db.ReadGrant(t.Context(), h, id); err != nil || string(row.Value.Spent) != "mark" || row.Value.Expires != noon.Add(time.Hour).UnixNano() {
		t.Errorf("%+v, %v", row.Value, err)
	}
	stored(lastForm+1, nil)
	if _, err := db.ReadGrant(t.Context(), h, id); !errors.Is(err, ErrNewer) {
		t.Errorf("a form of a later version: %v", err)
	}
}
