package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stepup-gateway/caddy-stepup/internal/store/remote"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// errAgain reports that nothing changed, and that the same may succeed at once.
var errAgain = errors.New("given up by the server for another transaction")

// errStandby reports that a connection leads to a server that takes no changes.
var errStandby = fmt.Errorf("%w: the server is a standby, which takes no changes", store.ErrUnavailable)

// classify says what an error of the server or of the connection means to callers.
// changing reports that a change was asked for.
func classify(err error, changing bool) error {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return answered(told, changing)
	}
	switch {
	case pgconn.SafeToRetry(err), !changing:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, brief(err))
	}
	return fmt.Errorf("%w: %w: %w", store.ErrUnknown, store.ErrUnavailable, brief(err))
}

// answered classifies what the server said. An error means that the transaction was
// rolled back, but for those that end the session, which can come while a commit
// waits for a standby.
func answered(told *pgconn.PgError, changing bool) error {
	err := fmt.Errorf("the database server says: %s (SQLSTATE %s)", told.Message, told.Code)
	switch {
	case isReadOnly(told.Code):
		return fmt.Errorf("%w: %w", remote.ErrMoved, errStandby)
	case told.Code == "42P01": // undefined table
		return errNoSchema
	case told.Code == "42501", told.Code == "3D000", strings.HasPrefix(told.Code, "28"): // privilege, database, authorization
		return fmt.Errorf("%w: %w", store.ErrUnfit, err)
	case changing && told.SeverityUnlocalized != "ERROR" && told.Code != "57P03" && told.Code != "53300":
		return fmt.Errorf("%w: %w: %w", store.ErrUnknown, store.ErrUnavailable, err)
	case told.Code == "40001", told.Code == "40P01":
		return fmt.Errorf("%w: %w: %w", errAgain, store.ErrUnavailable, err)
	case told.Code == "53100":
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	case told.Code == "XX001", told.Code == "XX002": // data or index corrupted
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// isReadOnly reports whether a server says by a code that it takes no changes. It has
// become a standby since it was connected to: a pooler keeps the connections of its
// clients while the server behind it changes. They are of no use from then on.
func isReadOnly(code string) bool { return code == "55000" || code == "25006" }

// brief leaves out what a connection error says of the connection string.
func brief(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("the database server does not answer in time")
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return fmt.Errorf("connecting to the database server: %w", connect.Unwrap())
	}
	return err
}
