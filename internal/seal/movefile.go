package seal

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/stepup-gateway/caddy-stepup/internal/durable"
)

// MoveFile gives the key file at from the name to, in the same directory, and has made the new name durable
// when it returns nil. A file of that name is replaced.
func MoveFile(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("renaming key file: %w", err)
	}
	return durable.Names(filepath.Dir(to))
}
