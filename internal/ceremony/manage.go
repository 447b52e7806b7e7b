package ceremony

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/store"
)

// Operation is a change to one's own authenticators, to which a grant for
// step_up.manage is bound (S14).
type Operation string

// The operations. Removing and renaming name the authenticator; see [RemoveOp]
// and [RenameOp].
const (
	AddOp   Operation = "add"
	RenewOp Operation = "renew_recovery_codes"

	removePrefix = "remove:"
	renamePrefix = "rename:"
)

// RemoveOp is the removal of the authenticator with the id.
func RemoveOp(id string) Operation { return removePrefix + Operation(id) }

// RenameOp is the renaming of the authenticator with the id.
func RenameOp(id string) Operation { return renamePrefix + Operation(id) }

// accepts tells which means of proof do for an operation: a recovery code may
// only add.
func (op Operation) accepts(m grants.Methods) bool { return op == AddOp || m != grants.RecoveryCode }

// needsAge tells for which operations the authenticator must not be a new one.
func (op Operation) needsAge() bool {
	return op == RenewOp || strings.HasPrefix(string(op), removePrefix)
}

// manageDemand is what managing one's authenticators asks.
func (s *Service) manageDemand() grants.Demand {
	return grants.Demand{Action: manageAction, Use: grants.OneTimeUse, TTL: s.set.ManageTTL}
}

var manageAction = grants.MustAction(grants.ManageAction)

// BeginManage begins the challenge for a change to one's authenticators. The
// browser is sent to returnTo on site afterwards.
func (s *Service) BeginManage(ctx context.Context, p Principal, op Operation, label, site, returnTo string) (Challenge, error) {
	return s.Begin(ctx, p, Ask{Demand: s.manageDemand(), Label: label, Request: operationDigest(op),
		Operation: op, Site: site, ReturnTo: returnTo})
}

// MayManage tells with nil that token is a live grant for the operation, and
// with [ErrManageRequired] that it is none. It spends nothing.
func (s *Service) MayManage(ctx context.Context, p Principal, op Operation, token string) error {
	d := s.manageDemand()
	_, err := s.Check(ctx, &p, &d, operationDigest(op), token)
	if errors.Is(err, ErrNoGrant) {
		return ErrManageRequired
	}
	return err
}

// spendManage is the op that spends the grant for the operation. Applied
// together with the change, it makes one grant good for one change, however
// many come at once.
func (s *Service) spendManage(ctx context.Context, db *records.DB, p Principal, op Operation, token string) (store.Op, error) {
	d := s.manageDemand()
	pass, err := s.Check(ctx, &p, &d, operationDigest(op), token)
	if errors.Is(err, ErrNoGrant) {
		return store.Op{}, ErrManageRequired
	}
	if err != nil {
		return store.Op{}, err
	}
	row, err := db.ReadGrant(ctx, pass.Grant.Holder, pass.ID)
	if errors.Is(err, records.ErrNotFound) || err == nil && len(row.Value.Spent) > 0 {
		return store.Op{}, ErrManageRequired
	}
	if err != nil {
		return store.Op{}, err
	}
	return db.MarkGrant(row, []byte(op))
}

// change applies a change to p's account that needs a grant for the operation.
// It gives [ErrNotFound] where the authenticator is not there.
func (s *Service) change(ctx context.Context, p Principal, op Operation, token string,
	edit func(*records.DB, *records.Account) error) error {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	return again(func() error {
		spend, err := s.spendManage(ctx, db, p, op, token)
		if err != nil {
			return err
		}
		row, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
		if err != nil {
			return err
		}
		account := cloneAccount(row.Value)
		if err := edit(db, &account); err != nil {
			return err
		}
		put, err := db.Accounts.Update(row, account, time.Time{})
		if err != nil {
			return err
		}
		return db.Apply(ctx, spend, put)
	})
}

// Rename gives an authenticator another label. It spends the grant in token.
func (s *Service) Rename(ctx context.Context, p Principal, id, label, token string) (Authenticator, error) {
	label, err := cleanLabel(label)
	if err != nil {
		return Authenticator{}, err
	}
	var renamed Authenticator
	err = s.change(ctx, p, RenameOp(id), token, func(_ *records.DB, a *records.Account) error {
		found := a.Find(id)
		if found == nil {
			return ErrNotFound
		}
		found.Label = label
		renamed = viewOf(found)
		return nil
	})
	s.reportChange(ctx, p, "rename", id, err)
	return renamed, err
}

// Remove takes an authenticator away. With the last one go the recovery codes,
// and the subject may enrol again with an invite only. It spends the grant in
// token.
func (s *Service) Remove(ctx context.Context, p Principal, id, token string) error {
	err := s.change(ctx, p, RemoveOp(id), token, func(_ *records.DB, a *records.Account) error {
		i := slices.IndexFunc(a.Authenticators, func(x records.Authenticator) bool { return x.ID == id })
		if i < 0 {
			return ErrNotFound
		}
		a.Authenticators = slices.Delete(a.Authenticators, i, i+1)
		a.Set++
		if len(a.Authenticators) == 0 {
			a.State, a.RecoveryCodes = records.StateReset, nil
		}
		return nil
	})
	s.reportChange(ctx, p, "remove", id, err)
	return err
}

// RenewRecoveryCodes replaces all recovery codes and gives the new ones, which
// nobody is told again. It spends the grant in token.
func (s *Service) RenewRecoveryCodes(ctx context.Context, p Principal, token string) ([]string, error) {
	var codes []string
	err := s.change(ctx, p, RenewOp, token, func(db *records.DB, a *records.Account) error {
		if a.State != records.StateEnrolled {
			return ErrNotEnrolled
		}
		codes = s.giveRecoveryCodes(db, a)
		return nil
	})
	s.reportChange(ctx, p, "recovery_codes", "", err)
	if err != nil {
		return nil, err
	}
	return codes, nil
}

func (s *Service) reportChange(ctx context.Context, p Principal, kind, object string, err error) {
	e := Event{Kind: kind, Outcome: "done", Object: object}
	if err != nil {
		e.Outcome, e.Cause, e.Object = "refused", causeOf(err), ""
	}
	s.report(ctx, p, e)
}

// cleanLabel trims a label and refuses one that is too long or holds controls.
func cleanLabel(label string) (string, error) {
	label = strings.TrimSpace(label)
	if !utf8.ValidString(label) || utf8.RuneCountInString(label) > maxLabel {
		return "", &Field{Name: "label", Detail: "must have at most 64 characters"}
	}
	if strings.ContainsFunc(label, func(r rune) bool {
		return r < 0x20 || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}) {
		return "", &Field{Name: "label", Detail: "must not hold control characters"}
	}
	return label, nil
}
