package ceremony

import (
	"context"
	"fmt"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
)

// Listing is what the directory of a tenant says of a subject.
type Listing uint8

// The listings. The zero value is none, since nothing was said.
const (
	NoDirectory Listing = iota + 1 // the tenant has none, so every name is believed
	Listed                         // there is the user
	Unlisted                       // there is no such user
)

var (
	// ErrUnknownUser reports that the tenant has a directory, and it does not have
	// the user.
	ErrUnknownUser = cause.New(cause.UnknownUser, "the directory has no such user")
	// ErrNoAnswer reports that the directory could not be asked.
	ErrNoAnswer = cause.New(cause.DirectoryFailed, "the directory gave no answer")
)

// Listing asks the directory of the subject's tenant. It fails with [ErrNoAnswer].
func (s *Service) Listing(ctx context.Context, who grants.Subject) (Listing, error) {
	if s.directory == nil {
		return NoDirectory, nil
	}
	l, err := s.directory(ctx, who)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	return l, nil
}

// checkListed refuses a subject that a server has named and the directory does not
// have. People with a browser were named by an identity source, which knows them.
func (s *Service) checkListed(ctx context.Context, p Principal) error {
	if !p.isServer() {
		return nil
	}
	switch l, err := s.Listing(ctx, p.Subject); {
	case err != nil:
		return err
	case l == Listed, l == NoDirectory:
		return nil
	}
	return ErrUnknownUser
}
