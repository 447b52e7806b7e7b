package records_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/heldrequest"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/seal"
	"github.com/stepup-gateway/caddy-stepup/store"
)

func packed(t testing.TB, body []byte) *heldrequest.Packed {
	t.Helper()
	r := &http.Request{Method: "POST", ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body))}
	return must[*heldrequest.Packed](t)(heldrequest.Capture(r, heldrequest.Sent{Method: "POST", Target: "/x?a=1", Header: http.Header{"Accept": {"*/*"}}}, 4<<20))
}

// A held request takes in the store what its body has of bytes and little more,
// and that is what is counted; no copy of it is made on the way there.
func TestS26HeldRequestTakesWhatItHasOfBytes(t *testing.T) {
	db, s, _ := create(t)
	h := db.Holder(subject("alice"))
	for _, n := range []int{0, 1, 1 << 10, 900 << 10} {
		body := bytes.Repeat([]byte{0xfe}, n)
		p, id := packed(t, body), []byte{byte(n >> 10), byte(n)}
		size, memory := records.HeldSize(p), &p.Buffer()[heldrequest.Front]
		op := db.PutHeld(h, id, p, noon)
		if int64(len(op.Value)) != size || size > int64(n)+300 {
			t.Errorf("%d bytes take %d, and count as %d", n, len(op.Value), size)
		}
		if n > 0 && &op.Value[len(op.Value)-int(size)+38] != memory {
			t.Error("the request was copied")
		}
		apply(t, db, op)
		if err := db.Apply(t.Context(), db.PutHeld(h, id, packed(t, body), noon)); !errors.Is(err, records.ErrConflict) {
			t.Error("a held request was replaced:", err)
		}
		got := must[heldrequest.Request](t)(db.ReadHeld(t.Context(), h, id))
		if got.Method != "POST" || got.Target != "/x?a=1" || got.Header.Get("Accept") != "*/*" || !bytes.Equal(got.Body, body) {
			t.Errorf("%d bytes came back as %d", n, len(got.Body))
		}
		// Moved to another row, or altered, it does not open.
		e := must[store.Entry](t)(s.Get(t.Context(), append(append([]byte("h/"), h[:]...), id...)))
		for _, change := range []func() []store.Op{
			func() []store.Op {
				return []store.Op{{Key: append(append([]byte("h/"), h[:]...), "other"...), Value: e.Value}}
			},
			func() []store.Op {
				v := bytes.Clone(e.Value)
				v[len(v)-1] ^= 1
				return []store.Op{{Key: append(append([]byte("h/"), h[:]...), "other"...), Value: v}}
			},
		} {
			apply(t, db, change()...)
			if _, err := db.ReadHeld(t.Context(), h, []byte("other")); !errors.Is(err, records.ErrCorrupt) {
				t.Error("moved or altered:", err)
			}
		}
	}
	if _, err := db.ReadHeld(t.Context(), h, []byte("none")); !errors.Is(err, records.ErrNotFound) {
		t.Error(err)
	}
}

// What the version before held is read.
func TestHeldRequestOfTheVersionBefore(t *testing.T) {
	db, _, key := create(t)
	ring := must[*seal.Ring](t)(seal.NewRing(key))
	h := db.Holder(subject("alice"))
	rowKey := append(append([]byte("h/"), h[:]...), "id"...)
	old := must[[]byte](t)(json.Marshal(heldrequest.Request{Method: "POST", Target: "/x", Body: []byte("a=1")}))
	for _, test := range []struct {
		stored []byte
		ok     bool
	}{{old, true}, {nil, false}, {[]byte("{}"), false}} {
		plain := append([]byte{1}, must[[]byte](t)(json.Marshal(records.HeldRequest{Stored: test.stored}))...)
		apply(t, db, store.Op{Key: rowKey, Value: ring.Seal(plain, rowKey)})
		got, err := db.ReadHeld(t.Context(), h, []byte("id"))
		if test.ok && (err != nil || string(got.Body) != "a=1") || !test.ok && !errors.Is(err, records.ErrCorrupt) {
			t.Errorf("%s: %v %v", test.stored, got, err)
		}
	}
}
