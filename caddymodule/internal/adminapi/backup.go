package adminapi

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/version"
	"github.com/stepup-gateway/caddy-stepup/internal/backup"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// BackupDone is a backup that is where it is to be, on a disk.
type BackupDone struct {
	Moment time.Time `json:"moment"`
	Rows   int64     `json:"rows"`
	SHA256 string    `json:"sha256"` // 64 hexadecimal digits
}

const (
	// maxBackups bounds the backups that are made at once: each keeps what was overwritten
	// since it began.
	maxBackups = 2
	// writeTimeout is how long whoever is sent a backup may take for some of it.
	writeTimeout = time.Minute
)

var backups atomic.Int32

// takeBackup answers with a backup, as package backup writes one. What stops it once it
// has begun stands at its end; what is cut off is no whole one.
func takeBackup(w http.ResponseWriter, r *http.Request, g Gateway) error {
	defer backups.Add(-1)
	if backups.Add(1) > maxBackups {
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: errors.New("two backups are being made already: wait for one to end")}
	}
	s, err := g.Service().Snapshot(r.Context())
	if err != nil {
		return adminError(err)
	}
	defer s.Close()
	control := http.NewResponseController(w)
	defer control.SetWriteDeadline(time.Time{}) // for what else is asked on the connection
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	// The error stands in the backup, for whoever asked for it.
	_, _ = backup.Write(r.Context(), patient{w, control}, s, backup.Maker{Gateway: version.Number, Engine: g.Engine()})
	return nil
}

// patient gives each write its own time.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	// Where the connection takes no deadline its reader may take as long as it likes.
	_ = p.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	return p.ResponseWriter.Write(b)
}

func backupDone(ctx context.Context, g Gateway, in BackupDone) (BackupDone, error) {
	digest, err := hex.DecodeString(in.SHA256)
	if err != nil || len(digest) != 32 || in.Moment.IsZero() || in.Moment.After(time.Now().Add(time.Minute)) || in.Rows < 1 {
		return in, refused("send moment, rows and sha256 of a backup that was made")
	}
	return in, g.Service().NoteBackup(ctx, records.BackedUp{Moment: in.Moment, Rows: in.Rows, SHA256: digest})
}
