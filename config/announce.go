package config

import (
	"errors"
	"fmt"
	"slices"
)

// What may be announced to the application; see Site.Announce.
const (
	AnnounceUser     = "user"
	AnnounceAction   = "action"
	AnnounceMethod   = "method"
	AnnounceAMR      = "amr"
	AnnounceAuthTime = "auth_time"
	AnnounceNone     = "none"
)

var announced = [...]string{AnnounceUser, AnnounceAction, AnnounceMethod, AnnounceAMR, AnnounceAuthTime, AnnounceNone}

// CheckAnnounce checks what is announced to the application.
func CheckAnnounce(words []string) error {
	for i, w := range words {
		if !slices.Contains(announced[:], w) {
			return oneOf("announce", w, announced[:]...)
		}
		if slices.Contains(words[:i], w) {
			return fmt.Errorf("announce names %s twice: remove one of them", w)
		}
	}
	if len(words) > 1 && slices.Contains(words, AnnounceNone) {
		return errors.New("announce none stands alone: remove it, or what is announced beside it")
	}
	return nil
}
