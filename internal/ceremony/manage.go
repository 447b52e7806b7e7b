package ceremony

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/internal/typed"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// Operation is a change to one's own authenticators, to which a grant for
// step_up.manage is bound (S14).
type Operation string

// The operations. Removing, renaming and vouching name the authenticator; see
// [RemoveOp], [RenameOp] and [VouchOp].
const (
	AddOp   Operation = "add"
	RenewOp Operation = "renew_recovery_codes"

	removePrefix = "remove:"
	renamePrefix = "rename:"
	vouchPrefix  = "vouch:"
)

// RemoveOp is the removal of the authenticator with the id.
func RemoveOp(id string) Operation { return removePrefix + Operation(id) }

// RenameOp is the renaming of the authenticator with the id.
func RenameOp(id string) Operation { return renamePrefix + Operation(id) }

// VouchOp is that a stronger authenticator vouches for the one with the id (S24).
func VouchOp(id string) Operation { return vouchPrefix + Operation(id) }

// removes and vouchesFor are the id of the authenticator that the operation
// removes, or vouches for; empty for other operations.
func (op Operation) removes() string    { return op.named(removePrefix) }
func (op Operation) vouchesFor() string { return op.named(vouchPrefix) }

func (op Operation) named(prefix string) string {
	id, ok := strings.CutPrefix(string(op), prefix)
	if !ok {
		return ""
	}
	return id
}

// methods are the means of proof that do for an operation: a recovery code may
// only add.
func (op Operation) methods() (do grants.Methods) {
	if op == AddOp {
		return 0 // any
	}
	for _, m := range grants.AllMethods() {
		if m != grants.RecoveryCode {
			do |= m
		}
	}
	return do
}

// maxOperation is the longest operation, in bytes: a removal of any id of ours.
const maxOperation = 64

// check refuses what is no operation.
func (op Operation) check() error {
	id := op.removes() + op.named(renamePrefix) + op.vouchesFor() // one of them at most
	if len(op) <= maxOperation && (op == AddOp || op == RenewOp || id != "" && typed.IsPlain(id)) {
		return nil
	}
	return &Field{Name: "operation", Detail: "is none that is known"}
}

// needsAge tells for which operations the authenticator must not be a new one.
func (op Operation) needsAge() bool {
	return op == RenewOp || strings.HasPrefix(string(op), removePrefix)
}

// manageDemand is what an operation on one's authenticators asks, of the
// challenge and again of the grant.
func (s *Service) manageDemand(op Operation) grants.Demand {
	return grants.Demand{Action: manageAction, Use: grants.OneTimeUse, TTL: s.set.ManageTTL, Methods: op.methods()}
}

var manageAction = grants.MustAction(grants.ManageAction)

// BeginManage begins the challenge for a change to one's authenticators. The
// browser is sent to returnTo on site afterwards.
func (s *Service) BeginManage(ctx context.Context, p Principal, op Operation, label, site, returnTo string) (Challenge, error) {
	if err := op.check(); err != nil {
		return Challenge{}, err
	}
	return s.Begin(ctx, p, Ask{Demand: s.manageDemand(op), Label: label, Request: operationDigest(op),
		Operation: op, Site: site, ReturnTo: returnTo})
}

// MayManage tells with nil that token is a live grant for the operation, and
// with [ErrManageRequired] that it is none. It spends nothing.
func (s *Service) MayManage(ctx context.Context, p Principal, op Operation, token string) error {
	d := s.manageDemand(op)
	_, err := s.Check(ctx, &p, &d, operationDigest(op), token)
	if errors.Is(err, ErrNoGrant) {
		return ErrManageRequired
	}
	return err
}

// spendManage is the op that spends the grant for the operation. Applied
// together with the change, it makes one grant good for one change, however
// many come at once. The grant's row comes with it, which says by what the
// operation was proved.
func (s *Service) spendManage(ctx context.Context, db *records.DB, p Principal, op Operation, token string) (store.Op, *records.GrantRow, error) {
	d := s.manageDemand(op)
	pass, err := s.Check(ctx, &p, &d, operationDigest(op), token)
	if errors.Is(err, ErrNoGrant) {
		return store.Op{}, nil, ErrManageRequired
	}
	if err != nil {
		return store.Op{}, nil, err
	}
	spend, err := db.MarkGrant(*pass.row, []byte(op)) // good once, so that Check read it
	if errors.Is(err, records.ErrNotFound) {
		err = ErrManageRequired
	}
	return spend, &pass.row.Value, err
}

// change applies a change to p's account that needs a grant for the operation,
// together with the ops that edit gives. It gives [ErrNotFound] where the
// authenticator is not there.
func (s *Service) change(ctx context.Context, p Principal, op Operation, token string,
	edit func(*records.DB, *records.Account) ([]store.Op, error)) error {
	return s.changeBy(ctx, p, op, token, func(db *records.DB, a *records.Account, _ *records.GrantRow) ([]store.Op, error) {
		return edit(db, a)
	})
}

