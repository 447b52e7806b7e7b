package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// window is how much of the end of a log is read when it is opened.
const window = 1 << 20

// openFile opens the log for appending, making it and its directory if they are
// missing, and locks it.
func openFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the audit log's directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	err = lockFile(f)
	if info, serr := f.Stat(); err == nil && serr == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file: for anything else, use a `log` block of Caddy's with `include step_up.audit`")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("opening the audit log %s: %w", path, err)
	}
	return f, nil
}

// ending is what a log ends with.
type ending struct {
	last Head   // of its last line; zero if it has none
	torn []byte // what follows that line and is none
}

// endOf reads the end of a log. It refuses a file that is something else.
func endOf(f *os.File) (ending, error) {
	var e ending
	info, err := f.Stat()
	if err != nil {
		return e, fmt.Errorf("examining the audit log: %w", err)
	}
	from := max(info.Size()-window, 0)
	text, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return e, fmt.Errorf("reading the audit log: %w", err)
	}
	e.torn = text
	for end := len(text); end > 0; {
		start := bytes.LastIndexByte(text[:end-1], '\n') + 1
		if l, err := Parse(text[start:end]); err == nil && text[end-1] == '\n' {
			e.last, e.torn = l.head(), text[end:]
			break
		}
		end = start
	}
	switch none := e.last.Seq == 0; {
	case none && bytes.IndexByte(text, '\n') >= 0, len(e.torn) > maxSpan:
		return e, fmt.Errorf("%s holds something else than an audit log, or was damaged: move it away, or name another file", f.Name())
	}
	return e, nil
}
