//go:build !unix

package procstore

import "os"

// pollable is for systems on which pipes need nothing for it.
func pollable(f *os.File) *os.File { return f }
