package directory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// exactly is whom one asks about in a tenant that compares ids exactly.
func exactly(id string) User {
	return User{ID: id, Same: func(other string) bool { return other == id }, Suggest: true}
}

// folded is whom one asks about in others.
func folded(id string) User {
	return User{ID: strings.ToLower(id), Same: func(other string) bool { return strings.EqualFold(other, id) }, Suggest: true}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantFound(t *testing.T, d Directory, u User, want Answer) {
	t.Helper()
	if got, err := d.Lookup(t.Context(), u); err != nil || got != want {
		t.Errorf("%s: %+v, %v, want %+v", u.ID, got, err, want)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "\xef\xbb\xbf# who works here\n\n  Alice \r\nbob@example.com\n#carol\nłucja van der Berg\nd#ave")
	f, err := NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"Alice", "bob@example.com", "łucja van der Berg", "d#ave"} {
		wantFound(t, f, exactly(id), Answer{Found: true})
	}
	wantFound(t, f, folded("ALICE"), Answer{Found: true})
	wantFound(t, f, exactly("alice"), Answer{Near: "Alice"})
	wantFound(t, f, folded("alcie"), Answer{Near: "Alice"})
	wantFound(t, f, exactly("carol"), Answer{})
	wantFound(t, f, exactly("#carol"), Answer{})
	quiet := folded("alcie")
	quiet.Suggest = false
	wantFound(t, f, quiet, Answer{})
}

func TestFileIsReadAgainWhenItChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "alice\n")
	f, err := NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Of the same size and in the same moment.
	write(t, path, "carol\n")
	wantFound(t, f, exactly("carol"), Answer{Found: true})
	// One whose time is old, put in its place by renaming.
	other := path + ".new"
	write(t, other, "erica\n")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(other, old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	wantFound(t, f, exactly("erica"), Answer{Found: true})
	first := &f.users[0]
	wantFound(t, f, exactly("carol"), Answer{Near: ""})
	if &f.users[0] != first {
		t.Error("a file that did not change is read again")
	}
	// One that is gone or broken answers nothing, and is taken again afterwards.
	for _, spoil := range []func(){
		func() { os.Remove(path) },
		func() { write(t, path, "alice\x00\n") },
		func() { write(t, path, "# nobody\n") },
		func() { os.Remove(path); os.Mkdir(path, 0o700) },
	} {
		spoil()
		for _, id := range []string{"erica", "zoe"} {
			if got, err := f.Lookup(t.Context(), exactly(id)); err == nil {
				t.Errorf("%s: %+v", id, got)
			}
		}
		os.Remove(path)
		write(t, path, "erica\n")
		wantFound(t, f, exactly("erica"), Answer{Found: true})
	}
}

func TestS19FilesHaveLimits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	many := strings.Repeat("u\n", MaxUsers)
	for name, test := range map[string]struct{ content, says string }{
		"long id":    {"alice\n" + strings.Repeat("x", 257), "users:2: a user id has at most 256 bytes"},
		"controls":   {"a\x01\n", "users:1: a user id is UTF-8"},
		"not UTF-8":  {"\n\nM\xfcller\n", "users:3: a user id is UTF-8"},
		"many":       {many + "v\n", fmt.Sprintf("users:%d: there are more than", MaxUsers+1)},
		"large":      {strings.Repeat("#", MaxFile+1), "larger than 8 MiB"},
		"empty":      {"", "users:1: there is no user in it"},
		"as long":    {strings.Repeat("x", 256), ""},
		"as many":    {many, ""},
		"as large":   {strings.Repeat("#", MaxFile-3) + "\nu\n", ""},
		"no newline": {"u", ""},
	} {
		write(t, path, test.content)
		_, err := NewFile(path)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
}

func TestFileIsSafeForConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "alice\n")
	f, err := NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 50 {
				next := fmt.Sprintf("%s.%d", path, i)
				os.WriteFile(next, []byte("alice\nbob\n"), 0o600)
				os.Rename(next, path)
				if got, err := f.Lookup(t.Context(), exactly("alice")); err == nil && !got.Found {
					t.Error("a user is gone who was always there")
				}
			}
		})
	}
	all.Wait()
}
