package database

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/occasion"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// quietFor is how long refusals for a store that is out of use are not logged
// again. Why it is, the store has logged itself; strangers choose how many
// requests are refused, and the disk of the log may be the one that is full.
const quietFor = 10 * time.Second

// outage counts the refusals for want of the store, of all sites together.
var outage occasion.Occasion

// LogRefusal logs an error for which something was refused; one of a store that
// is out of use at most every quietFor, with how many there were.
func LogRefusal(log *zap.Logger, message string, err error, fields ...zap.Field) {
	fields = append(fields, zap.Error(err))
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrRolledBack) {
		refused, due := outage.Due(time.Now(), quietFor)
		if !due {
			return
		}
		fields = append(fields, zap.Int("refused", refused))
	}
	log.Error(message, fields...)
}
