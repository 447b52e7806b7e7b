//go:build !unix

package sender

import "os"

// pipe makes what is no file, on systems without named pipes.
func pipe(path string) error { return os.Mkdir(path, 0o700) }