// changeBy is change for an edit that asks by what the operation was proved.
func (s *Service) changeBy(ctx context.Context, p Principal, op Operation, token string,
	edit func(*records.DB, *records.Account, *records.GrantRow) ([]store.Op, error)) error {
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return err
	}
	return records.Again(func() error {
		spend, by, err := s.spendManage(ctx, db, p, op, token)
		if err != nil {
			return err
		}
		row, err := db.Accounts.Find(ctx, db.Holder(p.Subject), nil)
		if err != nil {
			return err
		}
		account := cloneAccount(row.Value)
		more, err := edit(db, &account, by)
		if err != nil {
			return err
		}
		put, err := db.Accounts.Update(row, account, time.Time{})
		if err != nil {
			return err
		}
		return db.Apply(ctx, append(more, spend, put)...)
	})
}

// Rename gives an authenticator another label. It spends the grant in token.
func (s *Service) Rename(ctx context.Context, p Principal, id, label, token string) (Authenticator, error) {
	label, err := typed.Label(label)
	if err == nil && label == "" {
		err = &Field{Name: "label", Detail: "must not be empty"}
	}
	if err != nil {
		return Authenticator{}, err
	}
	var renamed Authenticator
	err = s.change(ctx, p, RenameOp(id), token, func(_ *records.DB, a *records.Account) ([]store.Op, error) {
		found := a.Find(id)
		if found == nil {
			return nil, ErrNotFound
		}
		found.Label = label
		renamed = s.viewOf(found)
		return nil, nil
	})
	s.reportChange(ctx, p, EventRename, id, renamed.Label, err)
	return renamed, err
}

// Remove takes an authenticator away, and ends the grants that were won with it:
// whoever removes a lost one means both. With the last one go all grants and the
// recovery codes, and the subject may enroll again with an invite only. It spends
// the grant in token.
func (s *Service) Remove(ctx context.Context, p Principal, id, token string) error {
	ctx = store.Taking(ctx)
	var (
		db   *records.DB
		late []store.Op
		name string
	)
	err := s.change(ctx, p, RemoveOp(id), token, func(opened *records.DB, a *records.Account) ([]store.Op, error) {
		db = opened
		i := slices.IndexFunc(a.Authenticators, func(x records.Authenticator) bool { return x.ID == id })
		if i < 0 {
			return nil, ErrNotFound
		}
		name = a.Authenticators[i].Label
		names := dropNames(opened, a.Authenticators[i:i+1])
		a.Authenticators = slices.Delete(a.Authenticators, i, i+1)
		a.Set++
		// Those that are suspended prove nothing: with nobody to vouch for them
		// they are none.
		last := len(a.Usable().Authenticators) == 0
		if last {
			names = append(names, dropNames(opened, a.Authenticators)...)
			a.State, a.Authenticators, a.RecoveryCodes, a.CodesOrigin = records.StateReset, nil, nil, nil
		}
		// The account was read before the grants, and the change is conditional
		// on it: a grant that is won in between makes this decide anew.
		ops, err := dropsBut(ctx, db, p, tokenID(token), func(g *records.GrantRow) bool { return last || g.CreatedBy == id })
		n := min(len(ops), store.MaxOps/2)
		late = ops[n:]
		return append(names, ops[:n]...), err
	})
	if err == nil {
		err = db.ApplyInParts(ctx, late)
	}
	s.reportChange(ctx, p, EventRemove, id, name, err)
	return err
}

// tokenID is the id of the grant that a token is for; of none the zero id.
func tokenID(token string) grants.ID {
	t, err := grants.ParseToken(token)
	if err != nil {
		return grants.ID{}
	}
	return t.ID()
}

// dropsBut gives the ops that drop p's grants which which picks, but not the one
// of the id: that is spent in the same Apply.
func dropsBut(ctx context.Context, db *records.DB, p Principal, but grants.ID, which func(*records.GrantRow) bool) ([]store.Op, error) {
	rows, err := db.GrantsOf(ctx, db.Holder(p.Subject), maxListed)
	if err != nil {
		return nil, err
	}
	var ops []store.Op
	for _, row := range rows {
		if which(&row.Value) && db.GrantID(row) != but {
			ops = append(ops, db.DropGrant(row))
		}
	}
	return ops, nil
}

// RenewRecoveryCodes replaces all recovery codes and gives the new ones, which
// nobody is told again. It ends the grants that were won with the old ones, and
// voids the enrollments that are pending, which one of them may have allowed:
// whoever renews codes because somebody has them means both. It spends the grant in
// token.
func (s *Service) RenewRecoveryCodes(ctx context.Context, p Principal, token string) ([]string, error) {
	var (
		db    *records.DB
		codes []string
		late  []store.Op
	)
	err := s.changeBy(ctx, p, RenewOp, token, func(opened *records.DB, a *records.Account, by *records.GrantRow) (ops []store.Op, err error) {
		db = opened
		if a.State != records.StateEnrolled {
			return nil, ErrNotEnrolled
		}
		codes, ops, late, err = s.replaceCodes(ctx, db, p, a, originOf(a, by), tokenID(token))
		return ops, err
	})
	if err == nil {
		err = db.ApplyInParts(ctx, late)
	}
	s.reportChange(ctx, p, EventRecoveryCodes, "", "", err)
	if err != nil {
		return nil, err
	}
	return codes, nil
}

func (s *Service) reportChange(ctx context.Context, p Principal, kind EventKind, object, label string, err error) {
	e := Event{Kind: kind, Outcome: Done, Object: object, label: label}
	if err != nil {
		e.Outcome, e.Cause, e.Object, e.label = Refused, causeOf(err), "", ""
	}
	s.report(ctx, p, e)
}
