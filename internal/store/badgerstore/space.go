package badgerstore

import "fmt"

const (
	// reserve is what must be free on the disk for a change to be tried. The log needs little; Badger writes
	// its tables to memory maps of files that take their space only then, and on a full disk that is a SIGBUS,
	// which ends the process. It covers two of its logs, a table and one compaction of the first level.
	reserve = 128 << 20

	// reserveTaking is what must be free for a change that only takes access away.
	reserveTaking = 32 << 20

	// reserveOpen is what must be free for opening, and for closing in an orderly way.
	reserveOpen = 40 << 20
)

// freeSpace is how many bytes the disk has left.
func (d *directory) freeSpace() (uint64, error) { return freeSpace(d.f) }

// Low tells why changes are refused that do more than take access away: nil, [ErrNoSpace], or what asking
// failed with.
func (s *Store) Low() error { return s.room(false) }

// room reports whether there is space for a change.
func (s *Store) room(taking bool) error {
	free, err := s.free()
	if err != nil {
		return fmt.Errorf("asking for space on the disk: %w", err)
	}
	needed := uint64(reserve)
	if taking {
		needed = reserveTaking
	}
	if free < needed {
		return fmt.Errorf("%w: %d MiB are free and %d MiB must be; make room", ErrNoSpace, free>>20, needed>>20)
	}
	return nil
}
