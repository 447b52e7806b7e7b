package procstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// build tells this program from others, as far as it knows of itself.
var build = sync.OnceValue(func() string {
	info := runtime.Version()
	if b, ok := debug.ReadBuildInfo(); ok {
		info = b.String()
	}
	sum := sha256.Sum256([]byte(info))
	return hex.EncodeToString(sum[:8])
})

// ownName and ownFile are where the program was when it was started.
var (
	ownName, _ = os.Executable()
	ownFile, _ = os.Stat(ownName)
)

var errReplaced = errors.New("its program was replaced while it was running; restart Caddy")

// program returns what to run to be this program again. On Linux that is the
// file which is running, whatever an upgrade has put under its name.
func program() (string, error) {
	if runtime.GOOS == "linux" {
		const self = "/proc/self/exe"
		if _, err := os.Lstat(self); err == nil {
			return self, nil
		}
	}
	if ownName == "" {
		return "", errors.New("the gateway does not know which program it is")
	}
	now, err := os.Stat(ownName)
	if err != nil {
		return "", fmt.Errorf("looking for the gateway's program: %w", err)
	}
	if ownFile == nil || !os.SameFile(ownFile, now) || now.Size() != ownFile.Size() || !now.ModTime().Equal(ownFile.ModTime()) {
		return "", errReplaced
	}
	return ownName, nil
}
