package apikeys

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/stepup-gateway/caddy-stepup/grants"
	"github.com/stepup-gateway/caddy-stepup/internal/cause"
)

func (k *Key) checkActions() error {
	if len(k.Actions) > maxKeyActions {
		return &cause.Field{Name: "actions", Detail: "holds more than 100 action types"}
	}
	if len(k.Actions) > 0 != k.May(ScopeVerify) {
		return &cause.Field{Name: "actions", Detail: "are named where the key has the scope verify, and only there"}
	}
	for _, a := range k.Actions {
		if _, err := grants.NewAction(a); a != AnyAction && (err != nil || IsReserved(a)) {
			return &cause.Field{Name: "actions", Detail: "holds one that is not an action type: 1 to 256 characters without control characters, not beginning with step_up."}
		}
	}
	return nil
}

// IsReserved reports whether an action type is the gateway's own: no server mints
// or checks grants for it. Names that people would take for one of those are
// reserved too, in upper case, in letters of full width or after blanks.
func IsReserved(action string) bool {
	plain := norm.NFKC.String(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, action))
	return strings.HasPrefix(strings.ToLower(strings.ToUpper(plain)), "step_up.")
}
