package backup_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stepup-gateway/caddy-stepup/internal/backup"
)

// FuzzReader holds that what is no backup is refused with a sentence, whatever lengths it
// names.
func FuzzReader(f *testing.F) {
	s := openStore(f)
	db, key := fill(f, s, 3, 10)
	file := take(f, db)
	f.Add(file)
	f.Add(file[:len(file)-20])
	f.Add([]byte("SUBACKUP\x01h\xff\xff\xff\xff"))
	f.Add([]byte("SUBACKUP\x01h\x00\x00\x00\x02{}r\x00\x01\x00\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00k"))
	f.Add([]byte("SUBACKUP\x01e\x00\x00\x00\x03why"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := backup.NewReader(bytes.NewReader(b))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) && !anyOf(err, backup.ErrNoBackup, backup.ErrNewer, backup.ErrCut, backup.ErrAltered, backup.ErrGivenUp) {
			t.Errorf("%v", err)
		}
		if _, err := backup.Verify(t.Context(), bytes.NewReader(b), key, nil); err == nil && !bytes.Equal(b, file) {
			t.Error("another file than the one that was made passes for it")
		}
	})
}
