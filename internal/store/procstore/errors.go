package procstore

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/stepup-gateway/caddy-stepup/internal/store/badgerstore"
	"github.com/stepup-gateway/caddy-stepup/store"
)

// sentinels are the errors that callers ask for by errors.Is. An error crosses
// the pipe as its text and the places in this list that it is.
var sentinels = []error{
	store.ErrNotFound, store.ErrConflict, store.ErrTooLarge, store.ErrInvalid, store.ErrClosed, store.ErrUnknown,
	store.ErrUnavailable, store.ErrNoSpace, store.ErrDamaged, store.ErrMissing, store.ErrLocked, store.ErrRolledBack,
	badgerstore.ErrFailed,
	context.Canceled, context.DeadlineExceeded,
	fs.ErrPermission, fs.ErrNotExist, fs.ErrExist,
	syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.EIO, syscall.EROFS, syscall.ENOTDIR,
}

// maxErrorText bounds the text of an error in a frame.
const maxErrorText = 4 << 10

// A remote is an error of the other process.
type remote struct {
	text string
	is   []error
}

func (e *remote) Error() string   { return e.text }
func (e *remote) Unwrap() []error { return e.is }

// appendError writes an error, or that there is none: the number of its
// sentinels and their places, and its text.
func appendError(b []byte, err error) []byte {
	if err == nil {
		return append(b, 0, 0, 0)
	}
	at := len(b)
	b = append(b, 0)
	for i, s := range sentinels {
		if errors.Is(err, s) {
			b = append(b, byte(i))
			b[at]++
		}
	}
	text := err.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
	}
	if text == "" {
		text = "unknown error"
	}
	return appendShort(b, []byte(text))
}

// error takes what appendError wrote. A bare sentinel is itself again.
func (p *parser) error() error {
	places := p.take(int(p.uint8()))
	text := string(p.short())
	if text == "" {
		return nil
	}
	e := &remote{text: text}
	for _, at := range places {
		if int(at) >= len(sentinels) {
			p.failed = true
			return errNonsense
		}
		e.is = append(e.is, sentinels[at])
	}
	if len(e.is) == 1 && e.is[0].Error() == text {
		return e.is[0]
	}
	return e
}
