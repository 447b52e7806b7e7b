package remote

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stepup-gateway/caddy-stepup/store"
)

func TestMeter(t *testing.T) {
	var m Meter
	for _, err := range []error{
		nil, nil, nil, store.ErrConflict, store.ErrFenced, fmt.Errorf("%w: %w", store.ErrUnknown, store.ErrUnavailable), errors.New("another"),
	} {
		m.Note(time.Now().Add(-time.Second), err)
	}
	got := m.Changes()
	if took := got.Took; took < 7*time.Second || took > time.Minute {
		t.Errorf("they took %v", took)
	}
	if got.Took = 0; got != (Changes{Done: 3, Refused: 2, Unknown: 1, Failed: 1}) {
		t.Errorf("%+v", got)
	}
}
