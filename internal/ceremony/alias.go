package ceremony

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// UserUUID is the alias of a subject for clients that know only UUIDs: version 5
// (RFC 9562 section 5.5) of the user id in the namespace of its tenant, which is
// version 5 of "urn:step-up:tenant:" and the tenant's name in the namespace of
// URLs.
func UserUUID(s grants.Subject) string {
	return uuid.NewSHA1(TenantUUID(s.Tenant), []byte(s.User)).String()
}

// TenantUUID is the namespace of a tenant's user ids, and the tenant's alias.
func TenantUUID(tenant string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:step-up:tenant:"+tenant))
}

// aliasOp is the op by which a subject is found under its alias.
func aliasOp(db *records.DB, who grants.Subject) (store.Op, error) {
	return db.Names.Set(db.NameKey("user", who.Tenant, UserUUID(who)), nil, records.Name{Tenant: who.Tenant, User: who.User}, never)
}

// Resolve gives the subject of which a server speaks: who has the id as an alias,
// else who has it as the user id.
//
// The alias comes first. Else who may choose their own user id could choose
// another's alias, and be taken for them.
func (s *Service) Resolve(ctx context.Context, named grants.Subject) (grants.Subject, error) {
	id, err := uuid.Parse(named.User)
	if err != nil || len(named.User) != 36 {
		return named, nil
	}
	db, err := s.openFor(ctx, named)
	if err != nil {
		return named, err
	}
	row, err := db.Names.Get(ctx, db.NameKey("user", named.Tenant, id.String()), nil)
	if errors.Is(err, records.ErrNotFound) {
		return named, nil
	}
	return grants.Subject{Tenant: row.Value.Tenant, User: row.Value.User}, err
}

// enrollmentAlias is the name under which an enrollment is found by servers: the
// UUID that its id begins with.
func enrollmentAlias(db *records.DB, id []byte) grants.Holder {
	return db.NameKey("enrolment", uuid.UUID(id[:16]).String())
}

// EnrollmentUUID is the alias of an enrollment for clients that know only UUIDs.
func EnrollmentUUID(id string) string {
	raw, ok := parseID(id, enrollmentIDLen)
	if !ok {
		return ""
	}
	return uuid.UUID(raw[:16]).String()
}

// Enrolled gives the subject and the full id of the enrollment that a server of
// the tenant names by its id or its UUID: one that is pending, or one that became
// an authenticator since. [ErrNotFound] where the tenant has none such.
func (s *Service) Enrolled(ctx context.Context, tenant, id string) (grants.Subject, string, error) {
	who, full, err := s.enrollmentOf(ctx, id)
	if err == nil && who.Tenant != tenant {
		err = ErrNotFound
	}
	if err != nil {
		return grants.Subject{}, "", err
	}
	return who, full, nil
}

// Begun gives the enrollment that a server began and that waits for its first
// proof, to whoever has its whole id: no more is asked than that. [ErrNotFound] for
// everything else, and once it was confirmed, ran out or is void.
func (s *Service) Begun(ctx context.Context, id string) (Enrollment, error) {
	if _, whole := parseID(id, enrollmentIDLen); !whole {
		return Enrollment{}, ErrNotFound
	}
	who, full, err := s.enrollmentOf(ctx, id)
	if err != nil {
		return Enrollment{}, err
	}
	e, err := s.Pending(ctx, ServerPrincipal(who, "", ""), full)
	if errors.Is(err, ErrExpired) || errors.Is(err, ErrVoided) {
		err = ErrNotFound
	}
	if err != nil {
		return Enrollment{}, err
	}
	return e, nil
}

func (s *Service) enrollmentOf(ctx context.Context, id string) (who grants.Subject, full string, err error) {
	raw, whole := parseID(id, enrollmentIDLen)
	if !whole {
		u, err := uuid.Parse(id)
		if err != nil || len(id) != 36 {
			return who, "", ErrNotFound
		}
		raw = u[:]
	}
	db, err := s.open(ctx)
	if err != nil {
		return who, "", err
	}
	row, err := db.Names.Get(ctx, enrollmentAlias(db, raw), nil)
	if errors.Is(err, records.ErrNotFound) || err == nil && whole && !sameText(row.Value.Enrollment, id) {
		return who, "", ErrNotFound
	}
	return grants.Subject{Tenant: row.Value.Tenant, User: row.Value.User}, row.Value.Enrollment, err
}

// dropNames gives the ops after which servers find the authenticators no more by
// the enrollments that they were.
func dropNames(db *records.DB, as []records.Authenticator) []store.Op {
	var ops []store.Op
	for i := range as {
		if raw, ok := parseID(as[i].Enrollment, enrollmentIDLen); ok {
			ops = append(ops, db.Names.DropID(enrollmentAlias(db, raw), nil))
		}
	}
	return ops
}

// ChallengeUUID returns the id of a challenge for clients that take UUIDs only.
func ChallengeUUID(id string) string {
	raw, ok := parseID(id, challengeIDLen)
	if !ok {
		return id
	}
	return uuid.UUID(raw).String()
}

// ChallengeID returns the id of the challenge that a client names by the id or by
// its UUID. What is neither is returned as it is, and is nobody's.
func ChallengeID(named string) string {
	u, err := uuid.Parse(named)
	if err != nil || len(named) != 36 {
		return named
	}
	return idText(u[:])
}
