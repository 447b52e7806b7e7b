package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stepup-gateway/caddy-stepup/caddymodule/internal/realpath"
)

// Paths are the files of a gateway, as it finds them itself. Those that are empty it
// does not have.
type Paths struct {
	Database string // a directory
	Mark     string
	KeyFile  string
	// Said are the paths as they are configured, by setting; none for the defaults.
	Said map[string]string
	// Err says why they are not known.
	Err error
}

// File is one of the gateway's files.
type File struct {
	What   string `json:"what"` // database, mark or key
	Path   string `json:"path"`
	Exists bool   `json:"exists"`
	Mode   string `json:"mode,omitempty"`
	Owner  string `json:"owner,omitempty"`
}

const (
	// minFree is what must be free on the disk for changes; see package badgerstore.
	minFree = 128 << 20
	// fewFree is where it is told in time.
	fewFree = 1 << 30
)

// relative looks for paths that depend on where Caddy is started.
func (e *examination) relative() {
	for _, setting := range []string{"dir", "mark", "key_file"} {
		said, ok := e.in.Paths.Said[setting]
		if ok && said != "off" && !strings.HasPrefix(said, "{") && !filepath.IsAbs(said) {
			e.warn("path-relative", e.atFile(setting),
				fmt.Sprintf("%s is a relative path: started in another directory, Caddy makes a new empty database or key there", setting+" "+said),
				"write an absolute path, such as /var/lib/step_up")
		}
	}
}

// files looks at the database, its mark and the key.
func (e *examination) files() {
	p := e.in.Paths
	if p.Err != nil || p.Database == "" && p.KeyFile == "" {
		return // refused, and told so
	}
	e.relative()
	database, key := e.file("database", p.Database), e.file("key", p.KeyFile)
	if p.Mark != "" {
		e.file("mark", p.Mark)
	}
	if p.Database != "" {
		e.directory(p.Database, database)
	}
	switch {
	case p.KeyFile == "":
	case database.Exists && !key.Exists && !emptyDirectory(p.Database):
		e.error("key-missing", e.atFile("key_file"), fmt.Sprintf("the database %s exists and its key %s does not: Caddy will refuse it", p.Database, p.KeyFile),
			"put the key back that belongs to the database, or write key_file with the path where it is")
	case !database.Exists && key.Exists:
		e.note("database-new", e.atFile("dir"), fmt.Sprintf("the key %s exists and the database %s does not: a new one is made, in which nobody is enrolled", p.KeyFile, p.Database),
			"if users were enrolled before, write the directory that was used then")
	case !database.Exists:
		e.note("first-start", "", fmt.Sprintf("neither %s nor %s exists: the first start makes both, and nobody is enrolled", p.Database, p.KeyFile), "")
	}
	if key.Exists {
		e.secretFile(p.KeyFile)
	}
}

// atFile returns where the setting of a file stands.
func (e *examination) atFile(setting string) string {
	if setting == "key_file" {
		return e.doc.Apps.StepUp.at(setting)
	}
	return e.doc.Apps.StepUp.at("store." + setting)
}

// file lists one file.
func (e *examination) file(what, path string) File {
	f := File{What: what, Path: path}
	if info, err := os.Stat(path); err == nil {
		f.Exists, f.Mode, f.Owner = true, info.Mode().String(), owner(info)
	} else if errors.Is(err, fs.ErrPermission) {
		e.error("file-hidden", "", fmt.Sprintf("the %s %s cannot be looked at by the user that asks: %s", what, path, reason(err)),
			"run this as the user that runs Caddy, or let that user search the directories above")
	}
	if path != "" {
		e.out.Files = append(e.out.Files, f)
	}
	return f
}

// directory looks at the database's directory.
func (e *examination) directory(dir string, f File) {
	at := e.atFile("dir")
	if info, err := os.Stat(dir); f.Exists && err == nil {
		switch {
		case !info.IsDir():
			e.error("database-no-directory", at, fmt.Sprintf("the database %s is a file", dir), "write the path of a directory that belongs to the database alone")
			return
		case info.Mode().Perm()&0o077 != 0:
			e.warn("database-open", at, fmt.Sprintf("others than its owner can enter the database's directory %s (%s)", dir, info.Mode()), "chmod 700 "+dir)
		}
	}
	if within(dir, os.TempDir(), "/run", "/dev/shm") {
		e.warn("database-temporary", at, fmt.Sprintf("the database %s lies where files are removed at a restart: everybody would have to enroll again", dir),
			"write a directory that stays, such as /var/lib/step_up")
	}
	if parent, err := nearestDirectory(dir); err == nil && !writable(parent) {
		e.error("database-unwritable", at, fmt.Sprintf("%s cannot be written to by the user that asks, and the database needs it", parent),
			"run this as the user that runs Caddy; if it is, chown the directory to that user")
	} else if free, err := freeSpace(parent); err == nil && free < minFree {
		e.error("disk-full", at, fmt.Sprintf("%d MiB are free on the disk of %s: below %d MiB nothing can be stored", free>>20, dir, minFree>>20), "make room, or move the database")
	} else if err == nil && free < fewFree {
		e.warn("disk-low", at, fmt.Sprintf("%d MiB are free on the disk of %s: below %d MiB nothing can be stored", free>>20, dir, minFree>>20), "make room, or move the database")
	}
}

// secretFile looks at the key.
func (e *examination) secretFile(path string) {
	at := e.atFile("key_file")
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return
	case info.IsDir():
		e.error("key-no-file", at, fmt.Sprintf("the key %s is a directory", path), "write the path of the file in it")
		return
	case info.Mode().Perm()&0o077 != 0:
		e.warn("key-open", at, fmt.Sprintf("others than its owner can read the key %s (%s): with it a copy of the database can be read", path, info.Mode()), "chmod 600 "+path)
	}
	f, err := os.Open(path)
	if err != nil {
		e.error("key-unreadable", at, fmt.Sprintf("the key %s cannot be read by the user that asks: %s", path, reason(err)),
			"run this as the user that runs Caddy; if it is, chown the file to that user")
		return
	}
	f.Close()
	if e.in.Paths.Database != "" && filepath.Dir(path) == filepath.Dir(e.in.Paths.Database) && within(path, "/var/lib") {
		e.note("key-beside-database", at, fmt.Sprintf("the key %s lies beside the database: a backup of %s takes both", path, filepath.Dir(path)), "keep the key out of that backup")
	}
}

// within reports whether a path lies in one of the directories.
func within(path string, dirs ...string) bool {
	for _, dir := range dirs {
		if realpath.Inside(path, filepath.Clean(dir)) {
			return true
		}
	}
	return false
}

func emptyDirectory(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// nearestDirectory is the directory itself, or the nearest one above that exists.
func nearestDirectory(dir string) (string, error) {
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && info.IsDir():
			return dir, nil
		case err == nil:
			return "", fs.ErrInvalid
		case !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// reason is the cause of an error without the path, which stands beside it.
func reason(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
