package badgerstore

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// maxMapped is how much of the tables may stay mapped into memory, in bytes. Anyone who
// reads all of them, as a start and the search for damage do, leaves all of them.
const maxMapped = 128 << 20

// pageOut is MADV_PAGEOUT (Linux 5.4): the pages are given back to the system, and
// read again where they are asked for. It changes nothing of what they hold, unlike
// MADV_DONTNEED, should other memory be mapped there meanwhile.
const pageOut = 21

// giveBack gives the memory of tables back to the system where it is more than
// maxMapped. A kernel that cannot do it takes it when it needs memory.
func giveBack() error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	var size, resident, shared int
	if _, err := fmt.Sscan(string(statm), &size, &resident, &shared); err != nil {
		return fmt.Errorf("reading /proc/self/statm: %w", err)
	}
	if shared*os.Getpagesize() < maxMapped {
		return nil
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		if !strings.HasSuffix(lines.Text(), ".sst") {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err != nil {
			return fmt.Errorf("reading /proc/self/maps: %w", err)
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, from, to-from, pageOut); errno != 0 && errno != syscall.ENOMEM {
			return errno // ENOMEM: it is not mapped any more
		}
	}
	return lines.Err()
}
