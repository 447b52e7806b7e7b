package ceremony

import (
	"context"
	"time"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Authenticator is an enrolled means of proof as its owner sees it.
type Authenticator struct {
	ID, Type, Label       string
	CreatedAt, LastUsedAt time.Time
	// Suffix are the last digits of a phone's number.
	Suffix string
	// Synced tells of a passkey that its provider may copy it to other devices,
	// Suspect that somebody else may have copied it.
	Synced, Suspect bool
}

func viewOf(a *records.Authenticator) Authenticator {
	view := Authenticator{ID: a.ID, Type: a.Type, Label: a.Label, CreatedAt: a.CreatedAt, LastUsedAt: a.LastUsedAt}
	if a.Phone != nil {
		view.Suffix = PhoneSuffix(a.Phone.Number)
	}
	if a.Passkey != nil {
		view.Synced, view.Suspect = a.Passkey.Synced, a.Passkey.Suspect
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

// Account is what a person may know of their own enrolment.
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
	a.RecoveryCodesLeft = row.Value.RecoveryCodesLeft()
	for i := range row.Value.Authenticators {
		a.Authenticators = append(a.Authenticators, viewOf(&row.Value.Authenticators[i]))
	}
	a.Grants, err = s.liveGrants(ctx, db, holder)
	return a, err
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
