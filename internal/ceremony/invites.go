package ceremony

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// InvitePrefix begins every invite, so that one is told from a code.
const InvitePrefix = "sui_"

// NewInvite makes an invite and the hash under which [Service.Invite] stores it.
func NewInvite() (code string, hash [32]byte) {
	raw := make([]byte, 16)
	rand.Read(raw) // never fails: crypto/rand ends the program instead
	code = InvitePrefix + base64.RawURLEncoding.EncodeToString(raw)
	return code, inviteHash(code)
}

// inviteHash needs no key: an invite is 128 random bits.
func inviteHash(code string) [32]byte {
	return sha256.Sum256([]byte("step-up invite\x00" + strings.TrimSpace(code)))
}

// findInvite gives p's live invite of that hash, or [ErrInviteRequired].
func (s *Service) findInvite(ctx context.Context, db *records.DB, p Principal, hash [32]byte) (records.Row[records.Invite], error) {
	invite, err := db.Invites.Get(ctx, db.Holder(p.Subject), hash[:])
	if errors.Is(err, records.ErrNotFound) || err == nil && !s.now().Before(invite.Value.Expires) {
		return invite, ErrInviteRequired
	}
	return invite, err
}
