package postgres

import (
	"strings"
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	now := time.Now().Round(0)
	var c clockOf
	read := func(ahead, took time.Duration) { c.told(now.Add(ahead), now, now.Add(took)) }
	for _, step := range []struct {
		ahead, took time.Duration
		refused     string
	}{
		{3 * time.Second, 0, ""},
		{3 * time.Second, 0, ""},
		{time.Second, 0, ""}, // in between it was right
		{6 * time.Second, 0, ""},
		{6 * time.Second, 0, ""},
		{6 * time.Second, 0, "6s behind"},
		{-6 * time.Second, 0, "6s ahead of"},
		{6 * time.Second, 5 * time.Second, ""}, // it may have been right
		{-3 * time.Second, 0, ""},
		{-3 * time.Second, 0, ""},
		{-3 * time.Second, 0, "3s ahead of"},
		{0, 0, ""},
	} {
		read(step.ahead, step.took)
		err := c.refusal()
		if (err != nil) != (step.refused != "") || err != nil && !strings.Contains(err.Error(), step.refused) {
			t.Errorf("%+v: %v", step, err)
		}
	}
}
