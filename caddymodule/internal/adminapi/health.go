package adminapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/auditing"
	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/version"
)

// Health is what the health route answers.
type Health struct {
	// Status is ok; degraded, where something works that should not be left
	// alone; or unavailable, where what is protected is refused. The HTTP status
	// is 503 with unavailable and 200 otherwise.
	Status string `json:"status"`
	// Reason says why the status is not ok.
	Reason string `json:"reason,omitempty"`
	// Since is when the database went out of use.
	Since *time.Time `json:"since,omitempty"`
	// WaitingSeconds is how long the oldest change has waited to be on the disk.
	WaitingSeconds float64 `json:"waiting_seconds,omitempty"`
	// Refused says what is refused for want of space on the disk.
	Refused string `json:"refused,omitempty"`
	// Marked reports whether an older copy of the database would be noticed.
	Marked bool `json:"marked"`
	// Generation is how often it could not be told whether the database had lost
	// something, or it had: what could be used once is void since the last time.
	Generation uint64 `json:"generation"`
	// HeardSeconds is how long ago the database said last what other gateways took
	// away, where several use it.
	HeardSeconds float64 `json:"heard_seconds,omitempty"`
	// ClockSeconds is by how much the clock of the database server, or of another
	// gateway, is ahead of this machine's, at least, where several use the database.
	ClockSeconds float64 `json:"clock_seconds,omitempty"`
	// RefusedTenants are the tenants of which what is protected is refused, since
	// other gateways of the database have another identity source or user_id for them.
	RefusedTenants []string `json:"refused_tenants,omitempty"`
	// LastBackup is whose moment the last backup by 'caddy step-up backup' has; left out:
	// none is known.
	LastBackup *time.Time `json:"last_backup,omitempty"`
	// Audit is how the audit log's own outputs are; left out if there are none.
	Audit *auditing.Health `json:"audit,omitempty"`
	// Process is the id of the process that has the database open.
	Process int `json:"process,omitempty"`
	// Version is the gateway's.
	Version string `json:"version"`
}

const (
	// healthTimeout is how long the store may take for one read. Engines give up
	// after 5 s and know why.
	healthTimeout = 6 * time.Second
)

// health is 200 where the store answers a read, and 503 with the reason
// otherwise. A store that answers may have something else to tell.
func (*API) health(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("use GET")}
	}
	var answer Health
	g, err := active()
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		err = g.Service().Ping(ctx)
		now := g.Condition()
		answer = Health{
			Reason: now.Reason, Since: now.Since, WaitingSeconds: now.Waiting.Round(time.Millisecond).Seconds(),
			Refused: now.Refused, Marked: now.Marked, Process: now.Process,
			Generation: now.Generation, HeardSeconds: now.Heard.Round(time.Millisecond).Seconds(),
			ClockSeconds:   now.Skew.Round(time.Millisecond).Seconds(),
			RefusedTenants: now.Tenants,
			Audit:          g.Audit(),
		}
		if !now.Backup.IsZero() {
			answer.LastBackup = &now.Backup
		}
		answer.Reason = cmp.Or(answer.Reason, answer.Audit.Problem())
	}
	answer.Version = version.Number
	status := http.StatusOK
	switch {
	case err != nil:
		status, answer.Status = http.StatusServiceUnavailable, "unavailable"
		if answer.Since == nil {
			answer.Reason = err.Error()
		}
	case answer.Reason != "":
		answer.Status = "degraded"
	default:
		answer.Status = "ok"
	}
	return answerJSON(w, status, answer)
}
