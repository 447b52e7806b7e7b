package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// errNow reports that nothing changed, and that the same may succeed at once, on
// another member or a moment later.
var errNow = errors.New("not taken by this member now")

// refusals are the answers of a server that tell that nothing changed, with what
// they mean.
var refusals = map[error]error{
	// The member knew no leader, and did not pass the request on: only what demands
	// one gets this answer.
	rpctypes.ErrNoLeader:        errNow,
	rpctypes.ErrTooManyRequests: errNow,

	rpctypes.ErrNoSpace: fmt.Errorf("%w: etcd has reached its quota and takes no changes: compact and defragment it, or raise --quota-backend-bytes, and then `etcdctl alarm disarm`", store.ErrNoSpace),
	rpctypes.ErrCorrupt: fmt.Errorf("%w: a member of etcd found that its copy differs from the others'", store.ErrDamaged),

	rpctypes.ErrPermissionDenied: unfit("the user of etcd may not use the prefix: grant its role `readwrite` on it, with `etcdctl role grant-permission --prefix`"),
	rpctypes.ErrUserEmpty:        unfit("etcd asks for a user: write `user NAME` and `password`"),
	rpctypes.ErrUserNotFound:     unfit("etcd does not know the user"),
	rpctypes.ErrAuthFailed:       unfit("etcd refuses the user or its password"),
	rpctypes.ErrInvalidAuthToken: fmt.Errorf("%w: etcd refuses the token of the user, and a new one too", store.ErrUnavailable),

	rpctypes.ErrTooManyOps:      unfit("etcd refuses transactions of %d operations: set --max-txn-ops to at least 128, its default", mostOps),
	rpctypes.ErrRequestTooLarge: unfit("etcd refuses requests of %d KiB: set --max-request-bytes to at least 1572864, its default", largestRequest>>10),
}

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %s", store.ErrUnfit, fmt.Sprintf(format, args...))
}

// classify says what an error of the server or of the connection means to callers.
// changing reports that a change was asked for.
func classify(err error, changing bool) error {
	known := rpctypes.Error(err)
	var typed rpctypes.EtcdError
	if errors.As(known, &typed) {
		if meaning, ok := refusals[typed]; ok {
			if meaning == errNow {
				return fmt.Errorf("%w: %w: %w", errNow, store.ErrUnavailable, typed)
			}
			return meaning
		}
		err = typed
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		status.Code(err) == codes.DeadlineExceeded || status.Code(err) == codes.Canceled {
		err = errors.New("etcd does not answer in time")
	}
	if changing {
		return fmt.Errorf("%w: %w: %w", store.ErrUnknown, store.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
