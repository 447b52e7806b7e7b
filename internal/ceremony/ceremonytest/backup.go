package ceremonytest

import (
	"bytes"

	"github.com/stepup-gateway/caddy-stepup/internal/backup"
	"github.com/stepup-gateway/caddy-stepup/internal/ceremony"
	"github.com/stepup-gateway/caddy-stepup/internal/migrate"
	"github.com/stepup-gateway/caddy-stepup/internal/records"
)

// Backup takes a backup of the database.
func (w *World) Backup() []byte {
	w.t.Helper()
	var b bytes.Buffer
	s, err := w.Snapshot(w.t.Context())
	if err == nil {
		defer s.Close()
		_, err = backup.Write(w.t.Context(), &b, s, backup.Maker{Gateway: "test", Engine: "badger"})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return b.Bytes()
}

// Restore makes a database of a backup, as the command does, and uses it from now on. It
// returns what became of the events, and how many users wait to be confirmed.
func (w *World) Restore(file []byte, r ceremony.Restoration) (done []ceremony.Redone, waiting int) {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.Dir, w.Mark, r.Now = w.t.TempDir(), w.t.TempDir()+"/mark", w.Clock.Now()
	w.openStore()
	v, err := backup.Verify(w.t.Context(), bytes.NewReader(file), w.Key, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = backup.Restore(w.t.Context(), v, backup.Options{
		File: bytes.NewReader(file), Name: "test", To: migrate.Database{Name: w.Dir, Store: w.store, Key: w.Key},
		Known: r.Known, TrustCodes: r.TrustCodes,
		Mend: func(db *records.DB) (err error) {
			done, waiting, err = ceremony.Restored(w.t.Context(), db, r)
			return err
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.openDB()
	return done, waiting
}
