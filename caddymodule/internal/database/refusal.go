package database

import (
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/stepup-gateway/caddy-stepup/store"
)

// quietFor is how long refusals for a store that is out of use are not logged
// again. Why it is, the store has logged itself; strangers choose how many
// requests are refused, and the disk of the log may be the one that is full.
const quietFor = 10 * time.Second

// outage counts the refusals for want of the store, of all sites together.
var outage struct {
	sync.Mutex
	last    time.Time
	refused int // since then
}

// LogRefusal logs an error for which something was refused; one of a store that
// is out of use at most every quietFor, with how many there were.
func LogRefusal(log *zap.Logger, message string, err error, fields ...zap.Field) {
	fields = append(fields, zap.Error(err))
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrRolledBack) {
		now := time.Now()
		outage.Lock()
		outage.refused++
		if now.Sub(outage.last) < quietFor {
			outage.Unlock()
			return
		}
		fields = append(fields, zap.Int("refused", outage.refused))
		outage.last, outage.refused = now, 0
		outage.Unlock()
	}
	log.Error(message, fields...)
}
