package metrics

import (
	"sync"

	"github.com/stepup-gateway/caddy-stepup/grants"
)

// otherAction is the label of action types that nobody configured. A key that may
// ask for any action type writes what it likes; each new label would be one more
// series for as long as the process lives (rule S26).
const otherAction = "other"

// maxLabels bounds the action types that are labels, over all reloads.
const maxLabels = 5000

// Labels are the action types that may be labels of metrics: those of rules and of
// session tokens, and those that an API key names.
var Labels = actionLabels{known: map[string]struct{}{"": {}, grants.ManageAction: {}}}

type actionLabels struct {
	mu    sync.RWMutex
	known map[string]struct{}
}

// Allow makes labels of action types.
func (l *actionLabels) Allow(actions ...string) {
	for _, action := range actions {
		if l.Of(action) == action {
			continue
		}
		l.mu.Lock()
		if len(l.known) < maxLabels {
			l.known[action] = struct{}{}
		}
		l.mu.Unlock()
	}
}

// Of returns the label of an action type.
func (l *actionLabels) Of(action string) string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if _, ok := l.known[action]; ok {
		return action
	}
	return otherAction
}
