package records

import (
	"encoding/binary"
	"errors"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// A packing is a form of records other than JSON: what follows the form byte and
// the generation in a record that can be used once. Another form, however small the
// difference, has another byte.
type packing[T any] struct {
	form   byte
	pack   func(to []byte, value *T) []byte
	unpack func([]byte) (T, error)
}

// formGrant begins the plaintext of grants. Numbers are big-endian; texts have their
// length before them, in one byte:
//
//	use[1] flags[1] methods[2] origin[2] auth_time[8] expires[8] digest[16]
//	session[16] request[32] where the flags say so, action, created_by, spent
const formGrant = 4

var packedGrant = packing[GrantRow]{formGrant, packGrant, unpackGrant}

const (
	grantAPI = 1 << iota
	grantSession
	grantRequest

	grantHead = 1 + 1 + 2 + 2 + 8 + 8 + 16
)

var errGrantForm = errors.New("not a grant")

func packGrant(to []byte, g *GrantRow) []byte {
	use, flags := grants.TimeBased, byte(0)
	if g.Use != use.String() {
		use = grants.OneTimeUse
	}
	if g.API {
		flags |= grantAPI
	}
	if len(g.Session) > 0 {
		flags |= grantSession
	}
	if len(g.Request) > 0 {
		flags |= grantRequest
	}
	to = append(to, byte(use), flags)
	to = binary.BigEndian.AppendUint16(to, g.Methods)
	to = binary.BigEndian.AppendUint16(to, g.Origin)
	to = binary.BigEndian.AppendUint64(to, uint64(g.AuthTime))
	to = binary.BigEndian.AppendUint64(to, uint64(g.Expires))
	to = append(append(append(to, g.Digest...), g.Session...), g.Request...)
	for _, text := range [...]string{g.Action, g.CreatedBy, string(g.Spent)} {
		to = append(append(to, byte(len(text))), text...)
	}
	return to
}

func unpackGrant(b []byte) (g GrantRow, err error) {
	if len(b) < grantHead {
		return g, errGrantForm
	}
	use, flags := grants.Use(b[0]), b[1]
	if use != grants.TimeBased && use != grants.OneTimeUse || flags >= 2*grantRequest {
		return g, errGrantForm
	}
	g.Use, g.API = use.String(), flags&grantAPI != 0
	g.Methods, g.Origin = binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:])
	g.AuthTime, g.Expires = int64(binary.BigEndian.Uint64(b[6:])), int64(binary.BigEndian.Uint64(b[14:]))
	g.Digest, b = b[22:grantHead:grantHead], b[grantHead:]
	take := func(n int) (piece []byte) {
		if len(b) < n {
			err = errGrantForm
			return nil
		}
		piece, b = b[:n:n], b[n:]
		return piece
	}
	if flags&grantSession != 0 {
		g.Session = take(16)
	}
	if flags&grantRequest != 0 {
		g.Request = take(32)
	}
	text := func() []byte {
		if n := take(1); n != nil {
			return take(int(n[0]))
		}
		return nil
	}
	g.Action, g.CreatedBy = string(text()), string(text())
	if spent := text(); len(spent) > 0 {
		g.Spent = spent
	}
	if len(b) > 0 {
		err = errGrantForm
	}
	return g, err
}
