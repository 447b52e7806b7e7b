package badgerstore

import "fmt"

// reserve is what must be free on the disk for a change to be tried. Badger writes to memory maps of files
// that take their space only then; on a full disk that is a SIGBUS, which ends the whole process. It covers
// two logs, a table and one compaction of the first level.
const reserve = 128 << 20

// checkSpace tells whether there is room for a commit: nil, ErrNoSpace, or what asking failed with.
func (d *directory) checkSpace() error {
	free, err := freeSpace(d.f)
	if err != nil {
		return fmt.Errorf("asking for space on the disk: %w", err)
	}
	if free < reserve {
		return fmt.Errorf("%w: %d MiB are free and %d MiB must be; make room", ErrNoSpace, free>>20, reserve>>20)
	}
	return nil
}
