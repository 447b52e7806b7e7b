//go:build !linux

package badgerstore

// giveBack is for Linux alone: elsewhere the system takes the memory of tables when
// it needs it.
func giveBack() error { return nil }
