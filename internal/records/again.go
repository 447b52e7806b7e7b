package records

import (
	"errors"
	"fmt"
)

// retries bounds how often a decision is made again after somebody else was
// first. Each retry means that another caller succeeded.
const retries = 100

// Again runs decide, which reads, decides and applies, until it neither conflicts
// nor has lost too often.
func Again(decide func() error) error {
	for range retries {
		if err := decide(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("giving up after %d concurrent changes", retries)
}
