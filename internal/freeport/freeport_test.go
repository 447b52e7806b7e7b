package freeport

import (
	"net"
	"strconv"
	"testing"
)

// TestFind: no port is given twice, all can be listened on, and none is of those
// that the system gives to connections.
func TestFind(t *testing.T) {
	had := make(map[string]bool)
	for range 50 {
		port := Find(t)
		if n, err := strconv.Atoi(port); err != nil || n >= 32768 || had[port] {
			t.Errorf("port %q", port)
		}
		had[port] = true
		l, err := net.Listen("tcp", "localhost:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
}
