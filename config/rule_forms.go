package config

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

var actionForm = regexp.MustCompile(`\A[A-Za-z0-9_.-]{1,64}\z`)

// CheckAction checks an action type against its form.
func CheckAction(action string) error {
	if !actionForm.MatchString(action) {
		return fmt.Errorf("action type %q must be 1 to 64 letters, digits, or _ . -, such as WITHDRAW_FUNDS", action)
	}
	if len(action) >= 8 && strings.EqualFold(action[:8], "step_up.") {
		return fmt.Errorf("action type %q: names beginning with step_up. are the gateway's own; write a name of yours, such as VIEW_REPORTS", action)
	}
	return nil
}

// CheckGrant checks a grant type and its lifetime against their limits.
func CheckGrant(grant string, ttl Duration) error {
	switch grant {
	case GrantOneTime, GrantTimeBased:
		return Within("grant "+grant, ttl, MinGrant, MaxGrant)
	case "":
		return errors.New("grant is missing: write `grant time_based 10m`, or `grant one_time 2m` for a proof that opens a single request")
	}
	return oneOf("grant", grant, GrantOneTime, GrantTimeBased)
}

// CheckMethods checks the ways to pass against the known ones.
func CheckMethods(said []string) error {
	seen := make(map[string]bool, len(said))
	for _, m := range said {
		if !slices.Contains(methods, m) {
			return oneOf("methods", m, methods...)
		}
		if seen[m] {
			return fmt.Errorf("methods names %s twice: remove one of them", m)
		}
		seen[m] = true
	}
	return nil
}

// CheckOffered refuses a rule that nobody could pass: it takes none of the methods
// that there are (see App.Methods).
func (r Rule) CheckOffered(offered []string) error {
	if len(r.Methods) == 0 || slices.ContainsFunc(r.Methods, func(m string) bool { return slices.Contains(offered, m) }) {
		return nil
	}
	return at(fmt.Errorf("%s takes only %s, which the global options do not offer, so nobody could pass: write one of %s, or configure what is missing",
		r.Action, strings.Join(r.Methods, ", "), strings.Join(offered, ", ")), "methods")
}

// CheckAccept checks where else grants may come from against the known ones.
func CheckAccept(origins []string) error {
	for i, o := range origins {
		if o != AcceptAPI {
			return oneOf("accept", o, AcceptAPI)
		}
		if i > 0 {
			return fmt.Errorf("accept names %s twice: remove one of them", o)
		}
	}
	return nil
}

// CheckMode checks what a rule does against the known words; none is enforce.
func CheckMode(mode string) error {
	if mode != "" && mode != ModeEnforce && mode != ModeObserve {
		return oneOf("mode", mode, ModeEnforce, ModeObserve)
	}
	return nil
}

// CheckPath refuses a path pattern that would silently match nothing, or less
// than its author thinks.
func CheckPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("path %q must begin with a slash", p)
	case len(p) > 1024 || !printable(p):
		return fmt.Errorf("path %q must be at most 1024 bytes of printable text", p)
	case strings.ContainsAny(p, "?#"):
		return fmt.Errorf("path %q must not contain ? or #: a query is matched with `match { query … }`", p)
	case strings.Contains(p, "%"):
		return fmt.Errorf("path %q must be written decoded, without %%: it is compared with decoded paths", p)
	case strings.Contains(p, ";"):
		before, _, _ := strings.Cut(p, ";")
		return fmt.Errorf("path %q must not contain ;, since a request is also read without its parameters: write %s*, which covers %[2]s and what an application appends to it, such as ;jsessionid=", p, before)
	case strings.Contains(p, `\`):
		return fmt.Errorf(`path %q must not contain \: write a slash, since backslashes are also read as slashes`, p)
	case strings.ContainsAny(p, "{}"):
		return fmt.Errorf("path %q must not contain a placeholder: what is protected may not depend on the request", p)
	case strings.Contains(p, "//") || strings.Contains(p+"/", "/./") || strings.Contains(p+"/", "/../"):
		return fmt.Errorf("path %q must be in its plain form, without //, /./ or /../", p)
	}
	if _, err := path.Match(p, ""); err != nil {
		return fmt.Errorf("path %q is not a well-formed pattern: close its brackets", p)
	}
	return nil
}
