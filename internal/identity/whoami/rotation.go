package whoami

import (
	"net/http"
	"sync"
)

// maxRotations is how many answers in a row may replace the session cookie before
// it is taken for one that changes with every answer. A new session id after
// signing in is one.
const maxRotations = 3

// rotation notices an application that keeps the session itself in the cookie
// (Laravel's and Rails' cookie stores): its value changes with every answer, so
// a grant that is bound to it ends with the next.
type rotation struct {
	mu    sync.Mutex
	inRow int
	told  bool
}

// saw counts an answer that named somebody, and reports whether the operator is to
// be told now.
func (n *rotation) saw(replaced bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !replaced {
		n.inRow = 0
		return false
	}
	n.inRow++
	if n.inRow < maxRotations || n.told {
		return false
	}
	n.told = true
	return true
}

// replaces reports whether an answer gives the session cookie another value than
// it was asked with.
func replaces(answer http.Header, name, sent string) bool {
	for _, c := range (&http.Response{Header: answer}).Cookies() {
		if c.Name == name && c.Value != "" && c.Value != sent && c.MaxAge >= 0 {
			return true
		}
	}
	return false
}
