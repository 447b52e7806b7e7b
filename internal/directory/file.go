package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stepup-gateway/caddy-stepup/internal/nearest"
)

// The limits of a file (S19).
const (
	MaxFile    = 8 << 20 // bytes
	MaxUsers   = 100_000
	maxUserLen = 256 // bytes
)

// settled is how old a change of a file must be for its time to tell the next one:
// file systems note times in steps, and two changes within one look like one.
const settled = 2 * time.Second

// File is a directory in a file: one user id a line. Lines that begin with # are
// comments; blanks around an id do not count, and neither do empty lines.
//
// The file is looked at with every question and read again if it changed. Put a new
// one in its place by renaming it, since one that is half written has only half of
// the users. A file that is gone, too large or not as described answers no question.
type File struct {
	path string

	mu    sync.Mutex
	users []string
	was   fs.FileInfo // of the file that users were read from
	read  time.Time
}

// NewFile returns the directory of that path, which it reads once.
func NewFile(path string) (*File, error) {
	f := &File{path: path}
	_, err := f.list()
	return f, err
}

// Lookup compares the user with every line.
func (f *File) Lookup(_ context.Context, user User) (Answer, error) {
	users, err := f.list()
	if err != nil {
		return Answer{}, err
	}
	if slices.ContainsFunc(users, user.Same) {
		return Answer{Found: true}, nil
	}
	var a Answer
	if user.Suggest {
		a.Near = nearest.Of(user.ID, users)
	}
	return a, nil
}

// list returns the users of the file as it is now. The list is not changed later.
func (f *File) list() ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("reading directory: %w", err)
	}
	if f.was != nil && os.SameFile(f.was, now) && f.was.Size() == now.Size() && f.was.ModTime().Equal(now.ModTime()) &&
		f.read.Sub(now.ModTime()) > settled {
		return f.users, nil
	}
	// Looked at before it is opened: opening a pipe waits for somebody to write.
	if !now.Mode().IsRegular() {
		return nil, fmt.Errorf("reading directory: %s is not a file", f.path)
	}
	read := time.Now()
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("reading directory: %w", err)
	}
	defer file.Close()
	was, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading directory: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading directory: %w", err)
	}
	if len(content) > MaxFile {
		return nil, fmt.Errorf("reading directory: %s is larger than %d MiB", f.path, MaxFile>>20)
	}
	users, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("reading directory: %s:%w", f.path, err)
	}
	f.users, f.was, f.read = users, was, read
	return users, nil
}

var errNoUsers = errors.New("1: there is no user in it, so that nobody could be enrolled or invited: write one user id a line")

// parse reads the users of a file. Its errors begin with the number of a line.
func parse(content []byte) ([]string, error) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	var users []string
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		id := strings.TrimSpace(line)
		switch {
		case id == "" || id[0] == '#':
			continue
		case len(id) > maxUserLen:
			return nil, fmt.Errorf("%d: a user id has at most %d bytes", n, maxUserLen)
		case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
			return nil, fmt.Errorf("%d: a user id is UTF-8 without control characters", n)
		case len(users) == MaxUsers:
			return nil, fmt.Errorf("%d: there are more than %d users: ask a server, by `http`", n, MaxUsers)
		}
		users = append(users, id)
	}
	if len(users) == 0 {
		return nil, errNoUsers
	}
	return users, nil
}
