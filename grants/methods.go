package grants

import (
	"fmt"
	"strings"
)

// Methods is a set of means of proof. As what a grant was won with it holds
// one; as what a rule accepts it may hold several, and none accepts any.
type Methods uint16

// The means of proof.
const (
	TOTP         Methods = 1 << iota // a code of an authenticator app, RFC 6238
	RecoveryCode                     // a look-up secret, NIST SP 800-63B section 3.1.2
)

var methodNames = [...]struct {
	set  Methods
	name string
}{
	{TOTP, "totp"},
	{RecoveryCode, "recovery_code"},
}

// AllMethods are the means of proof that this gateway knows.
func AllMethods() []Methods {
	all := make([]Methods, len(methodNames))
	for i, m := range methodNames {
		all[i] = m.set
	}
	return all
}

// ParseMethod reads the name of one means of proof.
func ParseMethod(s string) (Methods, error) {
	names := make([]string, len(methodNames))
	for i, m := range methodNames {
		if m.name == s {
			return m.set, nil
		}
		names[i] = m.name
	}
	return 0, fmt.Errorf("%q is no means of proof; those known are %s", s, strings.Join(names, ", "))
}

// Accepts tells whether a rule that takes the methods m takes a proof by.
func (m Methods) Accepts(by Methods) bool { return by != 0 && (m == 0 || m&by == by) }

// Has tells whether all of one are in m.
func (m Methods) Has(one Methods) bool { return one != 0 && m&one == one }

// Names lists the methods by name, in a fixed order.
func (m Methods) Names() []string {
	names := make([]string, 0, len(methodNames))
	for _, n := range methodNames {
		if m.Has(n.set) {
			names = append(names, n.name)
		}
	}
	return names
}

// String is the one method's name, or the names joined by a space.
func (m Methods) String() string {
	for _, n := range methodNames {
		if m == n.set {
			return n.name
		}
	}
	return strings.Join(m.Names(), " ")
}
