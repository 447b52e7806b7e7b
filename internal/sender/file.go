package sender

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// File appends each text to a file, a line of JSON each:
//
//	{"time":"2026-01-02T15:04:05Z","to":"+4915112345678","text":"…"}
//
// It is for trying out: whoever reads the file has everybody's codes.
type File struct {
	path string
	now  func() time.Time
	mu   sync.Mutex // one line after the other
}

// NewFile makes a sender that appends to the file at path, with the clock now. The
// file is made with mode 0600 when the first text is sent; one that is there
// already, and is a link, no file, another user's or open to others, is refused.
func NewFile(path string, now func() time.Time) (*File, error) {
	if path == "" {
		return nil, errors.New("the file sender must be told its file: write `sender file /var/tmp/sms.jsonl`")
	}
	stat, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return &File{path: path, now: now}, nil
	}
	if err == nil {
		err = private(stat)
	}
	if err != nil {
		return nil, fmt.Errorf("checking file of texts: %w", err)
	}
	return &File{path: path, now: now}, nil
}

// private refuses what is not a file of this process's user alone.
func private(stat os.FileInfo) error {
	switch {
	case !stat.Mode().IsRegular():
		return errors.New("it is not a regular file: name one, and no symbolic link")
	case runtime.GOOS != "windows" && stat.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("it has mode %#o, so that others can read the codes: make it 0600", stat.Mode().Perm())
	}
	return owned(stat)
}

// Send appends a line.
func (f *File) Send(ctx context.Context, to, text string) error {
	if err := check(to, text); err != nil {
		return err
	}
	var line bytes.Buffer
	lines := json.NewEncoder(&line)
	lines.SetEscapeHTML(false) // it is read by people
	if err := lines.Encode(struct {
		Time time.Time `json:"time"`
		To   string    `json:"to"`
		Text string    `json:"text"`
	}{f.now().UTC(), to, text}); err != nil {
		return fmt.Errorf("writing text to file: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("writing text to file: %w", err)
	}
	if err := f.append(line.Bytes()); err != nil {
		return fmt.Errorf("writing text to file: %w", err)
	}
	return nil
}

func (f *File) append(line []byte) (err error) {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|asItIs, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	// Looked at once it is open: what is at the path may have changed since.
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	if err := private(stat); err != nil {
		return err
	}
	_, err = file.Write(line)
	return err
}
