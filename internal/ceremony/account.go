package ceremony

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Authenticator is an enrolled means of proof as its owner sees it.
type Authenticator struct {
	ID, Type, Label string
	// Method is its kind.
	Method                grants.Methods
	CreatedAt, LastUsedAt time.Time
	// Suffix is by what its owner knows again where its codes go: the last digits
	// of a phone's number.
	Suffix string
	// Vouched are the means of proof that vouched for it when it was added, as
	// far back as they count; none for one of full strength from the start.
	Vouched grants.Methods
	// FullAt is when it is worth what it is, whatever vouched for it; zero: it is.
	FullAt time.Time
	// Vouchable tells that another of the subject's may vouch for it now.
	Vouchable bool
	// Suspended tells that its owner said that it is not theirs. Recent tells of
	// a new one, which may be suspended where Disownable is set too.
	Suspended, Recent, Disownable bool
	// Unconfirmed tells, with Suspended, that it is so not by its owner but since the
	// database was restored from a backup, until an operator confirms it.
	Unconfirmed bool
	// Elsewhere tells that it proves nothing, since the identity source does not
	// give the address to which its codes go.
	Elsewhere bool
	// Synced tells of a passkey that its provider may copy it to other devices,
	// Suspect that somebody else may have copied it.
	Synced, Suspect bool
}

func (s *Service) viewOf(a *records.Authenticator) Authenticator {
	view := Authenticator{ID: a.ID, Type: a.Type, Method: grants.KindOfType(a.Type).Methods, Label: a.Label, CreatedAt: a.CreatedAt, LastUsedAt: a.LastUsedAt}
	if d := s.deliverer(a.Type); d != nil && a.Dest != nil {
		view.Suffix = d.Hint(a.Dest.Address)
	}
	if a.Passkey != nil {
		view.Synced, view.Suspect = a.Passkey.Synced, a.Passkey.Suspect
	}
	view.Suspended, view.Unconfirmed = !a.SuspendedAt.IsZero(), a.Unconfirmed
	if a.Origin != nil {
		view.Vouched = grants.Methods(a.Origin.Methods)
	}
	return view
}

// view is viewOf with what depends on the time, on the others in the account, and on
// the address that the identity source gives.
func (s *Service) view(a *records.Account, x *records.Authenticator, m mailbox) Authenticator {
	view, now := s.viewOf(x), s.now()
	view.Elsewhere = !m.reaches(x.Type, x.Dest)
	view.Recent, view.Disownable = isRecent(x, now), mayDisown(a, x, now)
	// What was vouched for by its like is worth no less.
	if x.Origin.Live(now)&^view.Method != 0 {
		view.FullAt = x.Origin.At.Add(records.OriginAge)
	}
	if view.Suspended || !view.FullAt.IsZero() {
		vouch := Challenge{Demand: s.manageDemand(VouchOp(x.ID)), Operation: VouchOp(x.ID), mailbox: m}
		view.Vouchable = len(s.fitting(a, &vouch)) > 0
	}
	return view
}

// LiveGrant is a grant as its holder sees it.
type LiveGrant struct {
	ID, Action string
	Use        grants.Use
	Method     grants.Methods
	AuthTime   time.Time
	Expires    time.Time
}

// Account is what a person may know of their own enrollment.
type Account struct {
	Subject           grants.Subject
	Enrolled          bool
	Authenticators    []Authenticator
	RecoveryCodesLeft int
	Grants            []LiveGrant
}

// Account tells p's own state.
func (s *Service) Account(ctx context.Context, p Principal) (Account, error) {
	a := Account{Subject: p.Subject}
	db, err := s.openFor(ctx, p.Subject)
	if err != nil {
		return a, err
	}
	holder := db.Holder(p.Subject)
	row, err := db.Accounts.Find(ctx, holder, nil)
	if err != nil {
		return a, err
	}
	a.Enrolled = row.Value.State == records.StateEnrolled
	a.RecoveryCodesLeft = codesLeft(db, &row.Value)
	for i := range row.Value.Authenticators {
		a.Authenticators = append(a.Authenticators, s.view(&row.Value, &row.Value.Authenticators[i], mailboxOf(db, p)))
	}
	a.Grants, err = s.liveGrants(ctx, db, holder)
	return a, err
}

// codesLeft counts the recovery codes that are taken: barred ones are as good as
// used, and to be renewed.
func codesLeft(db *records.DB, a *records.Account) int {
	if !db.TakesRecoveryCodes(a.CodesGeneration) {
		return 0
	}
	return a.RecoveryCodesLeft()
}

func (s *Service) liveGrants(ctx context.Context, db *records.DB, h grants.Holder) ([]LiveGrant, error) {
	// All rows are read, since those of spent and expired grants lie among the
	// live ones until the store tidies up.
	rows, err := db.GrantsOf(ctx, h, maxListed)
	if err != nil {
		return nil, err
	}
	var live []LiveGrant
	for _, row := range rows {
		g := row.Value
		if len(g.Spent) > 0 || g.Expires <= s.now().UnixNano() {
			continue
		}
		if len(live) == maxGrants {
			break
		}
		use, err := grants.ParseUse(g.Use)
		if err != nil {
			return nil, err
		}
		live = append(live, LiveGrant{
			ID: GrantID(db.GrantID(row)), Action: g.Action, Use: use, Method: grants.Methods(g.Methods),
			AuthTime: time.Unix(0, g.AuthTime), Expires: time.Unix(0, g.Expires),
		})
	}
	return live, nil
}
